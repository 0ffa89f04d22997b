/**
 * How fast is the local index? `npm run bench -- lookup [--max=<entries>]`, by default up to 10^6
 * blobs. For every power of ten, in packs of 1,000 blobs:
 *
 * - insert: packs added one transaction each, with the merges this brings about;
 * - rebuild: the same content as segments, applied to an empty index;
 * - look-ups after another tenth of packs came and was not merged: random stored and unknown ids as a
 *   session asks them (`isPresent`), by a new process; median of `RUN_COUNT` runs, opening and first
 *   look-up, and how much its anonymous memory grew;
 * - merge: writing the base anew with that tenth.
 *
 * Then the table of features (`feature-table.ts`).
 *
 * Rates are per second of processor time, user and system, because writers wait for the disk and
 * share the machine; `wall` is by the clock. Ids come from a seeded generator.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { BlobId, PackName } from '../src/id.ts';
import { LocalIndex } from '../src/index/local-index.ts';
import { isPresent } from '../src/index/presence.ts';
import type { PackRecord } from '../src/pack/pack-record.ts';
import { toHex } from '../src/util/bytes.ts';
import {
  bigPackOf,
  randomIds,
  testRepositoryId as repositoryId,
  segmentName,
  segmentOf,
} from '../test/helpers/index-packs.ts';
import { type SeededRandom, seededRandom } from '../test/helpers/seeded-random.ts';
import { measureFeatureTable } from './feature-table.ts';
import { anonymousMiB, round, type Spent, spentOn } from './process-figures.ts';

const BLOBS_PER_PACK = 1000;
const PACKS_PER_SEGMENT = 500;
const LOOKUP_COUNT = 200_000;
const RUN_COUNT = 5;
const LARGE_RANDOM = 999;

interface LookUpFigures {
  hitsPerSecond: number;
  missesPerSecond: number;
  /** Of opening the cache and one look-up. */
  firstMs: number;
  anonymousMiB: number;
}

export async function run(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      max: { type: 'string', default: '1e6' },
      /** For the child process: a cache with `entries` blobs to look up in. */
      cache: { type: 'string' },
      entries: { type: 'string' },
    },
  });
  if (values.cache !== undefined) {
    console.log(JSON.stringify(await measureLookUps(values.cache, Number(values.entries))));
    return;
  }
  const rows: object[] = [];
  for (let entries = 10_000; entries <= Number(values.max); entries *= 10) {
    rows.push(await measure(entries));
    console.error(JSON.stringify(rows.at(-1)));
  }
  console.table(rows);
  console.table([await measureFeatureTable()]);
}

async function measure(entries: number): Promise<object> {
  const root = mkdtempSync(join(tmpdir(), 'varve-bench-'));
  try {
    const inserted = await measureInserts(join(root, 'inserted'), entries);
    rmSync(join(root, 'inserted'), { recursive: true });
    const cacheDir = join(root, 'rebuilt');
    const rebuilt = await measureRebuild(cacheDir, entries);
    await addTenth(cacheDir, entries);
    const lookUps = lookUpInChild(cacheDir, entries);
    const merged = await measureMerge(cacheDir, 1.1 * entries);
    return { entries, ...inserted, ...lookUps, ...merged, ...rebuilt };
  } finally {
    rmSync(root, { recursive: true });
  }
}

async function measureInserts(cacheDir: string, entries: number): Promise<object> {
  const index = await LocalIndex.open({ cacheDir, repositoryId });
  const random = seededRandom(entries);
  const total: Spent = { processorMs: 0, wallMs: 0 };
  const walls: number[] = [];
  for (const pack of packsOf(random, 0, entries / BLOBS_PER_PACK)) {
    const spent = await spentOn(() => index.addPack(pack));
    total.processorMs += spent.processorMs;
    walls.push(spent.wallMs);
    total.wallMs += spent.wallMs;
  }
  await index.close();
  return {
    insertMsPerPack: round((total.processorMs / entries) * BLOBS_PER_PACK),
    wallMsPerPack: round((total.wallMs / entries) * BLOBS_PER_PACK),
    wallMsMedian: round(median(walls)),
    insertedMiB: fileMiB(cacheDir),
  };
}

async function measureRebuild(cacheDir: string, entries: number): Promise<object> {
  const index = await LocalIndex.open({ cacheDir, repositoryId });
  const spent = await applyAll(index, { random: seededRandom(entries), first: 0, entries });
  await index.close();
  return {
    rebuiltPerSecond: perSecond(entries, spent),
    rebuiltWall: perWallSecond(entries, spent),
    rebuiltMiB: fileMiB(cacheDir),
  };
}

async function addTenth(cacheDir: string, entries: number): Promise<void> {
  const mergeBounds = { min: Number.POSITIVE_INFINITY, max: Number.POSITIVE_INFINITY };
  const index = await LocalIndex.open({ cacheDir, repositoryId, mergeBounds });
  const random = seededRandom(LARGE_RANDOM);
  await applyAll(index, { random, first: entries, entries: entries / 10 });
  await index.close();
}

