/** The thread of a restore worker. */
import { RangeReader } from '../repository/range-reader.ts';
import { type CoreSetup, openWorkerCore } from '../repository/worker-core.ts';
import { serveThread } from '../util/worker.ts';
import type { Numbered } from '../util/worker-pool.ts';
import { runJob } from './job-writer.ts';
import { nodeTargetFs } from './target-fs.ts';
import { temporaryNames } from './target-run.ts';
import type { WriteAnswer, WriteJob } from './write-job.ts';

serveThread<CoreSetup, Numbered<WriteJob>, Numbered<WriteAnswer>>(async (setup, reply) => {
  const core = await openWorkerCore(setup, () => {});
  const reader = new RangeReader(core);
  const tools = { reader, fs: nodeTargetFs, temporaryName: temporaryNames(core.random) };
  return {
    handle: async ({ number, value }) => reply({ number, value: await runJob(tools, value) }),
    close: () => core.storage.close(),
  };
});
