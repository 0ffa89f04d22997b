/**
 * From what the user typed to a storage: `PATH`, or a backend's name before a colon. Only paths are
 * known to this version; the prefixes of the others are refused rather than taken for file names.
 */
import { VersionError } from '../errors.ts';
import { createLocalStorage, openLocalStorage } from './local.ts';
import type { Storage } from './storage.ts';

const OTHER_BACKEND = /^(s3|sftp|rclone):/;

/** Opens what is there. @throws NoRepositoryError, VersionError, StorageError */
export async function openStorage(location: string): Promise<Storage> {
  return await openLocalStorage(localPath(location));
}

/** Opens the storage, making its directory where there is none. @throws VersionError, StorageError */
export async function createStorage(location: string): Promise<Storage> {
  return await createLocalStorage(localPath(location));
}

/** `./s3:x` is a way to name a directory that looks like a backend. */
function localPath(location: string): string {
  const backend = OTHER_BACKEND.exec(location)?.[1];
  if (backend === undefined) return location;
  throw new VersionError(`storage "${location}"`, `backend "${backend}"`, 'local paths only');
}
