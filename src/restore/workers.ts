/** The workers of a restore: threads, or the calling thread where a test brings its own tools. */

import { shareForRestore } from '../repository/memory-shares.ts';
import { RangeReader } from '../repository/range-reader.ts';
import type { Repository } from '../repository/repository.ts';
import { coreSetup } from '../repository/worker-core.ts';
import { Turns } from '../util/turns.ts';
import { startInline, startThread } from '../util/worker.ts';
import { WorkerPool } from '../util/worker-pool.ts';
import { runJob } from './job-writer.ts';
import { nodeTargetFs, type TargetFs } from './target-fs.ts';
import { temporaryNames } from './target-run.ts';
import type { WriteAnswer, WriteJob } from './write-job.ts';

export type RestorePool = WorkerPool<WriteJob, WriteAnswer>;

export function startWorkers(repository: Repository, fs: TargetFs | undefined): RestorePool {
  if (repository.jobs === 0 || fs !== undefined)
    return startInlineWorker(repository, fs ?? nodeTargetFs);
  const entry = new URL('./restore-thread.js', import.meta.url);
  const setup = coreSetup(repository);
  return new WorkerPool(shareForRestore(repository), (owner) => startThread(entry, setup, owner));
}

function startInlineWorker(repository: Repository, fs: TargetFs): RestorePool {
  const reader = new RangeReader(repository);
  const tools = { reader, fs, temporaryName: temporaryNames(repository.random) };
  const turns = new Turns(repository.clock, undefined);
  return new WorkerPool(1, (owner) =>
    startInline(
      (reply) => ({
        handle: async ({ number, value }) => {
          if (turns.isOver) await turns.next();
          reply({ number, value: await runJob(tools, value) });
        },
        close: () => {},
      }),
      owner,
    ),
  );
}
