/** Creating and opening a repository: what was left out by the caller is filled in here. */
import { availableParallelism } from 'node:os';
import { storeRecover } from '../recover/store-recover.ts';
import { initRepository as initStored } from '../repository/init-repository.ts';
import { defaultCacheDirectory, defaultStateDirectory } from '../repository/local-directories.ts';
import { openRepository as openStored } from '../repository/open-repository.ts';
import { createStorage, openStorage } from '../storage/location.ts';
import { toHex } from '../util/bytes.ts';
import { asPublic } from './calls.ts';
import { credentialOf } from './credential.ts';
import type { InitOptions, OpenOptions } from './options.ts';
import type { Repository } from './repository.ts';

/**
 * Creates a repository.
 * @returns its id (64 hex digits), the name of the key slot made, and where `recover.mjs` was stored.
 * @throws TypeError unless exactly one of passphrase and `isInsecure` is given.
 * @throws RepositoryExistsError, StorageError
 */
export async function initRepository(
  options: InitOptions,
): Promise<{ id: string; location: string; keySlot: string; recoverPath: string | undefined }> {
  const credential = credentialOf(options, 'create repository');
  const storage = await createStorage(options.location);
  try {
    const { id, keySlot } = await initStored({ storage, credential });
    const { location } = storage;
    const recoverPath = options.withRecover ? await storeRecover(location) : undefined;
    return { id: toHex(id), location, keySlot, recoverPath };
  } finally {
    await storage.close();
  }
}

/** @throws NoRepositoryError, KeyError, VersionError, CorruptionError, StorageError */
export async function openRepository(options: OpenOptions): Promise<Repository> {
  const { passphrase, onNotice, jobs = availableParallelism() + 1, memory } = options;
  const storage = await openStorage(options.location);
  try {
    const opened = await openStored({
      storage,
      askPassphrase: async () => {
        const given = typeof passphrase === 'function' ? await passphrase() : passphrase;
        loadAhead();
        return given;
      },
      cacheDirectory: options.cacheDirectory ?? defaultCacheDirectory(),
      stateDirectory: options.stateDirectory ?? defaultStateDirectory(),
      jobs,
      ...(memory !== undefined && { memory }),
      ...(onNotice !== undefined && { onNotice: once(onNotice) }),
    });
    return asPublic(opened);
  } catch (error) {
    await storage.close();
    throw error;
  }
}

/**
 * While a passphrase is stretched, in a thread of Node's own, there is time to load the operation that
 * takes longest; if it is not called, that costs nothing but memory.
 */
function loadAhead(): void {
  // Once the stretching has begun.
  setImmediate(() => {
    // What cannot be loaded is told by the call that needs it.
    import('../backup/take-snapshot.ts').catch(() => {});
  });
}

/** Each text is told once. */
function once(onNotice: (text: string) => void): (text: string) => void {
  const told = new Set<string>();
  return (text) => {
    if (told.has(text)) return;
    told.add(text);
    onNotice(text);
  };
}
