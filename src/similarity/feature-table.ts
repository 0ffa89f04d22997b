/**
 * The table of features: which stored chunk had a super-feature last. Similar chunks are likely to
 * share one, so a hit is a candidate for the base of a delta, and no more than a hint: a stale or
 * wrong entry makes a delta that is not accepted.
 *
 * One block of 2^s slots of three words, and nothing else per chunk:
 *
 *   tag u32 (high half of the super-feature) | packNo u32 (0: empty) | slot u32
 *
 * Four slots are a bucket, found by the low bits of the super-feature. In a bucket the newest stands
 * first: a new tag pushes the last one out. So old families fall out by themselves, and a full table
 * needs no sweep. The block is zero at first and takes memory as its parts are written to.
 *
 * Super-features come as 24 bytes, three little-endian u64, and are read as 32-bit words. To be kept,
 * the block is divided into pages of whole buckets, in the byte order of the machine.
 */
import { assert } from '../util/assert.ts';

/** 48 MiB: 1.4 million chunks, about 85 GiB of unique data. */
const slotBitsDefault = 22;
/** 768 KiB: entries go anywhere in a table, and each page that is touched costs time and memory. */
const slotBitsMin = 16;
const slotBitsMax = 26;

const featureCount = 3;
const featuresSize = 8 * featureCount;
/** Of a slot: tag, packNo, slot. */
const wordsPerSlot = 3;
const wordsPerBucket = 4 * wordsPerSlot;
const bucketsPerPage = 1024;
const wordsPerPage = bucketsPerPage * wordsPerBucket;
const pageSize = 4 * wordsPerPage;
const layoutVersion = 1;

/** Words that `lookUp` fills in: packNo and slot for each super-feature. */
export const hitsLength: number = 2 * featureCount;

/** Size of a table for so many chunks and as many again, as the power of two of its slots. */
export function slotBitsFor(chunkCount: number): number {
  const bits = Math.ceil(Math.log2(Math.max(1, 2 * featureCount * chunkCount)));
  return Math.min(slotBitsDefault, Math.max(slotBitsMin, bits));
}

/** Size of the table that is to take the place of a full one; undefined for the largest. */
export function largerSlotBits(slotBits: number): number | undefined {
  return slotBits < slotBitsDefault ? Math.min(slotBitsDefault, slotBits + 2) : undefined;
}

export class FeatureTable {
  readonly slotBits: number;
  /** What pages of another table must have in common with this one to be loaded. */
  readonly layout: string;
  /** Chunks it has room for. */
  readonly capacity: number;
  readonly pageCount: number;
  readonly #bucketMask: number;
  #words: Uint32Array;
  readonly #isDirty: Uint8Array;
  #isEmpty = true;
  /** Bucket and tag of each super-feature of the chunk at hand. */
  readonly #starts = new Uint32Array(featureCount);
  readonly #tags = new Uint32Array(featureCount);

  constructor(slotBits: number = slotBitsDefault) {
    assert(slotBits >= slotBitsMin && slotBits <= slotBitsMax, 'size of the feature table');
    const bucketCount = 2 ** (slotBits - 2);
    this.slotBits = slotBits;
    this.layout = `${layoutVersion} ${slotBits}`;
    this.capacity = Math.floor(2 ** slotBits / featureCount);
    this.pageCount = bucketCount / bucketsPerPage;
    this.#bucketMask = bucketCount - 1;
    this.#words = new Uint32Array(bucketCount * wordsPerBucket);
    this.#isDirty = new Uint8Array(this.pageCount);
  }

