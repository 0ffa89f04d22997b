/** Blob tables of packs, the most recently used ones: making one costs a read of its directory. */
import type { BlobTable } from '../pack/blob-table.ts';
import type { PackRecord } from '../pack/pack-record.ts';
import { WeightedCache } from '../util/weighted-cache.ts';

/** Bytes of all tables kept: 750,000 blobs. */
const tablesSizeMax = 40 * 2 ** 20;

export interface OpenedDirectory {
  /** The pack's record without its directory. */
  pack: Omit<PackRecord, 'body'>;
  blobs: BlobTable;
}

export class DirectoryCache {
  readonly #entries = new WeightedCache<number, OpenedDirectory>(tablesSizeMax);
  /** The one used last: blobs of one file lie in one pack, so it is asked for again and again. */
  #latest: OpenedDirectory | undefined;
  #latestPackNo = 0;

  get(packNo: number): OpenedDirectory | undefined {
    if (packNo === this.#latestPackNo) return this.#latest;
    const found = this.#entries.get(packNo);
    if (found !== undefined) this.#use(packNo, found);
    return found;
  }

  set(packNo: number, opened: OpenedDirectory): void {
    this.#entries.set(packNo, opened, opened.blobs.size);
    this.#use(packNo, opened);
  }

  #use(packNo: number, opened: OpenedDirectory): void {
    this.#latest = opened;
    this.#latestPackNo = packNo;
  }
}
