/**
 * The C library, for the few calls Node lacks. koffi is loaded on the first call and only on Linux;
 * elsewhere, or where it cannot be loaded, `libc()` is undefined and callers fall back or say that
 * they cannot. A worker that may still be loading must not be terminated: the process would abort.
 */
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';
import { assert } from '../util/assert.ts';

type Koffi = typeof import('koffi');

/**
 * Each call gives 0, or what its comment says, or -1 and leaves `errno()`. Paths are bytes ended by a
 * zero (`cString`, `cName`).
 */
export interface Libc {
  /** A descriptor. */
  openat(directoryFd: number, path: Uint8Array, flags: number): number;
  /** How many bytes it put into `target`, without a zero at the end. */
  readlinkat(directoryFd: number, path: Uint8Array, target: Uint8Array, size: number): number;
  /** How many bytes of entries it put into `entries`; 0 at the end. Not in every C library. */
  readonly getdents64: ((fd: number, entries: Uint8Array, size: number) => number) | undefined;
  utimensat(directoryFd: number, path: Uint8Array, times: BigInt64Array, flags: number): number;
  futimens(fd: number, times: BigInt64Array): number;
  linkat(fromFd: number, from: Uint8Array, toFd: number, to: Uint8Array, flags: number): number;
  renameat2(fromFd: number, from: Uint8Array, toFd: number, to: Uint8Array, flags: number): number;
  statx(fd: number, path: Uint8Array, flags: number, mask: number, result: Uint8Array): number;
  /** The four below give a size in bytes, and 0 for room asks for the size alone. */
  flistxattr(fd: number, names: Uint8Array, room: number): number;
  llistxattr(path: Uint8Array, names: Uint8Array, room: number): number;
  fgetxattr(fd: number, name: Uint8Array, value: Uint8Array, room: number): number;
  lgetxattr(path: Uint8Array, name: Uint8Array, value: Uint8Array, room: number): number;
  /** Where it leads, bytes from the start. */
  lseek(fd: number, offset: number, whence: number): number | bigint;
  fsetxattr(fd: number, name: Uint8Array, value: Uint8Array, size: number, flags: number): number;
  /** This one, and the last of the four, follow a symlink. */
  setxattr(
    path: Uint8Array,
    name: Uint8Array,
    value: Uint8Array,
    size: number,
    flags: number,
  ): number;
  fremovexattr(fd: number, name: Uint8Array): number;
  removexattr(path: Uint8Array, name: Uint8Array): number;
  mknodat(directoryFd: number, path: Uint8Array, mode: number, device: bigint): number;
  /** Requests whose argument is a pointer, read or written as the request says. */
  ioctl(fd: number, request: number, argument: Uint8Array): number;
  errno(): number;
}

/** "Relative to the working directory"; ignored where the path is absolute, as all of ours are. */
export const atCurrentDirectory = -100;
export const atSymlinkNofollow = 0x100;
export const atSymlinkFollow = 0x400;
export const atNoAutomount = 0x800;
export const atEmptyPath = 0x1000;
/** Node sets it with every open of its own: programs that are started must not inherit it. */
export const openCloseOnExec = 0o2000000;

let loaded: Libc | 'unavailable' | undefined;

export function libc(): Libc | undefined {
  loaded ??= load() ?? 'unavailable';
  return loaded === 'unavailable' ? undefined : loaded;
}

function load(): Libc | undefined {
  if (process.platform !== 'linux') return undefined;
  try {
    return declare(createRequire(import.meta.url)('koffi') as Koffi);
  } catch {
    // No binary for this machine, or a C library without one of the functions.
    return undefined;
  }
}

