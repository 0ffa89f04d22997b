/**
 * Giving a file a name without trusting names: a hard link to what is open, not to what a path
 * happens to lead to by now, and a rename that never replaces anything.
 */
import { lstatSync, renameSync } from 'node:fs';
import { constants } from 'node:os';
import { bufferOf } from '../util/bytes.ts';
import { childPath, type DirectoryHandle, descriptorPath } from './directory-handle.ts';
import {
  atCurrentDirectory,
  atSymlinkFollow,
  cString,
  demandSuccess,
  type Libc,
  libc,
  systemError,
} from './libc.ts';

const renameNoReplaceFlag = 1;

/** Makes `path` another name of what the descriptor is open on. */
export function linkDescriptor(fd: number, path: Uint8Array): void {
  const library = libc();
  if (library === undefined) throw systemError('linkat', constants.errno.ENOSYS);
  const from = cString(descriptorPath(fd));
  const here = atCurrentDirectory;
  const result = library.linkat(here, from, here, cString(path), atSymlinkFollow);
  demandSuccess(library, 'linkat', result);
}

interface Names {
  readonly from: Uint8Array;
  readonly to: Uint8Array;
}

/** Renames within a directory; fails with EEXIST where there is something under the new name. */
export function renameNoReplace(directory: DirectoryHandle, names: Names): void {
  const library = libc();
  if (library === undefined || !renameByKernel(library, directory.fd, names)) {
    renameIfFree(childPath(directory, names.from), childPath(directory, names.to));
  }
}

/** Renames within a directory; what is under the new name is replaced, unless it is a directory. */
export function renameReplacing(directory: DirectoryHandle, { from, to }: Names): void {
  renameSync(bufferOf(childPath(directory, from)), bufferOf(childPath(directory, to)));
}

/** False where the file system knows rename only without flags, as some network ones do. */
function renameByKernel(library: Libc, fd: number, { from, to }: Names): boolean {
  const result = library.renameat2(fd, cString(from), fd, cString(to), renameNoReplaceFlag);
  if (result === 0) return true;
  const error = systemError('renameat2', library.errno());
  if (error.code === 'EINVAL' || error.code === 'ENOSYS') return false;
  throw error;
}

/** As good as it gets without the flag: a name made in between is replaced, never followed. */
function renameIfFree(from: Uint8Array, to: Uint8Array): void {
  const existing = lstatSync(bufferOf(to), { throwIfNoEntry: false });
  if (existing !== undefined) throw systemError('rename', constants.errno.EEXIST);
  renameSync(bufferOf(from), bufferOf(to));
}
