/**
 * The points at which a test can stop the local backend: before each step of its order of writes
 * and after the last. A test can go through the list; a name that is not in it does not compile.
 */
import { failpoint } from '../util/failpoint.ts';

export const STORAGE_FAILPOINTS = [
  'storage.directory.before-create',
  'storage.directory.after-create',
  'storage.put.before-open',
  'storage.put.before-write',
  'storage.put.before-file-sync',
  'storage.put.before-close',
  'storage.put.before-link',
  'storage.put.before-unlink',
  'storage.put.after-unlink',
  'storage.put.before-rename',
  'storage.put.after-rename',
  'storage.sync.before-directory-sync',
  'storage.sync.after-directory-sync',
  'storage.delete.before-unlink',
  'storage.delete.after-unlink',
] as const;

type StorageFailpoint = (typeof STORAGE_FAILPOINTS)[number];

export function pass(point: StorageFailpoint): Promise<void> {
  return failpoint(point);
}
