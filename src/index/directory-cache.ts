/** Parsed pack directories, the most recently used ones: a parse costs 0.3 µs per blob. */
import type { PackDirectory } from '../pack/directory.ts';
import type { PackRecord } from '../pack/pack-record.ts';

/** Blobs in all directories kept; each takes about 300 bytes. */
const CACHED_BLOB_COUNT_MAX = 131_072;

export interface OpenedDirectory {
  /** The pack's record without its directory. */
  pack: Omit<PackRecord, 'body'>;
  directory: PackDirectory;
}

export class DirectoryCache {
  /** In order of use, the least recent first. */
  readonly #entries = new Map<number, OpenedDirectory>();
  #blobCount = 0;
  /** The one used last: blobs of one file lie in one pack, so it is asked for again and again. */
  #latest: OpenedDirectory | undefined;
  #latestPackNo = 0;

  get(packNo: number): OpenedDirectory | undefined {
    if (packNo === this.#latestPackNo) return this.#latest;
    const found = this.#entries.get(packNo);
    if (found === undefined) return undefined;
    this.#entries.delete(packNo);
    this.#entries.set(packNo, found);
    this.#use(packNo, found);
    return found;
  }

  set(packNo: number, opened: OpenedDirectory): void {
    this.#entries.set(packNo, opened);
    this.#use(packNo, opened);
    this.#blobCount += opened.directory.blobs.length;
    for (const [oldest, { directory }] of this.#entries) {
      if (this.#blobCount <= CACHED_BLOB_COUNT_MAX || oldest === packNo) return;
      this.#entries.delete(oldest);
      this.#blobCount -= directory.blobs.length;
    }
  }

  #use(packNo: number, opened: OpenedDirectory): void {
    this.#latest = opened;
    this.#latestPackNo = packNo;
  }
}