function declare(koffi: Koffi): Libc {
  const library = koffi.load(null);
  keepFreeMemoryLow(library);
  const bytes = 'const uint8_t *';
  return {
    openat: library.func(`int openat(int, ${bytes}, int)`),
    readlinkat: library.func(`long readlinkat(int, ${bytes}, void *, size_t)`),
    getdents64: optional(() => library.func('long getdents64(int, void *, size_t)')),
    utimensat: library.func(`int utimensat(int, ${bytes}, const int64_t *, int)`),
    futimens: library.func('int futimens(int, const int64_t *)'),
    linkat: library.func(`int linkat(int, ${bytes}, int, ${bytes}, int)`),
    renameat2: library.func(`int renameat2(int, ${bytes}, int, ${bytes}, unsigned int)`),
    statx: library.func(`int statx(int, ${bytes}, int, unsigned int, void *)`),
    flistxattr: library.func('long flistxattr(int, void *, size_t)'),
    llistxattr: library.func(`long llistxattr(${bytes}, void *, size_t)`),
    fgetxattr: library.func(`long fgetxattr(int, ${bytes}, void *, size_t)`),
    lgetxattr: library.func(`long lgetxattr(${bytes}, ${bytes}, void *, size_t)`),
    lseek: library.func('int64_t lseek(int, int64_t, int)'),
    fsetxattr: library.func(`int fsetxattr(int, ${bytes}, ${bytes}, size_t, int)`),
    setxattr: library.func(`int setxattr(${bytes}, ${bytes}, ${bytes}, size_t, int)`),
    fremovexattr: library.func(`int fremovexattr(int, ${bytes})`),
    removexattr: library.func(`int removexattr(${bytes}, ${bytes})`),
    mknodat: library.func(`int mknodat(int, ${bytes}, uint32_t, uint64_t)`),
    ioctl: library.func('int ioctl(int, unsigned long, void *)'),
    errno: () => koffi.errno(),
  } as Libc;
}

/**
 * Blocks from 4 MiB on are given back to the system as soon as they are freed, and free memory at the
 * end of an arena from 8 MiB on. Left alone, glibc keeps to itself whatever is not larger than the
 * largest block freed so far, up to 32 MiB, in an arena for each thread, where 64 MiB of free memory
 * may gather: a snapshot took 75 MiB more. With lower limits it takes 45 MiB less again, but 3 % more
 * time, for pages that are zeroed over and over.
 */
function keepFreeMemoryLow(library: ReturnType<Koffi['load']>): void {
  const [trimThreshold, mmapThreshold] = [-1, -3];
  const mallopt = optional(() => library.func('int mallopt(int, int)'));
  mallopt?.(mmapThreshold, 2 ** 22);
  mallopt?.(trimThreshold, 2 ** 23);
}

function optional<T>(declareOne: () => T): T | undefined {
  try {
    return declareOne();
  } catch {
    return undefined;
  }
}

/** A path as C wants it. A zero inside would silently name another file. */
export function cString(path: Uint8Array): Uint8Array {
  assert(!path.includes(0), 'path without a zero byte');
  const ended = new Uint8Array(path.length + 1);
  ended.set(path);
  return ended;
}

const nameBuffer = Buffer.alloc(4096);

/**
 * A name, given as latin1 text, as C wants it: in the one buffer of this thread for such names, so it
 * must be used before the next one is made. Nothing is allocated.
 */
export function cName(name: string): Uint8Array {
  assert(name.length < nameBuffer.length && !name.includes('\0'), 'name fit for a system call');
  nameBuffer[nameBuffer.write(name, 'latin1')] = 0;
  return nameBuffer;
}

/** The error Node would have thrown, so that callers know one kind only. */
export function systemError(syscall: string, errno: number): NodeJS.ErrnoException {
  const code = getSystemErrorName(-errno);
  return Object.assign(new Error(`${code}: ${syscall}`), { code, errno: -errno, syscall });
}

/**
 * The result of a call that may have been interrupted, as on some network file systems; Node repeats
 * such calls, too. Throws what other errors say.
 */
export function completeCall(library: Libc, syscall: string, call: () => number): number {
  for (;;) {
    const result = call();
    if (result >= 0) return result;
    const errno = library.errno();
    if (errno !== constants.errno.EINTR) throw systemError(syscall, errno);
  }
}

/** Throws unless a call of `libc` succeeded; `errno` is read here, right after it. */
export function demandSuccess(library: Libc, syscall: string, result: number): void {
  if (result !== 0) throw systemError(syscall, library.errno());
}
