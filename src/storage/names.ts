/**
 * The names a repository gives to its objects, the same on every backend, and the prefixes under
 * which they can be listed (docs/repository-format.md section 2). A backend checks what it is
 * handed on every call, so that no bug above can reach a file outside of these shapes.
 */
import type { ByteRange } from './storage.ts';

const CONTENT_NAMED = [
  /^(?:data|meta|parity)\/([0-9a-f]{2})\/\1[0-9a-f]{62}$/,
  /^index\/[0-3]-[0-9a-f]{64}$/,
  /^tombs\/[0-9a-f]{64}$/,
];

const CHOSEN_NAMES = [
  /^config$/,
  /^config\.d\/[0-9a-f]{8}$/,
  /^keys\/[0-9a-f]{32}$/,
  /^sessions\/[0-9a-f]{32}(?:\.h[0-9a-f]{6})?$/,
  /^snapshots\/[0-9a-f]{32}$/,
  /^gc\/[0-9a-f]{16}\.(?:mark|sweep|done|merged)$/,
  /^probe\/[0-9a-f]{32}$/,
];

const UNFINISHED = /^tmp\/[0-9a-f]{32}\.tmp$/;

const PREFIX =
  /^(?:(?:data|meta|parity)\/(?:[0-9a-f]{2}\/)?|(?:config\.d|keys|index|sessions|snapshots|tombs|gc|tmp|probe)\/)?$/;

/** Whether the name contains the hash of the content, so that equal names mean equal bytes. */
function isContentName(name: string): boolean {
  return CONTENT_NAMED.some((shape) => shape.test(name));
}

/** Whether a listed name is one of ours; all others are ignored and never deleted. */
export function isObjectName(name: string): boolean {
  return isContentName(name) || CHOSEN_NAMES.some((shape) => shape.test(name));
}

export function assertContentName(name: string): void {
  if (!isContentName(name)) throw new TypeError(`not the name of a hash-named object: "${name}"`);
}

export function assertObjectName(name: string): void {
  if (!isObjectName(name)) throw new TypeError(`not the name of a storage object: "${name}"`);
}

/** Unfinished files too: they can be looked at and deleted, but not written by name. */
export function assertStoredName(name: string): void {
  if (!UNFINISHED.test(name)) assertObjectName(name);
}

/** A prefix is a directory with its final slash, or empty for everything but `tmp/`. */
export function assertPrefix(prefix: string): void {
  if (!PREFIX.test(prefix)) throw new TypeError(`not a prefix of storage objects: "${prefix}"`);
}

/** The directory a name lies in, without the slash; empty for the root. */
export function directoryOf(name: string): string {
  return name.slice(0, Math.max(0, name.lastIndexOf('/')));
}

/** A range that makes no sense is the caller's mistake, whatever the object looks like. */
export function assertRange({ offset, length }: ByteRange): void {
  for (const value of [offset, length]) {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new RangeError(`not a byte range: ${length} bytes at offset ${offset}`);
    }
  }
}
