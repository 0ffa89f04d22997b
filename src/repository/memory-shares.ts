/**
 * Who gets what of the memory of a run (`--memory`; 512 MiB unless told otherwise). Most takers have a
 * fixed size, whatever is saved or read, and are counted here by name; what is left decides how many
 * workers there are and how large the packs become that they build.
 *
 * Figures are peaks with room to spare, in MiB. What a taker holds is bounded where it is made; this is
 * the sum, so whoever makes a cache larger must come here, and `test/operation/memory.slow.ts` measures.
 */

const mebibyte = 2 ** 20;

/** The main thread of a snapshot. */
const snapshotMain = {
  featureTable: 48,
  /** Blobs that are not merged into the base yet, and directories of packs. */
  index: 44,
  /** Two metadata packs, one that fills and one being stored, and what small sessions hold back. */
  metadataPacks: 36,
  /** Entries on their way through the queue, tree pages, V8 itself. */
  heap: 80,
};

/** A worker of a snapshot, besides its packs. */
const snapshotWorker = {
  /** Two batches in the memory of scanners. */
  batches: 9,
  /** Of each kind one that fills, those kept as bases, and the codec. */
  frames: 14,
  /** Windows, frames and plaintexts of `base-reader.ts`. */
  bases: 14,
  heap: 20,
};

/** A pack fills while the one before is stored. */
const packsPerWorker = 2;
/** Smaller packs would be too many; below this there are fewer workers instead. */
const packSizeMin = 16;

/** The main thread of a restore: frames and windows of tree pages, pack directories, two windows. */
const restoreMain = { pages: 40, index: 76, plan: 60, heap: 80 };

/** The main thread of a check that reads all data. */
const checkMain = { pages: 40, index: 76, heap: 76 };

/** A worker that reads: its heap, what was fetched, a frame opened and decoded, bases of deltas. */
const readWorker = { heap: 24, ranges: 8, frames: 8, bases: 14, rest: 26 };

/** Workers of a snapshot and the size of their data packs, bytes. */
export function shareForSnapshot(options: { jobs: number; memory: number; packTarget: number }): {
  workerCount: number;
  dataTarget: number;
} {
  const left = options.memory / mebibyte - sum(snapshotMain);
  const ofWorker = sum(snapshotWorker);
  let workerCount = Math.max(1, options.jobs);
  let packSize = options.packTarget / mebibyte;
  const isTooMuch = (): boolean => workerCount * (ofWorker + packsPerWorker * packSize) > left;
  while (isTooMuch() && packSize / 2 >= packSizeMin) packSize /= 2;
  while (isTooMuch() && workerCount > 1) workerCount -= 1;
  return { workerCount, dataTarget: packSize * mebibyte };
}

/** How many workers a restore has. */
export function shareForRestore(options: { jobs: number; memory: number }): number {
  return readersBeside(restoreMain, options);
}

/** How many workers read packs in a check. */
export function shareForCheck(options: { jobs: number; memory: number }): number {
  return readersBeside(checkMain, options);
}

function readersBeside(
  main: Readonly<Record<string, number>>,
  { jobs, memory }: { jobs: number; memory: number },
): number {
  const left = memory / mebibyte - sum(main);
  return Math.max(1, Math.min(jobs, Math.floor(left / sum(readWorker))));
}

function sum(shares: Readonly<Record<string, number>>): number {
  return Object.values(shares).reduce((total, share) => total + share, 0);
}
