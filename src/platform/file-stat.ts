/**
 * What a file system says about one entry. On Linux by `statx` relative to a directory descriptor:
 * 1.7 us per entry, against 2.9 us for `lstatSync` with big integers on an absolute path and 5.5 us
 * on a path through /proc (20,000 files of one directory, warm cache). Elsewhere by Node's `stat`.
 */
import { type BigIntStats, fstatSync, lstatSync, statSync } from 'node:fs';
import { bufferOf } from '../util/bytes.ts';
import { childPath, type DirectoryHandle } from './directory-handle.ts';
import {
  atCurrentDirectory,
  atEmptyPath,
  atNoAutomount,
  atSymlinkNofollow,
  cName,
  cString,
  demandSuccess,
  type Libc,
  libc,
} from './libc.ts';
import type { Timestamp } from './times.ts';

/** File, directory, symlink, character and block device, pipe, socket. */
export type FileType = 'f' | 'd' | 'l' | 'c' | 'b' | 'p' | 's';

export interface FileStat {
  /** Undefined for a kind of file this program does not know. */
  readonly type: FileType | undefined;
  /** Permission, setuid, setgid and sticky bits. */
  readonly mode: number;
  readonly linkCount: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: bigint;
  /** Bytes that the file system keeps for it: fewer than `size` where it has holes, or is compressed. */
  readonly allocatedSize?: number | undefined;
  /** Of the file system; to be compared, not to be stored: it changes between boots. */
  readonly device: number;
  readonly inode: bigint;
  /** Of a character or block device. */
  readonly special: { readonly major: number; readonly minor: number };
  readonly mtime: Timestamp;
  readonly ctime: Timestamp;
  /** Absent where the file system keeps none. */
  readonly birthTime?: Timestamp | undefined;
}

/** What `path` names, following symlinks. */
export function statPath(path: Uint8Array): FileStat {
  const library = statxLibrary();
  if (library === undefined) return fromNode(statSync(bufferOf(path), { bigint: true }));
  return statx(library, atCurrentDirectory, cString(path), 0);
}

/** What `path` names; a symlink in the last place is not followed. */
export function lstatPath(path: Uint8Array): FileStat {
  const library = statxLibrary();
  if (library === undefined) return fromNode(lstatSync(bufferOf(path), { bigint: true }));
  return statx(library, atCurrentDirectory, cString(path), atSymlinkNofollow);
}

/** The entry `name` (latin1 text) of an open directory; a symlink is not followed. */
export function lstatChild(directory: DirectoryHandle, name: string): FileStat {
  const library = statxLibrary();
  if (library === undefined) return lstatPath(childPath(directory, Buffer.from(name, 'latin1')));
  return statx(library, directory.fd, cName(name), atSymlinkNofollow);
}

/** What the descriptor is open on. */
export function statDescriptor(fd: number): FileStat {
  const library = statxLibrary();
  if (library === undefined) return fromNode(fstatSync(fd, { bigint: true }));
  return statx(library, fd, emptyPath, atEmptyPath);
}

const emptyPath = new Uint8Array(1);
const modeMask = 0o7777;
/** In the order of the four bits above the mode; a blank is a number without a meaning. */
const typeLetters = ' pc d b f l s   ';
const types = Array.from(typeLetters, (letter) => (letter === ' ' ? undefined : letter));
const noDevice = { major: 0, minor: 0 } as const;

function typeOf(mode: number): FileType | undefined {
  return types[mode >> 12] as FileType | undefined;
}

/** STATX_BASIC_STATS and STATX_BTIME. */
const statxMask = 0xfff;
const statxBirthTime = 0x800;

/** A buffer with results of `statx`, seen as the machine writes them. */
export interface StatViews {
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
  readonly u64: BigUint64Array;
  readonly i64: BigInt64Array;
}

/** @param buffer of a multiple of 8 bytes */
export function statViews(buffer: ArrayBufferLike): StatViews {
  return {
    u16: new Uint16Array(buffer),
    u32: new Uint32Array(buffer),
    u64: new BigUint64Array(buffer),
    i64: new BigInt64Array(buffer),
  };
}

/** The one result buffer of this thread: calls are synchronous and it is read at once. */
const result = new Uint8Array(256);
const resultViews = statViews(result.buffer);
/** Bytes of a result that say something; a multiple of 8. */
export const packedStatSize = 144;
const packedResult = result.subarray(0, packedStatSize);

let isStatxUsable: boolean | undefined;

/** The library if `statx` works: old kernels lack it and some sandboxes forbid it. */
function statxLibrary(): Libc | undefined {
  const library = libc();
  if (library === undefined) return undefined;
  isStatxUsable ??= library.statx(atCurrentDirectory, rootPath, 0, statxMask, result) === 0;
  return isStatxUsable ? library : undefined;
}

