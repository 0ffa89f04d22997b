/**
 * One file of the source, opened for reading and watched while it is read. What was read is what
 * counts: a file that grows, shrinks or is written to meanwhile is stored as it was read, and
 * `finish` says so.
 *
 * The path may lead elsewhere by now: to a symlink, a FIFO, another file. Opening follows no symlink
 * and waits for no FIFO, and what was opened must be the file the walk saw.
 */
import type { SourceError } from '../errors.ts';
import type { FileStat } from '../platform/file-stat.ts';
import type { Timestamp } from '../platform/times.ts';
import { type Extent, findExtents } from './extents.ts';
import type { SourceIdentity } from './source-entry.ts';
import { type SourceReason, sourceError, sourceReason } from './source-error.ts';
import { readExtras, type SourceExtras } from './source-extras.ts';
import type { SourceFs } from './source-fs.ts';

export interface SourceFileRequest {
  readonly fs: SourceFs;
  /** Where to open it (`SourceEntry.hold`). */
  readonly path: Uint8Array;
  /** What errors call it, where that differs. */
  readonly displayPath?: Uint8Array;
  readonly identity: SourceIdentity;
  /** Where reading begins, bytes from the start of the file; default 0. */
  readonly offset?: number;
}

/** @throws SourceError */
export function openSourceFile(request: SourceFileRequest): SourceFile {
  const { fs, path, identity, displayPath = path, offset = 0 } = request;
  let fd: number;
  try {
    fd = fs.openFile(path);
  } catch (cause) {
    throw sourceError({ path: displayPath, operation: 'open', reason: sourceReason(cause), cause });
  }
  try {
    const stat = fs.fstat(fd);
    const isSame = stat.device === identity.device && stat.inode === identity.inode;
    if (stat.type === 'f' && isSame)
      return new SourceFile({ fs, fd, path: displayPath, offset }, stat);
  } catch (cause) {
    fs.close(fd);
    throw sourceError({ path: displayPath, operation: 'stat', reason: sourceReason(cause), cause });
  }
  fs.close(fd);
  throw sourceError({ path: displayPath, operation: 'open', reason: 'file_changed' });
}

/** How a file was when it was opened. */
export type SourceStat = FileStat;

interface OpenedFile {
  readonly fs: SourceFs;
  readonly fd: number;
  readonly path: Uint8Array;
  readonly offset: number;
}

export class SourceFile {
  /** When it was opened; newer than what the walk saw. */
  readonly stat: FileStat;
  readonly #fs: SourceFs;
  readonly #fd: number;
  readonly #path: Uint8Array;
  /** Bytes from the start of the file to what is read next. */
  #position: number;
  #isAtEnd = false;

  constructor(opened: OpenedFile, stat: FileStat) {
    this.#fs = opened.fs;
    this.#fd = opened.fd;
    this.#path = opened.path;
    this.#position = opened.offset;
    this.stat = stat;
  }

  /**
   * Fills `target` with the next bytes and says how many there were; fewer than fit only at the end.
   * A file that ends where it did when it was opened is not asked whether it goes on: `finish` tells.
   *
   * @throws SourceError
   */
  read(target: Uint8Array): number {
    const sizeThen = Number(this.stat.size);
    let size = 0;
    try {
      while (size < target.length && !this.#isAtEnd) {
        const count = this.#fs.read(this.#fd, target.subarray(size), this.#position);
        size += count;
        this.#position += count;
        this.#isAtEnd = count === 0 || this.#position === sizeThen;
      }
    } catch (cause) {
      throw this.#error('read', sourceReason(cause), cause);
    }
    return size;
  }

  /**
   * What there is to read between holes of at least that size; smaller ones count as data. A file that
   * begins with a hole has an empty stretch before it.
   */
  extents(holeSizeMin: number): Generator<Extent, void, void> {
    return findExtents(this.#fs, this.#fd, { size: Number(this.stat.size), holeSizeMin });
  }

  /** Attributes and flags; to be asked before `finish`, which then knows of changes. */
  readExtras(): SourceExtras | undefined {
    return readExtras(this.#fs, this.#fd);
  }

  /** To be asked after the last read: whether the file was another before it. */
  finish(): { readonly isChanged: boolean } {
    let after: FileStat;
    try {
      after = this.#fs.fstat(this.#fd);
    } catch (cause) {
      throw this.#error('stat', sourceReason(cause), cause);
    }
    const { stat } = this;
    const isSame =
      (!this.#isAtEnd || BigInt(this.#position) === stat.size) &&
      after.size === stat.size &&
      isSameTime(after.mtime, stat.mtime) &&
      isSameTime(after.ctime, stat.ctime);
    return { isChanged: !isSame };
  }

  close(): void {
    this.#fs.close(this.#fd);
  }

  #error(operation: string, reason: SourceReason, cause: unknown): SourceError {
    return sourceError({ path: this.#path, operation, reason, cause });
  }
}

function isSameTime(a: Timestamp, b: Timestamp): boolean {
  return a.seconds === b.seconds && a.nanoseconds === b.nanoseconds;
}