  /** Enters a chunk that was just stored: it is the newest. */
  insert(features: Uint8Array, packNo: number, slot: number): void {
    this.#locate(features);
    for (let i = 0; i < featureCount; i++) {
      const start = this.#starts[i] as number;
      const tag = this.#tags[i] as number;
      let at = wayOf(this.#words, start, tag);
      if (at < 0) {
        at = start;
        moveBack(this.#words, start, start + wordsPerBucket - wordsPerSlot);
      }
      this.#put(at, { tag, packNo, slot });
    }
  }

  /**
   * Enters a chunk that was stored at any time. What results does not depend on the order of such
   * calls: of equal tags the newest stays, and in a bucket the newest four.
   */
  insertByAge(features: Uint8Array, packNo: number, slot: number): void {
    this.#locate(features);
    const words = this.#words;
    for (let i = 0; i < featureCount; i++) {
      const start = this.#starts[i] as number;
      const tag = this.#tags[i] as number;
      let at = wayOf(words, start, tag);
      if (at < 0) at = oldestWay(words, start);
      if (isOlder(words, at, packNo, slot)) this.#put(at, { tag, packNo, slot });
    }
  }

  /**
   * The chunks that share a super-feature with this one.
   * @param hits `hitsLength` words: packNo and slot for each super-feature, packNo 0 without a hit.
   */
  lookUp(features: Uint8Array, hits: Uint32Array): void {
    this.#locate(features);
    const words = this.#words;
    for (let i = 0; i < featureCount; i++) {
      const at = wayOf(words, this.#starts[i] as number, this.#tags[i] as number);
      hits[2 * i] = at < 0 ? 0 : (words[at + 1] as number);
      hits[2 * i + 1] = at < 0 ? 0 : (words[at + 2] as number);
    }
  }

  /** Keeps a chunk longer that a look-up of these features gave and that was a good base. */
  promote(features: Uint8Array, packNo: number, slot: number): void {
    this.#locate(features);
    const words = this.#words;
    for (let i = 0; i < featureCount; i++) {
      const start = this.#starts[i] as number;
      const tag = this.#tags[i] as number;
      const at = wayOf(words, start, tag);
      if (at <= start || words[at + 1] !== packNo || words[at + 2] !== slot) continue;
      moveBack(words, start, at);
      this.#put(start, { tag, packNo, slot });
    }
  }

  /** Pages that changed since they were loaded or marked clean, in order. */
  dirtyPages(): number[] {
    const pages: number[] = [];
    for (let page = 0; page < this.pageCount; page++) {
      if (this.#isDirty[page] === 1) pages.push(page);
    }
    return pages;
  }

  markClean(page: number): void {
    this.#isDirty[page] = 0;
  }

  /** The bytes of a page, a view of the table's memory. */
  page(page: number): Uint8Array {
    return new Uint8Array(this.#words.buffer, page * pageSize, pageSize);
  }

  /** Takes over a page as `page` gave it; false when it is not one of this table. */
  load(page: number, bytes: Uint8Array): boolean {
    if (page >= this.pageCount || bytes.length !== pageSize) return false;
    this.page(page).set(bytes);
    this.#isEmpty = false;
    this.#isDirty[page] = 0;
    return true;
  }

  clear(): void {
    // A new table takes no memory but its address space, which V8 counts all the same.
    if (!this.#isEmpty) this.#words = new Uint32Array(this.#words.length);
    this.#isEmpty = true;
    this.#isDirty.fill(0);
  }

  #locate(features: Uint8Array): void {
    assert(features.length === featuresSize, 'size of super-features');
    for (let i = 0; i < featureCount; i++) {
      this.#starts[i] = (wordAt(features, 8 * i) & this.#bucketMask) * wordsPerBucket;
      this.#tags[i] = wordAt(features, 8 * i + 4);
    }
  }

  #put(at: number, entry: { tag: number; packNo: number; slot: number }): void {
    const words = this.#words;
    this.#isEmpty = false;
    words[at] = entry.tag;
    words[at + 1] = entry.packNo;
    words[at + 2] = entry.slot;
    this.#isDirty[Math.floor(at / wordsPerPage)] = 1;
  }
}

/** Where in a bucket the tag stands; -1 when it does not. */
function wayOf(words: Uint32Array, start: number, tag: number): number {
  for (let at = start; at < start + wordsPerBucket; at += wordsPerSlot) {
    if (words[at] === tag && words[at + 1] !== 0) return at;
  }
  return -1;
}

/** Moves the slots from `start` to `at` back by one, over the one at `at`. */
function moveBack(words: Uint32Array, start: number, at: number): void {
  for (let i = at - 1; i >= start; i--) words[i + wordsPerSlot] = words[i] as number;
}

/** An empty slot, packNo 0, is older than all others. */
function oldestWay(words: Uint32Array, start: number): number {
  let oldest = start;
  for (let at = start + wordsPerSlot; at < start + wordsPerBucket; at += wordsPerSlot) {
    if (isOlder(words, at, words[oldest + 1] as number, words[oldest + 2] as number)) oldest = at;
  }
  return oldest;
}

function isOlder(words: Uint32Array, at: number, packNo: number, slot: number): boolean {
  const difference = (words[at + 1] as number) - packNo;
  return difference < 0 || (difference === 0 && (words[at + 2] as number) < slot);
}

function wordAt(bytes: Uint8Array, at: number): number {
  const low = (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
  const high = (bytes[at + 2] as number) | ((bytes[at + 3] as number) << 8);
  return (low | (high << 16)) >>> 0;
}
