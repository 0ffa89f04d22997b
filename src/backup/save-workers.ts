/**
 * How many workers a snapshot has, how large their packs become, and where they run. Packs being filled
 * or written take at most a quarter of the memory of the run: where that is too little, packs become
 * smaller, and only then are there fewer workers. (With half of it, three workers came to 600 MiB in
 * all: scanners, compressors and heaps of the threads take as much again.)
 */
import type { Repository } from '../repository/repository.ts';
import { coreSetup } from '../repository/worker-core.ts';
import { startInline, startThread } from '../util/worker.ts';
import { nodeSourceFs, type SourceFs } from '../walk/source-fs.ts';
import type { SaveReply, SaveRequest } from './save-messages.ts';
import type { StartSaveWorker } from './save-pool.ts';
import type { SaveThreadSetup } from './save-thread.ts';
import { startSaveWorker } from './save-worker.ts';

/** One pack fills while the one before is stored. */
const packsPerWorker = 2;
const packSizeMin = 2 ** 24;

/** Workers and pack size that fit into the memory of a run. */
export function fitPacks(options: { jobs: number; memory: number; packTarget: number }): {
  workerCount: number;
  dataTarget: number;
} {
  const forPacks = options.memory / 4;
  let workerCount = Math.max(1, options.jobs);
  let dataTarget = options.packTarget;
  const isTooMuch = (): boolean => workerCount * packsPerWorker * dataTarget > forPacks;
  while (isTooMuch() && dataTarget / 2 >= packSizeMin) dataTarget /= 2;
  while (isTooMuch() && workerCount > 1) workerCount -= 1;
  return { workerCount, dataTarget };
}

export function planWorkers(
  repository: Repository,
  {
    session,
    fs,
    hasDeltas,
  }: { session: { sessionId: string; writerId: string }; fs: SourceFs; hasDeltas: boolean },
): { start: StartSaveWorker; workerCount: number } {
  const { jobs, memory, config } = repository;
  const packTarget = config.pack.dataTarget;
  const { workerCount, dataTarget } = fitPacks({ jobs, memory, packTarget });
  const setup = { ...session, dataTarget, hasDeltas };
  const entry = new URL('./save-thread.js', import.meta.url);
  const start: StartSaveWorker = (workerNumber, owner) => {
    const own = { ...setup, workerNumber: workerNumber + 1 };
    // A thread has the system's files only; another source is read where it is.
    if (jobs > 0 && fs === nodeSourceFs) {
      const threadSetup: SaveThreadSetup = { ...own, core: coreSetup(repository) };
      return startThread<SaveRequest, SaveReply>(entry, threadSetup, owner);
    }
    return startInline((reply) => startSaveWorker({ ...own, core: repository, fs }, reply), owner);
  };
  return { start, workerCount };
}
