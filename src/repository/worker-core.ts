/**
 * The part of an open repository that a worker thread has: storage opened anew, keys and parameters
 * as they were handed over, tools of its own. Never the index: only the main thread opens LMDB, and
 * workers get locations in messages.
 */
import { createBlobIdentifier } from '../blob/blob-ids.ts';
import type { RepositoryId } from '../id.ts';
import type { RepositoryKeys } from '../keys/key-hierarchy.ts';
import type { RepositoryConfig } from '../record/config.ts';
import { openStorage } from '../storage/location.ts';
import { systemClock } from '../util/clock.ts';
import { systemRandom } from '../util/random.ts';
import { ZstdCodec } from '../util/zstd.ts';
import type { OnNotice, RepositoryCore, WorkerCore } from './repository.ts';

/** What a thread needs to open its part; plain data. */
export interface CoreSetup {
  readonly id: RepositoryId;
  readonly location: string;
  readonly keys: RepositoryKeys;
  readonly config: RepositoryConfig;
  readonly canWrite: boolean;
}

export function coreSetup(core: RepositoryCore): CoreSetup {
  const { id, storage, keys, config, canWrite } = core;
  return { id, location: storage.location, keys, config, canWrite };
}

/** Opens the storage of the setup; the caller closes it. @throws StorageError */
export async function openWorkerCore(setup: CoreSetup, onNotice: OnNotice): Promise<WorkerCore> {
  const { location, ...rest } = setup;
  return {
    ...rest,
    storage: await openStorage(location),
    clock: systemClock,
    random: systemRandom,
    onNotice,
    identify: createBlobIdentifier(setup.keys.blobId),
    codec: new ZstdCodec(),
  };
}
