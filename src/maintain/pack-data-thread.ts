/** What a thread of `check --read-data` runs. */
import { type CoreSetup, openWorkerCore } from '../repository/worker-core.ts';
import { serveThread } from '../util/worker.ts';
import type { Numbered } from '../util/worker-pool.ts';
import { type PackReport, type PackRequest, startPackData } from './pack-data.ts';

serveThread<CoreSetup, Numbered<PackRequest>, Numbered<PackReport>>(async (setup, reply) => {
  const core = await openWorkerCore(setup, () => {});
  const body = startPackData(core, reply);
  return {
    handle: body.handle,
    close: async () => {
      await body.close();
      await core.storage.close();
    },
  };
});
