/**
 * What the walk hands out: an entry of the source with its metadata and a way to open it later, and
 * the open directories behind such entries. Paths are put together from the names on the way only
 * when asked for, so that a deep tree costs memory by its depth and not by its depth squared.
 */
import { childPath, type DirectoryHandle, joinPath } from '../platform/directory-handle.ts';
import type { SourceFs } from './source-fs.ts';
import type { SourceMetadata } from './source-metadata.ts';

/** Which file it is; to be compared within one run only. */
export interface SourceIdentity {
  readonly device: number;
  readonly inode: bigint;
}

/** A path that can be opened until `release` is called. */
export interface HeldPath {
  readonly path: Uint8Array;
  release(): void;
}

/** Longest path a system call takes (PATH_MAX with its zero is 4,096 on Linux). */
const pathSizeMax = 4095;

export class SourceEntry {
  readonly metadata: SourceMetadata;
  readonly identity: SourceIdentity;
  readonly #place: SourceDirectory | Uint8Array;

  /** `place` is the directory it is in, or its own absolute path where it has none. */
  constructor(
    metadata: SourceMetadata,
    identity: SourceIdentity,
    place: SourceDirectory | Uint8Array,
  ) {
    this.metadata = metadata;
    this.identity = identity;
    this.#place = place;
  }

  /** Absolute; too long to be opened where the tree is deep. */
  get path(): Uint8Array {
    const names: Uint8Array[] = [];
    let entry: SourceEntry = this;
    while (entry.#place instanceof SourceDirectory) {
      names.push(entry.metadata.name);
      entry = entry.#place.entry;
    }
    return joinPath(entry.#place, ...names.reverse());
  }

  /**
   * For whoever opens the entry later, perhaps in another thread: its absolute path, or one through
   * its directory, which then stays open. `openSourceFile` checks that it still leads here.
   */
  hold(): HeldPath {
    const path = this.path;
    const place = this.#place;
    if (place instanceof Uint8Array || path.length <= pathSizeMax) return { path, release };
    place.hold();
    return { path: childPath(place, this.metadata.name), release: () => place.release() };
  }
}

/** Nothing is held: a path as text needs no handle. */
function release(): void {}

/** The path of a name in a directory. */
export function childOf(directory: SourceEntry, name: Uint8Array): Uint8Array {
  return joinPath(directory.path, name);
}

/** A directory being walked. It is closed when the walk has left it and nobody holds it. */
export class SourceDirectory implements DirectoryHandle {
  readonly fd: number;
  readonly entry: SourceEntry;
  readonly #fs: SourceFs;
  #holderCount = 1;

  constructor(fs: SourceFs, fd: number, entry: SourceEntry) {
    this.#fs = fs;
    this.fd = fd;
    this.entry = entry;
  }

  get path(): Uint8Array {
    return this.entry.path;
  }

  hold(): void {
    this.#holderCount++;
  }

  release(): void {
    this.#holderCount--;
    if (this.#holderCount === 0) this.#fs.close(this.fd);
  }
}