/** The view is the one of before, so that the merge is all there is to write. */
async function measureMerge(cacheDir: string, entries: number): Promise<object> {
  const mergeBounds = { min: 1, max: 1 };
  const index = await LocalIndex.open({ cacheDir, repositoryId, mergeBounds });
  const listed = new Map([...index.packs()].map(({ name, length }) => [name, length]));
  const spent = await spentOn(() => index.updateStates({ listed, dead: new Set() }));
  await index.close();
  return { mergedPerSecond: perSecond(entries, spent), mergedWall: perWallSecond(entries, spent) };
}

/** As a session does: all segments, then the view. Making the packs is not counted. */
async function applyAll(
  index: LocalIndex,
  content: { random: SeededRandom; first: number; entries: number },
): Promise<Spent> {
  const total: Spent = { processorMs: 0, wallMs: 0 };
  const listed = new Map<PackName, number>();
  for (const { name, length } of index.packs()) listed.set(name, length);
  const packCount = content.entries / BLOBS_PER_PACK;
  for (let done = 0; done < packCount; done += PACKS_PER_SEGMENT) {
    const first = content.first / BLOBS_PER_PACK + done;
    const count = Math.min(PACKS_PER_SEGMENT, packCount - done);
    const packs = [...packsOf(content.random, first, count)];
    for (const { name, length } of packs) listed.set(name, length);
    const segment = { name: segmentName(`${first}`), segment: segmentOf(packs) };
    addSpent(total, await spentOn(() => index.applySegments([segment])));
  }
  addSpent(total, await spentOn(() => index.updateStates({ listed, dead: new Set() })));
  return total;
}

function* packsOf(random: SeededRandom, first: number, count: number): Generator<PackRecord> {
  for (let i = first; i < first + count; i++) {
    yield bigPackOf(`${i}`, randomIds(random, BLOBS_PER_PACK));
  }
}

function lookUpInChild(cacheDir: string, entries: number): LookUpFigures {
  const program = process.argv[1] as string;
  const args = [program, 'lookup', `--cache=${cacheDir}`, `--entries=${entries}`];
  const output = execFileSync(process.execPath, args, { encoding: 'utf8' });
  return JSON.parse(output.trim().split('\n').at(-1) as string);
}

async function measureLookUps(cacheDir: string, entries: number): Promise<LookUpFigures> {
  const random = seededRandom(entries);
  const packCount = entries / BLOBS_PER_PACK;
  const stored: BlobId[] = [];
  for (let i = 0; i < packCount; i++) {
    const ids = randomIds(random, BLOBS_PER_PACK);
    const share = Math.ceil(LOOKUP_COUNT / packCount);
    stored.push(...ids.slice(0, share));
  }
  const unknown = randomIds(random, stored.length);
  const asked = shuffled(stored, random);
  const before = anonymousMiB();
  const start = process.cpuUsage();
  const index = await LocalIndex.open({ cacheDir, repositoryId });
  isPresent(index, asked[0] as BlobId);
  const { user, system } = process.cpuUsage(start);
  const firstMs = round((user + system) / 1000);
  const figures = {
    hitsPerSecond: await lookUpsPerSecond(index, asked, true),
    missesPerSecond: await lookUpsPerSecond(index, unknown, false),
    firstMs,
    anonymousMiB: anonymousMiB() - before,
  };
  await index.close();
  return figures;
}

/** Median of the runs, each over all of `ids`. */
async function lookUpsPerSecond(
  index: LocalIndex,
  ids: readonly BlobId[],
  expected: boolean,
): Promise<number> {
  const rates: number[] = [];
  for (let i = 0; i <= RUN_COUNT; i++) {
    const spent = await spentOn(() => {
      for (const id of ids) if (isPresent(index, id) !== expected) throw new Error('Wrong answer');
    });
    // The first one warms up.
    if (i > 0) rates.push(perSecond(ids.length, spent));
  }
  return median(rates);
}

function addSpent(total: Spent, spent: Spent): void {
  total.processorMs += spent.processorMs;
  total.wallMs += spent.wallMs;
}

function perSecond(count: number, { processorMs }: Spent): number {
  return Math.round((1000 * count) / processorMs);
}

function perWallSecond(count: number, { wallMs }: Spent): number {
  return Math.round((1000 * count) / wallMs);
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] as number;
}

function fileMiB(cacheDir: string): number {
  return Math.round(statSync(join(cacheDir, toHex(repositoryId), 'data.mdb')).size / 2 ** 20);
}

/** Copies in a random order, one after the other in memory as new ids are. */
function shuffled(ids: readonly BlobId[], random: SeededRandom): BlobId[] {
  const order = ids.map((_, i) => i);
  for (let i = order.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [order[i], order[j]] = [order[j] as number, order[i] as number];
  }
  return order.map((i) => (ids[i] as BlobId).slice() as BlobId);
}