const rootPath = cString(Uint8Array.of(0x2f));

function statx(library: Libc, fd: number, path: Uint8Array, flags: number): FileStat {
  // Looking at a directory must not mount a file system on it.
  const status = library.statx(fd, path, flags | atNoAutomount, statxMask, result);
  demandSuccess(library, 'statx', status);
  return unpackStat(resultViews, 0);
}

/** Whether the two calls below can say anything here. */
export function canPackStats(): boolean {
  return statxLibrary() !== undefined;
}

/**
 * What `lstatChild` says, as `packedStatSize` bytes for `unpackStat`, perhaps in another thread. False
 * where it would throw; nothing is then put into `target`.
 *
 * @param offset of the place in `target`, a multiple of 8
 */
export function packChildStat(
  directory: DirectoryHandle,
  name: string,
  target: Uint8Array,
  offset: number,
): boolean {
  return pack(directory.fd, cName(name), atSymlinkNofollow, target, offset);
}

/** The same of what `statDescriptor` says. */
export function packDescriptorStat(fd: number, target: Uint8Array, offset: number): boolean {
  return pack(fd, emptyPath, atEmptyPath, target, offset);
}

function pack(
  fd: number,
  path: Uint8Array,
  flags: number,
  target: Uint8Array,
  offset: number,
): boolean {
  const library = statxLibrary();
  if (library === undefined) return false;
  if (library.statx(fd, path, flags | atNoAutomount, statxMask, result) !== 0) return false;
  target.set(packedResult, offset);
  return true;
}

/** The parts of a packed stat that are often all that is asked. `offset` in bytes, a multiple of 8. */
export function packedType({ u16 }: StatViews, offset: number): FileType | undefined {
  return typeOf(u16[(offset >> 1) + 14] as number);
}

export function packedDevice({ u32 }: StatViews, offset: number): number {
  const word = offset >> 2;
  return (u32[word + 34] as number) * 2 ** 32 + (u32[word + 35] as number);
}

export function unpackStat(views: StatViews, offset: number): FileStat {
  const { u32, u64 } = views;
  const mode = views.u16[(offset >> 1) + 14] as number;
  const type = typeOf(mode);
  const word = offset >> 2;
  const hasBirthTime = ((u32[word] as number) & statxBirthTime) !== 0;
  return {
    type,
    mode: mode & modeMask,
    linkCount: u32[word + 4] as number,
    uid: u32[word + 5] as number,
    gid: u32[word + 6] as number,
    size: u64[(offset >> 3) + 5] as bigint,
    allocatedSize: Number(u64[(offset >> 3) + 6]) * blockSize,
    device: packedDevice(views, offset),
    inode: u64[(offset >> 3) + 4] as bigint,
    special:
      type === 'c' || type === 'b'
        ? { major: u32[word + 32] as number, minor: u32[word + 33] as number }
        : noDevice,
    mtime: timeAt(views, offset + 112),
    ctime: timeAt(views, offset + 96),
    // Written out, not spread: V8 gives every object made by a spread a shape of its own.
    birthTime: hasBirthTime ? timeAt(views, offset + 80) : undefined,
  };
}

/** In which systems count what a file takes, whatever blocks it is kept in. */
const blockSize = 512;

function timeAt({ i64, u32 }: StatViews, offset: number): Timestamp {
  return {
    seconds: i64[offset >> 3] as bigint,
    nanoseconds: u32[(offset >> 2) + 2] as number,
  };
}

function fromNode(stats: BigIntStats): FileStat {
  const mode = Number(stats.mode);
  return {
    type: typeOf(mode),
    mode: mode & modeMask,
    linkCount: Number(stats.nlink),
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    size: stats.size,
    allocatedSize: Number(stats.blocks) * blockSize,
    device: Number(stats.dev),
    inode: stats.ino,
    special: splitDevice(stats.rdev),
    mtime: splitNs(stats.mtimeNs),
    ctime: splitNs(stats.ctimeNs),
    birthTime: stats.birthtimeNs === 0n ? undefined : splitNs(stats.birthtimeNs),
  };
}

const nsPerSecond = 1_000_000_000n;

function splitNs(ns: bigint): Timestamp {
  const rest = ((ns % nsPerSecond) + nsPerSecond) % nsPerSecond;
  return { seconds: (ns - rest) / nsPerSecond, nanoseconds: Number(rest) };
}

/** The encoding of device numbers that C libraries on Linux use. */
function splitDevice(device: bigint): { major: number; minor: number } {
  return {
    major: Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n)),
    minor: Number((device & 0xffn) | ((device >> 12n) & 0xffffff00n)),
  };
}
