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
/**
 * The one result buffer of this thread, seen as the machine writes it: calls are synchronous and
 * decode it at once.
 */
const result = new Uint8Array(256);
const result16 = new Uint16Array(result.buffer);
const result32 = new Uint32Array(result.buffer);
const result64 = new BigUint64Array(result.buffer);
const resultSigned64 = new BigInt64Array(result.buffer);

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
  const mode = result16[14] as number;
  const type = typeOf(mode);
  const hasBirthTime = (u32(0) & statxBirthTime) !== 0;
  return {
    type,
    mode: mode & modeMask,
    linkCount: u32(16),
    uid: u32(20),
    gid: u32(24),
    size: result64[5] as bigint,
    device: u32(136) * 2 ** 32 + u32(140),
    inode: result64[4] as bigint,
    special: type === 'c' || type === 'b' ? { major: u32(128), minor: u32(132) } : noDevice,
    mtime: timeAt(112),
    ctime: timeAt(96),
    // Written out, not spread: V8 gives every object made by a spread a shape of its own.
    birthTime: hasBirthTime ? timeAt(80) : undefined,
  };
}

function u32(offset: number): number {
  return result32[offset >> 2] as number;
}

function timeAt(offset: number): Timestamp {
  return { seconds: resultSigned64[offset >> 3] as bigint, nanoseconds: u32(offset + 8) };
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
