/**
 * The seam between restore and the file system it writes: every call it makes. None follows a
 * symlink in the last place but `openTarget`, whose path the user typed.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import {
  type DirectoryHandle,
  descriptorPath,
  hasDirectoryHandles,
  O_PATH,
  openDirectory,
  selfPath,
} from '../platform/directory-handle.ts';
import {
  type AttributeTarget,
  getAttribute,
  removeAttribute,
  setAttribute,
} from '../platform/extended-attributes.ts';
import { addFileFlags } from '../platform/file-flags.ts';
import { type FileStat, statDescriptor } from '../platform/file-stat.ts';
import { linkDescriptor, renameNoReplace, renameReplacing } from '../platform/link.ts';
import { makeSpecialFile, type SpecialFile } from '../platform/special-file.ts';
import { type FileTimes, futimens, utimens } from '../platform/times.ts';
import { bufferOf } from '../util/bytes.ts';

export interface TargetFs {
  /** Whether paths made of a descriptor and a name lead where the descriptor is open. */
  hasDirectoryHandles(): boolean;
  /** Undefined where the system has no users in this sense. */
  effectiveUid(): number | undefined;
  /** With its parents where they are missing; nothing happens if it is there. */
  makeTarget(path: Uint8Array): void;
  openTarget(path: Uint8Array): number;
  isEmpty(directory: DirectoryHandle): boolean;
  makeDirectory(path: Uint8Array): void;
  openDirectory(path: Uint8Array): number;
  /** A new regular file for writing, private to us. */
  createFile(path: Uint8Array): number;
  /** A descriptor that names whatever is there, symlinks included, without opening it. */
  openEntry(path: Uint8Array): number;
  makeSymlink(path: Uint8Array, target: Uint8Array): void;
  makeSpecial(directory: DirectoryHandle, name: Uint8Array, special: SpecialFile): void;
  /** Another name for what the descriptor names. */
  linkDescriptor(fd: number, path: Uint8Array): void;
  /** Fails where the new name is taken. */
  renameNoReplace(directory: DirectoryHandle, names: { from: Uint8Array; to: Uint8Array }): void;
  /** Replaces whatever has the new name, but for a directory. */
  renameReplacing(directory: DirectoryHandle, names: { from: Uint8Array; to: Uint8Array }): void;
  unlink(path: Uint8Array): void;
  /** Fails where the directory holds something. */
  removeDirectory(path: Uint8Array): void;
  fstat(fd: number): FileStat;
  /** How many bytes were written. */
  write(fd: number, bytes: Uint8Array, position: number): number;
  truncate(fd: number, size: number): void;
  /** -1 leaves a number as it is. */
  chown(fd: number, uid: number, gid: number): void;
  chmod(fd: number, mode: number): void;
  setTimes(fd: number, times: FileTimes): void;
  /** The target is a descriptor, or a path through one of `openEntry`. */
  setAttribute(target: AttributeTarget, name: Uint8Array, value: Uint8Array): void;
  removeAttribute(target: AttributeTarget, name: Uint8Array): void;
  /** Of a descriptor. */
  hasAttribute(fd: number, name: Uint8Array): boolean;
  /** Those of `flags` that could not be set. */
  addFlags(fd: number, flags: number): number;
  /** A descriptor for reading of what that of `openEntry` names, a file or directory. */
  reopen(fd: number): number;
  /** The three that a descriptor of `openEntry` takes. */
  chownEntry(fd: number, uid: number, gid: number): void;
  chmodEntry(fd: number, mode: number): void;
  setEntryTimes(fd: number, times: FileTimes): void;
  /** Of a file that was written: some file systems tell only now that bytes were lost. */
  closeWritten(fd: number): void;
  /** Of anything else; never fails. */
  close(fd: number): void;
}

const directoryMode = 0o700;
const fileMode = 0o600;

export const nodeTargetFs: TargetFs = {
  hasDirectoryHandles,
  effectiveUid: () => process.geteuid?.(),
  makeTarget: (path) => {
    mkdirSync(bufferOf(path), { recursive: true, mode: directoryMode });
  },
  openTarget: (path) => openSync(bufferOf(path), constants.O_RDONLY | constants.O_DIRECTORY),
  isEmpty: (directory) => readdirSync(bufferOf(selfPath(directory)), 'latin1').length === 0,
  makeDirectory: (path) => {
    mkdirSync(bufferOf(path), { mode: directoryMode });
  },
  openDirectory,
  createFile: (path) => {
    const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
    return openSync(bufferOf(path), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, fileMode);
  },
  openEntry: (path) => openSync(bufferOf(path), O_PATH | constants.O_NOFOLLOW),
  makeSymlink: (path, target) => symlinkSync(bufferOf(target), bufferOf(path)),
  makeSpecial: makeSpecialFile,
  linkDescriptor,
  renameNoReplace,
  renameReplacing,
  unlink: (path) => unlinkSync(bufferOf(path)),
  removeDirectory: (path) => rmdirSync(bufferOf(path)),
  fstat: statDescriptor,
  write: (fd, bytes, position) => writeSync(fd, bytes, 0, bytes.length, position),
  truncate: ftruncateSync,
  chown: fchownSync,
  chmod: fchmodSync,
  setTimes: futimens,
  setAttribute,
  removeAttribute,
  hasAttribute: (fd, name) => getAttribute(fd, name) !== undefined,
  addFlags: addFileFlags,
  reopen: (fd) => {
    const { O_RDONLY, O_NONBLOCK } = constants;
    return openSync(bufferOf(descriptorPath(fd)), O_RDONLY | O_NONBLOCK);
  },
  chmodEntry: (fd, mode) => chmodSync(bufferOf(descriptorPath(fd)), mode),
  chownEntry: (fd, uid, gid) => chownSync(bufferOf(descriptorPath(fd)), uid, gid),
  setEntryTimes: (fd, times) => utimens(descriptorPath(fd), times, false),
  closeWritten: closeSync,
  close: (fd) => {
    try {
      closeSync(fd);
    } catch {
      // Nothing can be lost by it, and the descriptor is gone all the same.
    }
  },
};
