/** From an error of the operating system to a `SourceError` with a reason that stays the same. */
import { errnoCode, SourceError } from '../errors.ts';
import { printable } from '../util/printable.ts';

/**
 * `missing`: a source that was asked for is not there. `vanished`: it was listed a moment ago.
 * `file_changed`: it is another file or kind of file by now. `not_a_directory`: a source is named
 * inside something that is none.
 */
export type SourceReason =
  | 'permission'
  | 'missing'
  | 'vanished'
  | 'file_changed'
  | 'not_a_directory'
  | 'duplicate_name'
  | 'unsupported'
  | 'busy'
  | 'io';

const reasonByErrno: ReadonlyMap<string, SourceReason> = new Map([
  ['EACCES', 'permission'],
  ['EPERM', 'permission'],
  ['ENOENT', 'vanished'],
  ['ESTALE', 'vanished'],
  // Opening says so when the entry is no longer what `lstat` saw: a symlink, a socket, no directory.
  ['ELOOP', 'file_changed'],
  ['ENOTDIR', 'file_changed'],
  ['EISDIR', 'file_changed'],
  ['ENXIO', 'file_changed'],
  ['EAGAIN', 'busy'],
  ['EBUSY', 'busy'],
]);

export function sourceReason(cause: unknown): SourceReason {
  return reasonByErrno.get(errnoCode(cause) ?? '') ?? 'io';
}

export interface SourceFailure {
  readonly path: Uint8Array;
  /** A verb: "open", "read", "list", … */
  readonly operation: string;
  readonly reason: SourceReason;
  readonly cause?: unknown;
}

export function sourceError(failure: SourceFailure): SourceError {
  const { path, operation, reason, cause } = failure;
  const found = errnoCode(cause) ?? reason.replaceAll('_', ' ');
  const message = `Cannot ${operation} source "${printable(path)}": ${found}`;
  return new SourceError(path, operation, reason, message, cause);
}
