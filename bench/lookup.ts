/**
 * How fast is the local index? `npm run bench -- lookup [--max=<entries>]`, by default up to 10^6
 * blobs. For every power of ten: packs of 1,000 blobs added one transaction each, look-ups of random
 * stored and unknown ids as a session asks them (`isPresent`), then the same content as segments
 * applied to an empty index. Ids come from a seeded generator; every figure is the median of
 * `RUN_COUNT` runs over look-ups, and one run over inserts, which change what they measure.
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { BlobId, RepositoryId } from '../src/id.ts';
import { LocalIndex } from '../src/index/local-index.ts';
import { isPresent } from '../src/index/presence.ts';
import type { PackRecord } from '../src/pack/pack-record.ts';
import { toHex } from '../src/util/bytes.ts';
import {
  bigPackOf,
  listingOf,
  randomIds,
  segmentName,
  segmentOf,
  testRepositoryId,
} from '../test/helpers/index-packs.ts';
import { type SeededRandom, seededRandom } from '../test/helpers/seeded-random.ts';

const BLOBS_PER_PACK = 1000;
const PACKS_PER_SEGMENT = 1000;
const LOOKUP_COUNT = 200_000;
const RUN_COUNT = 5;

interface Row {
  entries: number;
  insertsPerSecond: number;
  /** Of the last tenth of the inserts, the largest index. */
  lastInsertsPerSecond: number;
  hitsPerSecond: number;
  missesPerSecond: number;
  fileMiB: number;
  rebuiltPerSecond: number;
  rebuiltMiB: number;
}

export async function run(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options: { max: { type: 'string', default: '1e6' } } });
  const max = Number(values.max);
  const rows: Row[] = [];
  for (let entries = 10_000; entries <= max; entries *= 10) rows.push(await measure(entries));
  console.table(rows);
}

async function measure(entries: number): Promise<Row> {
  const cacheDir = mkdtempSync(join(tmpdir(), 'varve-bench-'));
  try {
    const inserted = await measureInserts(join(cacheDir, 'inserted'), entries);
    const rebuilt = await measureRebuild(join(cacheDir, 'rebuilt'), entries);
    return { entries, ...inserted, ...rebuilt };
  } finally {
    rmSync(cacheDir, { recursive: true });
  }
}

type InsertFigures = Omit<Row, 'entries' | 'rebuiltPerSecond' | 'rebuiltMiB'>;

async function measureInserts(cacheDir: string, entries: number): Promise<InsertFigures> {
  const index = await LocalIndex.open({ cacheDir, repositoryId: testRepositoryId });
  const random = seededRandom(entries);
  const packCount = entries / BLOBS_PER_PACK;
  const stored: BlobId[] = [];
  let seconds = 0;
  let lastSeconds = 0;
  for (let i = 0; i < packCount; i++) {
    const ids = randomIds(random, BLOBS_PER_PACK);
    if (stored.length < LOOKUP_COUNT && i % Math.ceil(packCount / 200) === 0) stored.push(...ids);
    const pack = bigPackOf(`${i}`, ids);
    const spent = await secondsOf(() => index.addPack(pack));
    seconds += spent;
    if (i >= packCount * 0.9) lastSeconds += spent;
  }
  const unknown = randomIds(random, LOOKUP_COUNT);
  const figures = {
    insertsPerSecond: Math.round(entries / seconds),
    lastInsertsPerSecond: Math.round((entries * 0.1) / lastSeconds),
    hitsPerSecond: await lookupsPerSecond(index, shuffled(stored, random), true),
    missesPerSecond: await lookupsPerSecond(index, unknown, false),
    fileMiB: fileMiB(cacheDir),
  };
  await index.close();
  return figures;
}

async function measureRebuild(
  cacheDir: string,
  entries: number,
): Promise<Pick<Row, 'rebuiltPerSecond' | 'rebuiltMiB'>> {
  const index = await LocalIndex.open({ cacheDir, repositoryId: testRepositoryId });
  const random = seededRandom(entries);
  let seconds = 0;
  for (let first = 0; first < entries / BLOBS_PER_PACK; first += PACKS_PER_SEGMENT) {
    const packs: PackRecord[] = [];
    for (let i = first; i < Math.min(first + PACKS_PER_SEGMENT, entries / BLOBS_PER_PACK); i++) {
      packs.push(bigPackOf(`${i}`, randomIds(random, BLOBS_PER_PACK)));
    }
    await index.updateStates({ listed: listingOf(packs), dead: new Set() });
    const segment = segmentOf(packs);
    const name = segmentName(`${first}`);
    seconds += await secondsOf(() => index.applySegments([{ name, segment }]));
  }
  const figures = { rebuiltPerSecond: Math.round(entries / seconds), rebuiltMiB: 0 };
  await index.close();
  return { ...figures, rebuiltMiB: fileMiB(cacheDir) };
}

/** Median of the runs, each over all of `ids`. */
async function lookupsPerSecond(
  index: LocalIndex,
  ids: readonly BlobId[],
  expected: boolean,
): Promise<number> {
  const rates: number[] = [];
  for (let i = 0; i <= RUN_COUNT; i++) {
    const seconds = await secondsOf(() => {
      for (const id of ids) if (isPresent(index, id) !== expected) throw new Error('Wrong answer');
    });
    // The first one warms up.
    if (i > 0) rates.push(ids.length / seconds);
  }
  rates.sort((a, b) => a - b);
  return Math.round(rates[Math.floor(RUN_COUNT / 2)] as number);
}

async function secondsOf(action: () => void | Promise<void>): Promise<number> {
  const start = performance.now();
  await action();
  return (performance.now() - start) / 1000;
}

function fileMiB(cacheDir: string): number {
  const path = join(cacheDir, toHex(testRepositoryId satisfies RepositoryId), 'data.mdb');
  return Math.round(statSync(path).size / 2 ** 20);
}

function shuffled(ids: readonly BlobId[], random: SeededRandom): BlobId[] {
  const copy = [...ids];
  for (let i = copy.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [copy[i], copy[j]] = [copy[j] as BlobId, copy[i] as BlobId];
  }
  return copy;
}
