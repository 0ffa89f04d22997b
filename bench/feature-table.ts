/**
 * The table of features, a part of the bench `lookup`: what a new chunk pays for looking up its
 * features and entering them in a full table, what the table takes of memory, and what it costs to
 * fill it from the directories of packs, to write it into the local index and to load it.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LocalIndex } from '../src/index/local-index.ts';
import { FeatureTable, hitsLength } from '../src/similarity/feature-table.ts';
import {
  bigPackOf,
  listingOf,
  randomIds,
  testRepositoryId as repositoryId,
  segmentName,
  segmentOf,
} from '../test/helpers/index-packs.ts';
import { seededRandom } from '../test/helpers/seeded-random.ts';
import { anonymousMiB, round, spentOn } from './process-figures.ts';

const FEATURES_SIZE = 24;
const BATCH_COUNT = 4096;
const BLOBS_PER_PACK = 1000;
const PACKS_PER_SEGMENT = 100;

export async function measureFeatureTable(): Promise<object> {
  const inMemory = await measureChunks();
  const cacheDir = mkdtempSync(join(tmpdir(), 'varve-bench-'));
  try {
    await storePacks(cacheDir, new FeatureTable().capacity);
    return { ...inMemory, ...(await measurePages(cacheDir)) };
  } finally {
    rmSync(cacheDir, { recursive: true });
  }
}

/** Twice as many chunks as it has room for; the second half is measured. */
async function measureChunks(): Promise<object> {
  const random = seededRandom(1);
  const words = new Uint32Array((BATCH_COUNT * FEATURES_SIZE) / 4);
  const features = Array.from(
    { length: BATCH_COUNT },
    (_, i) => new Uint8Array(words.buffer, i * FEATURES_SIZE, FEATURES_SIZE),
  );
  const hits = new Uint32Array(hitsLength);
  const before = anonymousMiB();
  const table = new FeatureTable();
  const madeMiB = anonymousMiB() - before;
  let [done, measured, processorMs] = [0, 0, 0];
  while (done < 2 * table.capacity) {
    for (let i = 0; i < words.length; i++) words[i] = random.below(2 ** 32);
    const packNo = 1 + Math.floor(done / BATCH_COUNT);
    const spent = await spentOn(() => {
      for (let slot = 0; slot < BATCH_COUNT; slot++) {
        table.lookUp(features[slot] as Uint8Array, hits);
        table.insert(features[slot] as Uint8Array, packNo, slot);
      }
    });
    done += BATCH_COUNT;
    if (done < table.capacity) continue;
    measured += BATCH_COUNT;
    processorMs += spent.processorMs;
  }
  const microsecondsPerChunk = Math.round((1e5 * processorMs) / measured) / 100;
  return { microsecondsPerChunk, madeMiB, fullMiB: anonymousMiB() - before };
}

async function storePacks(cacheDir: string, count: number): Promise<void> {
  const index = await LocalIndex.open({ cacheDir, repositoryId });
  const random = seededRandom(2);
  let segmentCount = 0;
  const listed = listingOf([]);
  for (let done = 0; done < count; ) {
    const packs = Array.from({ length: PACKS_PER_SEGMENT }, (_, i) => {
      const features = random.bytes(FEATURES_SIZE * BLOBS_PER_PACK);
      return bigPackOf(`${done} ${i}`, randomIds(random, BLOBS_PER_PACK), features);
    });
    for (const { name, length } of packs) listed.set(name, length);
    const name = segmentName(`${segmentCount++}`);
    await index.applySegments([{ name, segment: segmentOf(packs) }]);
    done += PACKS_PER_SEGMENT * BLOBS_PER_PACK;
  }
  await index.updateStates({ listed, dead: new Set() });
  await index.close();
}

async function measurePages(cacheDir: string): Promise<object> {
  const first = await LocalIndex.open({ cacheDir, repositoryId });
  first.loadFeatures(new FeatureTable());
  const refilled = await spentOn(() => first.refillFeatures());
  const saved = await spentOn(() => first.saveFeatures());
  await first.close();
  const second = await LocalIndex.open({ cacheDir, repositoryId });
  const table = new FeatureTable();
  const loaded = await spentOn(() => second.loadFeatures(table));
  await second.close();
  return {
    refillMs: round(refilled.processorMs),
    saveMs: round(saved.processorMs),
    saveWallMs: round(saved.wallMs),
    loadMs: round(loaded.processorMs),
  };
}
