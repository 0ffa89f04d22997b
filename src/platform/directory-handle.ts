/**
 * Operations relative to an open directory. Node has no `openat` family; on Linux the path
 * `/proc/self/fd/N/name` does the same: it starts at the directory behind the descriptor, whatever
 * has happened to its path since, and it stays short at any depth. Elsewhere paths are joined as
 * text, which is good enough to read with and refused where it would be dangerous to write.
 */
import { closeSync, constants, openSync, statSync } from 'node:fs';
import { bufferOf, fromAscii } from '../util/bytes.ts';

/** An open directory and the path by which it was reached (bytes, for messages). */
export interface DirectoryHandle {
  readonly fd: number;
  readonly path: Uint8Array;
}

/** Linux: a descriptor that only names a file; opening it neither blocks nor needs permission. */
export const O_PATH = 0x200000;

const slash = 0x2f;
let isAvailable: boolean | undefined;

/** Whether a path through a descriptor leads to what is open there. */
export function hasDirectoryHandles(): boolean {
  isAvailable ??= process.platform === 'linux' && probe();
  return isAvailable;
}

function probe(): boolean {
  try {
    const fd = openSync('/proc/self', constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      return statSync(`/proc/self/fd/${fd}/fd`).isDirectory();
    } finally {
      closeSync(fd);
    }
  } catch {
    // No /proc here.
    return false;
  }
}

/** A path that leads to what the descriptor is open on, be it a symlink. */
export function descriptorPath(fd: number): Uint8Array {
  return fromAscii(`/proc/self/fd/${fd}`);
}

/** A path of the directory itself, for calls that take no descriptor. */
export function selfPath(directory: DirectoryHandle): Uint8Array {
  return hasDirectoryHandles() ? descriptorPath(directory.fd) : directory.path;
}

/** A path of the entry `name` in the directory. */
export function childPath(directory: DirectoryHandle, name: Uint8Array): Uint8Array {
  return joinPath(selfPath(directory), name);
}

/** One path of all, with one slash between each two. */
export function joinPath(top: Uint8Array, ...names: readonly Uint8Array[]): Uint8Array {
  const start = top.at(-1) === slash ? top.length - 1 : top.length;
  let size = start;
  for (const name of names) size += 1 + name.length;
  const joined = new Uint8Array(size);
  joined.set(top.subarray(0, start));
  let offset = start;
  for (const name of names) {
    joined[offset] = slash;
    joined.set(name, offset + 1);
    offset += 1 + name.length;
  }
  return names.length === 0 ? top : joined;
}

/** Opens a directory for reading its names; a symlink in the last place is an error (ELOOP). */
export function openDirectory(path: Uint8Array): number {
  const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;
  return openSync(bufferOf(path), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}
