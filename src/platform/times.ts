/**
 * File times to the nanosecond. Node's own calls cut them to microseconds and take a negative
 * number for "now"; `utimensat` keeps every time a file system can hold.
 */
import { futimesSync, lutimesSync, utimesSync } from 'node:fs';
import { bufferOf } from '../util/bytes.ts';
import { atCurrentDirectory, atSymlinkNofollow, cString, demandSuccess, libc } from './libc.ts';

/** Seconds since 1970, floored, so that nanoseconds are never negative. */
export interface Timestamp {
  readonly seconds: bigint;
  readonly nanoseconds: number;
}

export interface FileTimes {
  /** Left as it is when absent. */
  readonly atime?: Timestamp;
  readonly mtime: Timestamp;
}

/** In the place of nanoseconds: do not set this time. */
const utimeOmit = 0x3ffffffen;

/** Sets the times of what `path` names; with `nofollow` of a symlink itself. */
export function utimens(path: Uint8Array, times: FileTimes, nofollow: boolean): void {
  const library = libc();
  if (library === undefined) {
    const set = nofollow ? lutimesSync : utimesSync;
    set(bufferOf(path), coarse(times.atime ?? times.mtime), coarse(times.mtime));
    return;
  }
  const flags = nofollow ? atSymlinkNofollow : 0;
  const name = cString(path);
  const result = library.utimensat(atCurrentDirectory, name, timespecs(times), flags);
  demandSuccess(library, 'utimensat', result);
}

/** Sets the times of an open file or directory. */
export function futimens(fd: number, times: FileTimes): void {
  const library = libc();
  if (library === undefined) {
    futimesSync(fd, coarse(times.atime ?? times.mtime), coarse(times.mtime));
    return;
  }
  demandSuccess(library, 'futimens', library.futimens(fd, timespecs(times)));
}

/** Two `struct timespec`: access, then modification. */
function timespecs({ atime, mtime }: FileTimes): BigInt64Array {
  return new BigInt64Array([
    atime?.seconds ?? 0n,
    atime === undefined ? utimeOmit : BigInt(atime.nanoseconds),
    mtime.seconds,
    BigInt(mtime.nanoseconds),
  ]);
}

/** Where there is no libc: text, because Node takes a negative number for "now". */
function coarse(time: Timestamp): string {
  return String(Number(time.seconds) + time.nanoseconds / 1e9);
}
