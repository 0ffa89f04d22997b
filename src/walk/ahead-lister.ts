/**
 * The far half of walking ahead: goes through the sources in the order of the walk and lists every
 * directory the walk is about to enter, with the stats of its entries. It asks only what the walk would
 * ask: what the excludes leave out, and other file systems where they are, it does not enter.
 *
 * Whatever fails here, or is beyond the limits below, is not told; the walk then asks for itself.
 * Sources inside excluded directories are left to it, too.
 */

import { closeSync } from 'node:fs';
import { listDirectory, openChildDirectory, readChildLink } from '../platform/directory-entries.ts';
import { type DirectoryHandle, joinPath, openDirectory } from '../platform/directory-handle.ts';
import {
  packChildStat,
  packDescriptorStat,
  packedDevice,
  packedType,
} from '../platform/file-stat.ts';
import { type ExcludeOptions, Excludes } from './excludes.ts';
import { type ListingWriter, sharedMs } from './listing.ts';
import { nodeSourceFs } from './source-fs.ts';

/** The walk keeps the listings of all directories it is in: their number and size are bounded. */
const depthMax = 64;
const nameCountMax = 8192;

export interface AheadSources {
  /** Absolute, in the order of the walk, none inside another. */
  readonly paths: readonly Uint8Array[];
  readonly excludes: ExcludeOptions;
}

/** A directory on the way down. */
class Level implements DirectoryHandle {
  readonly fd: number;
  /** Names on the way to it from `/`. */
  readonly nameCount: number;
  readonly #place: Level | Uint8Array;
  readonly #name: string;
  /** Directories in it that are to be entered. */
  #names: readonly string[] = [];
  #position = 0;

  /** @param place the directory it is in, or its own path */
  constructor(fd: number, place: Level | Uint8Array, name: string) {
    this.fd = fd;
    this.#place = place;
    this.#name = name;
    this.nameCount =
      place instanceof Level ? place.nameCount + 1 : name.split('/').filter(Boolean).length;
  }

  get path(): Uint8Array {
    const place = this.#place;
    return place instanceof Level ? joinPath(place.path, Buffer.from(this.#name, 'latin1')) : place;
  }

  setDirectories(names: readonly string[]): void {
    this.#names = names;
  }

  nextDirectory(): string | undefined {
    return this.#names[this.#position++];
  }
}

/**
 * Lists into `writer`; after each directory `isGoingOn` is asked whether to go on.
 *
 * @throws RangeError on excludes that make no sense
 */
export function listAhead(
  { paths, excludes }: AheadSources,
  writer: ListingWriter,
  isGoingOn: () => boolean,
): void {
  const lister = new Lister(new Excludes(excludes), writer);
  try {
    for (const path of paths) {
      lister.enterSource(path);
      do {
        if (!isGoingOn()) return;
      } while (lister.enterNext());
    }
  } finally {
    lister.close();
  }
}

class Lister {
  readonly #excludes: Excludes;
  readonly #writer: ListingWriter;
  readonly #levels: Level[] = [];
  /** The file system that must not be left, if that matters. */
  #device: number | undefined;

  constructor(excludes: Excludes, writer: ListingWriter) {
    this.#excludes = excludes;
    this.#writer = writer;
  }

  enterSource(path: Uint8Array): void {
    this.#device = undefined;
    const name = Buffer.from(path).toString('latin1').slice(1);
    this.#enter(path, name, () => openDirectory(path));
  }

  /** Enters the next directory below the source; false where there is none. */
  enterNext(): boolean {
    for (let level = this.#levels.at(-1); level !== undefined; level = this.#levels.at(-1)) {
      const place = level;
      const name = place.nextDirectory();
      if (name !== undefined) {
        this.#enter(place, name, () => openChildDirectory(place, name));
        return true;
      }
      closeSync(place.fd);
      this.#levels.pop();
    }
    return false;
  }

  close(): void {
    for (const { fd } of this.#levels) closeSync(fd);
    this.#levels.length = 0;
  }

  #enter(place: Level | Uint8Array, name: string, open: () => number): void {
    let level: Level;
    try {
      level = new Level(open(), place, name);
    } catch {
      // The walk meets the same, and reports it.
      return;
    }
    this.#levels.push(level);
    const listedAtMs = sharedMs();
    const names = namesIn(level);
    if (names === undefined || names.length > nameCountMax || !this.#pack(level, names)) return;
    this.#writer.end(place instanceof Level ? place.nameCount : 0, name, listedAtMs);
  }

  /** False where nothing can be said of the directory itself. */
  #pack(level: Level, names: readonly string[]): boolean {
    const writer = this.#writer;
    writer.begin(names);
    if (!packDescriptorStat(level.fd, writer.bytes, writer.ownStatAt)) return false;
    if (this.#excludes.isOneFileSystem) {
      this.#device ??= packedDevice(writer.views, writer.ownStatAt);
    }
    const test = this.#excludes.testIn(nodeSourceFs, level, names);
    const directories: string[] = [];
    for (let i = 0; i < names.length; i++) {
      const name = names[i] as string;
      const verdict = test?.(name) ?? 'none';
      if (verdict === 'all') continue;
      const offset = writer.statAt(i);
      if (!packChildStat(level, name, writer.bytes, offset)) continue;
      const type = packedType(writer.views, offset);
      if (type === 'l') writer.setTarget(i, targetOf(level, name));
      const isEntered =
        type === 'd' &&
        verdict !== 'directories' &&
        this.#isInside(packedDevice(writer.views, offset));
      if (isEntered) directories.push(name);
    }
    if (this.#levels.length < depthMax) level.setDirectories(directories);
    return true;
  }

  #isInside(device: number): boolean {
    return this.#device === undefined || this.#device === device;
  }
}

function namesIn(level: Level): string[] | undefined {
  try {
    return listDirectory(level).sort();
  } catch {
    return undefined;
  }
}

function targetOf(level: Level, name: string): Uint8Array | undefined {
  try {
    return readChildLink(level, name);
  } catch {
    return undefined;
  }
}
