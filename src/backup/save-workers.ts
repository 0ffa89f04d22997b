/**
 * The workers of a snapshot: how many, how large their packs become, and where they run.
 */
import { shareForSnapshot } from '../repository/memory-shares.ts';
import type { Repository } from '../repository/repository.ts';
import { coreSetup } from '../repository/worker-core.ts';
import { newProbeCounts } from '../similarity/guards.ts';
import { startInline, startThread } from '../util/worker.ts';
import { nodeSourceFs, type SourceFs } from '../walk/source-fs.ts';
import type { SaveReply, SaveRequest } from './save-messages.ts';
import type { StartSaveWorker } from './save-pool.ts';
import type { SaveThreadSetup } from './save-thread.ts';
import { startSaveWorker } from './save-worker.ts';

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
  const { workerCount, dataTarget } = shareForSnapshot({ jobs, memory, packTarget });
  const probeCounts = hasDeltas ? newProbeCounts() : undefined;
  const setup = { ...session, dataTarget, probeCounts };
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
