/** From what went wrong at the target to a `TargetError` with a reason that stays the same. */
import { errnoCode, TargetError } from '../errors.ts';
import { printable } from '../util/printable.ts';

/**
 * `name`: not a usable name here. `unsafe`: what is there is not what was made, or could lead out of
 * the target. `hard_link`: another name of a file became a file of its own. `special_bits`: setuid,
 * setgid or sticky left out. `special_file`: device, FIFO or socket left out. `attributes`, `flags`:
 * extended attributes, file flags that are not set.
 */
export type TargetReason =
  | 'permission'
  | 'exists'
  | 'not_empty'
  | 'no_space'
  | 'read_only'
  | 'name'
  | 'unsafe'
  | 'too_deep'
  | 'owner'
  | 'hard_link'
  | 'special_bits'
  | 'special_file'
  | 'attributes'
  | 'flags'
  | 'io';

const reasonByErrno: ReadonlyMap<string, TargetReason> = new Map([
  ['EACCES', 'permission'],
  ['EPERM', 'permission'],
  ['EEXIST', 'exists'],
  ['ENOSPC', 'no_space'],
  ['EDQUOT', 'no_space'],
  ['EROFS', 'read_only'],
  ['ENAMETOOLONG', 'name'],
  ['EILSEQ', 'name'],
  ['ELOOP', 'unsafe'],
  ['ENOTDIR', 'unsafe'],
]);

/** What the system means, where its name says little to a user. */
const foundByErrno: ReadonlyMap<string, string> = new Map([
  ['ENOSPC', 'no space left on device'],
  ['EDQUOT', 'disk quota exceeded'],
]);

export interface TargetFailure {
  readonly path: Uint8Array;
  /** A verb: "create", "write", "link", … */
  readonly operation: string;
  readonly reason: TargetReason;
  readonly found?: string;
  readonly cause?: unknown;
}

export function targetError(failure: TargetFailure): TargetError {
  const { path, operation, reason, cause } = failure;
  const code = errnoCode(cause) ?? '';
  const found = failure.found ?? foundByErrno.get(code) ?? (code || reason.replaceAll('_', ' '));
  const message = messageStart(operation, path) + found;
  return new TargetError(path, operation, reason, message, cause);
}

/** The same error of an entry whose path is now known in whole. */
export function atPath(error: TargetError, path: Uint8Array): TargetError {
  const { operation, reason, cause } = error;
  const found = error.message.slice(messageStart(operation, error.path).length);
  return new TargetError(path, operation, reason, messageStart(operation, path) + found, cause);
}

function messageStart(operation: string, path: Uint8Array): string {
  return `Cannot ${operation} target "${printable(path)}": `;
}

function targetReason(cause: unknown): TargetReason {
  return reasonByErrno.get(errnoCode(cause) ?? '') ?? 'io';
}

/** An operation on an entry; its path is put together only when something goes wrong. */
export interface Attempt {
  readonly operation: string;
  readonly path: () => Uint8Array;
}

/** Does one thing to one entry; what the system says becomes a `TargetError`. */
export function attempt<T>({ operation, path }: Attempt, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    if (cause instanceof TargetError) throw cause;
    throw targetError({ path: path(), operation, reason: targetReason(cause), cause });
  }
}
