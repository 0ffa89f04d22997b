/**
 * An entry of its own: what is decoded from a page are views of it, and of all that was decompressed
 * with it, so that whoever keeps a few entries of many pages would keep the pages.
 */
import type { DirectoryEntry, DirectoryRoot } from './node.ts';

export function copyEntry(entry: DirectoryEntry): DirectoryEntry {
  return copyValue(entry);
}

export function copyRoot(root: DirectoryRoot): DirectoryRoot {
  const { id, height, entries, bytes } = root;
  return { id: copyValue(id), height, entries, bytes };
}

/** Bytes, lists and plain objects, at any depth. */
function copyValue<T>(value: T): T {
  if (value instanceof Uint8Array) return Uint8Array.from(value) as T;
  if (Array.isArray(value)) return value.map(copyValue) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, copyValue(inner)]),
  ) as T;
}
