/**
 * File flags as `lsattr` shows and `chattr` sets them: immutable, append only, no dump and their like.
 * Linux keeps them in files and directories of most of its own file systems; elsewhere every file has
 * none. Only those are looked at which mean something on another file system and which a user sets.
 */
import { constants } from 'node:os';
import { libc, systemError } from './libc.ts';

/** By the letters of `chattr`; the numbers are those of Linux, and of the repository format. */
export const fileFlags = {
  s: 0x1,
  u: 0x2,
  c: 0x4,
  S: 0x8,
  i: 0x10,
  a: 0x20,
  d: 0x40,
  A: 0x80,
  m: 0x400,
  j: 0x4000,
  t: 0x8000,
  D: 0x10000,
  T: 0x20000,
  C: 0x800000,
} as const;

const keptFlags = Object.values(fileFlags).reduce((all: number, flag) => all | flag, 0);

/** The numbers of a few processors differ; there flags are left alone. */
const isUsualProcessor = ['x64', 'arm64', 'riscv64', 'loong64', 's390x'].includes(process.arch);
const getFlagsRequest = 0x80086601;
const setFlagsRequest = 0x40086602;

const { ENOTTY, EINVAL, ENOTSUP, EOPNOTSUPP, ENOSYS } = constants.errno;
const none: ReadonlySet<number> = new Set([ENOTTY, EINVAL, ENOTSUP, EOPNOTSUPP, ENOSYS]);

/** The system writes 4 bytes, whatever its headers say. */
const result = new Uint8Array(8);
const resultView = new Uint32Array(result.buffer);

/** Those that keep a file from being written, renamed or linked. */
export const lockingFlags: number = fileFlags.i | fileFlags.a;
/** Those that count for what is written after they are set. */
export const contentFlags: number = fileFlags.c | fileFlags.m | fileFlags.C;

/** Of an open file or directory; 0 where the file system has no flags. @throws a system error */
export function getFileFlags(fd: number): number {
  const library = libc();
  if (library === undefined || !isUsualProcessor) return 0;
  if (library.ioctl(fd, getFlagsRequest, result) === 0) {
    return ((resultView[0] as number) & keptFlags) >>> 0;
  }
  const errno = library.errno();
  if (none.has(errno)) return 0;
  throw systemError('ioctl', errno);
}

/**
 * Sets those of `flags` that are not set, one by one where they cannot be set together, and gives those
 * that could not be set. What else is set stays.
 */
export function addFileFlags(fd: number, flags: number): number {
  const library = libc();
  if (library === undefined || !isUsualProcessor) return flags;
  if (library.ioctl(fd, getFlagsRequest, result) !== 0) return flags;
  let current = resultView[0] as number;
  const set = (added: number): boolean => {
    resultView[0] = current | added;
    if (library.ioctl(fd, setFlagsRequest, result) !== 0) return false;
    current |= added;
    return true;
  };
  const missing = flags & ~current;
  if (missing === 0 || set(missing)) return 0;
  let left = 0;
  for (let bits = missing; bits !== 0; bits &= bits - 1) {
    const lowest = bits & -bits;
    if (!set(lowest)) left |= lowest;
  }
  return left >>> 0;
}

/** As `lsattr` writes them, for messages. */
export function flagLetters(flags: number): string {
  return Object.entries(fileFlags)
    .filter(([, flag]) => (flags & flag) !== 0)
    .map(([letter]) => letter)
    .join('');
}
