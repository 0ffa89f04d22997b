/**
 * From what the operating system says to what the user reads: errno becomes `StorageError`, once,
 * where operation and object are known. Everything else (cancelling, our own errors, failed
 * assertions) passes unchanged.
 */
import { errnoCode, StorageError } from '../errors.ts';

const FOUND: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EDQUOT: 'disk quota exceeded',
  EFBIG: 'file too large for this file system',
  EIO: 'input/output error of the device',
  EISDIR: 'a directory where a file belongs',
  ELOOP: 'a symbolic link where a file or directory belongs',
  EMFILE: 'too many open files in this process',
  ENAMETOOLONG: 'path too long for this file system',
  ENFILE: 'too many open files on this machine',
  ENODEV: 'device is gone',
  ENOENT: 'a directory of the repository is missing',
  ENOSPC: 'no space left on device',
  ENOTDIR: 'a file or symbolic link where a directory belongs',
  EPERM: 'operation not permitted',
  EROFS: 'read-only file system',
  ESTALE: 'the network file system lost the file',
  ETIMEDOUT: 'the network file system does not answer',
  EXDEV: 'the directories of the repository are on different file systems',
};

/** Errors that can be gone at the next attempt without anybody doing anything. */
const TRANSIENT = new Set(['EAGAIN', 'EBUSY', 'EINTR', 'EMFILE', 'ENFILE', 'ENOMEM', 'ETIMEDOUT']);

export interface FullStorage {
  readonly location: string;
  /** Bytes, after what could not be stored has been removed again; undefined when not known. */
  readonly freeSize: number | undefined;
  /** Bytes of what could not be stored. */
  readonly neededSize: number;
}

/** What to throw when there was no room for an object. */
export function noSpaceFailure(name: string, full: FullStorage, cause: unknown): StorageError {
  const { location, freeSize, neededSize } = full;
  const found = `${FOUND['ENOSPC']} at "${location}"`;
  if (freeSize === undefined) return new StorageError('store', name, found, { cause });
  // More than that may be free by now: others gave up, too.
  const needed = neededSize > freeSize ? `, needed ${mebibytes(neededSize, Math.ceil)}` : '';
  const room = `free ${mebibytes(freeSize, Math.floor)}${needed}`;
  return new StorageError('store', name, `${found}: ${room}`, { cause });
}

function mebibytes(size: number, round: (value: number) => number): string {
  return `${(round((size / 2 ** 20) * 10) / 10).toFixed(1)} MiB`;
}

/** What to throw when `operation` on `which` ended with `error`. */
export function storageFailure(operation: string, which: string, error: unknown): unknown {
  const code = errnoCode(error);
  if (code === undefined) return error;
  const found = FOUND[code] ?? `error ${code} of the operating system`;
  return new StorageError(operation, which, found, {
    isTransient: TRANSIENT.has(code),
    cause: error,
  });
}
