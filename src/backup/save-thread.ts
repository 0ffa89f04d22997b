/** The module that a thread of a snapshot runs: a save worker with a storage of its own. */
import { type CoreSetup, openWorkerCore } from '../repository/worker-core.ts';
import { serveThread } from '../util/worker.ts';
import { nodeSourceFs } from '../walk/source-fs.ts';
import type { SaveReply, SaveRequest } from './save-messages.ts';
import { type SaveWorkerOptions, startSaveWorker } from './save-worker.ts';

export interface SaveThreadSetup extends Omit<SaveWorkerOptions, 'core' | 'fs'> {
  readonly core: CoreSetup;
}

serveThread<SaveThreadSetup, SaveRequest, SaveReply>(async (setup, reply) => {
  const core = await openWorkerCore(setup.core, () => {});
  const worker = startSaveWorker({ ...setup, core, fs: nodeSourceFs }, reply);
  return {
    handle: (request) => worker.handle(request),
    close: async () => {
      await worker.close();
      await core.storage.close();
    },
  };
});
