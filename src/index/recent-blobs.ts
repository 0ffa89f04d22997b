/**
 * The blobs of the packs that the base does not cover yet: a hash table in memory, filled from the
 * pack directories in LMDB, at most twice as many as make a merge due (`blob-table.ts`). An entry
 * takes 24 bytes and 8 to 16 of table; filling in a million of them takes 0.15 s.
 */
import {
  BlobEntries,
  blobEntrySize,
  entryCopy,
  entryDepth,
  entryPackNo,
  isEntryOf,
} from './blob-entries.ts';
import type { BlobCopy } from './cache-rows.ts';

const ALL_PREFIXES = { from: 0, below: 2 ** 32 };

export class RecentBlobs {
  readonly #entries: BlobEntries;
  /** Entry position + 1, or 0; twice to four times as long as there are entries. */
  #table: Uint32Array;
  /** Where in the table the last entry was found. */
  #found = 0;

  /** @param capacity entries that need no more memory. */
  constructor(capacity: number) {
    this.#entries = new BlobEntries(capacity);
    this.#table = new Uint32Array(tableLength(Math.max(2048, capacity)));
  }

  get count(): number {
    return this.#entries.count;
  }

  addPack(packNo: number, body: Uint8Array): void {
    let position = this.#entries.count;
    this.#entries.addPack(packNo, body, ALL_PREFIXES);
    if (2 * this.count > this.#table.length) {
      this.#table = new Uint32Array(tableLength(this.count));
      position = 0;
    }
    for (; position < this.count; position++) this.#insert(position);
  }

  /** Position of the first entry of an id; -1 when there is none. */
  first(id: Uint8Array): number {
    return this.#probe(id, this.#home(id, 0));
  }

  /** Position of the entry after the one that was found last. */
  next(id: Uint8Array): number {
    return this.#probe(id, (this.#found + 1) & (this.#table.length - 1));
  }

  /** Copies the key of an entry, the first bytes of its id. */
  readKey(position: number, key: Uint8Array): void {
    const start = position * blobEntrySize;
    for (let i = 0; i < key.length; i++) key[i] = this.#entries.bytes[start + i] as number;
  }

  packNo(position: number): number {
    return entryPackNo(this.#entries.bytes, position * blobEntrySize);
  }

  depth(position: number): number {
    return entryDepth(this.#entries.bytes, position * blobEntrySize);
  }

  copy(position: number): BlobCopy {
    return entryCopy(this.#entries.bytes, position * blobEntrySize);
  }

  #probe(id: Uint8Array, from: number): number {
    const table = this.#table;
    const { bytes } = this.#entries;
    for (let i = from; table[i] !== 0; i = (i + 1) & (table.length - 1)) {
      const position = (table[i] as number) - 1;
      if (!isEntryOf(bytes, position * blobEntrySize, id)) continue;
      this.#found = i;
      return position;
    }
    return -1;
  }

  #insert(position: number): void {
    const table = this.#table;
    let i = this.#home(this.#entries.bytes, position * blobEntrySize);
    while (table[i] !== 0) i = (i + 1) & (table.length - 1);
    table[i] = position + 1;
  }

  /** Ids are hashes already: any four bytes of them will do. */
  #home(bytes: Uint8Array, start: number): number {
    const low = (bytes[start + 8] as number) | ((bytes[start + 9] as number) << 8);
    const high = (bytes[start + 10] as number) | ((bytes[start + 11] as number) << 8);
    return (low | (high << 16)) & (this.#table.length - 1);
  }
}

function tableLength(count: number): number {
  return 2 ** Math.ceil(Math.log2(2 * count));
}
