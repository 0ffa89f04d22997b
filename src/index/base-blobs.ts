/**
 * Looking up in the base: a search among the first entries of all pages, kept in memory (4 bytes for
 * 169 entries), one read from LMDB, and a search in that page. A page is checked when it is first
 * read. A base is never changed; one of
 * another generation takes its place.
 *
 * The page read last lies in memory of LMDB's that any other read overwrites. So what stands in it is
 * taken out at once, and `next` reads it again.
 */

import {
  BaseMoved,
  type BaseSummary,
  checkPage,
  entryCountOf,
  isPageOf,
  newBaseKey,
  pageCountOf,
  pageEntryCount,
  readBaseSummary,
  readFences,
  setBaseKey,
} from './base-rows.ts';
import {
  blobEntrySize,
  compareKeys,
  entryCopy,
  entryDepth,
  entryPackNo,
  prefixOf,
} from './blob-entries.ts';
import { BLOB_KEY_SIZE, type BlobCopy } from './cache-rows.ts';
import type { Environment, Table } from './environment.ts';

const NO_PAGE = new Uint8Array(0);

export class BaseBlobs {
  readonly summary: BaseSummary;
  readonly #table: Table;
  readonly #fences: Uint32Array;
  /** 1 for every page whose check sum was right. */
  readonly #isChecked: Uint8Array;
  readonly #key = newBaseKey();
  #page: Uint8Array = NO_PAGE;

  /** @throws BaseMoved when another process replaces it at this moment. */
  constructor(environment: Environment) {
    this.summary = readBaseSummary(environment);
    this.#table = environment.base;
    this.#fences = readFences(environment, this.summary);
    this.#isChecked = new Uint8Array(this.#fences.length);
  }

  /**
   * Position of the first entry of an id; -1 when there is none.
   * @throws BaseMoved when this is not the base that counts any more.
   */
  first(id: Uint8Array): number {
    const prefix = prefixOf(id, 0);
    const fences = this.#fences;
    // Where entries of a prefix begin in the middle of a page, its fence is smaller.
    let page = Math.max(0, countBelow(fences, prefix) - 1);
    for (; page < fences.length && (fences[page] as number) <= prefix; page++) {
      const count = this.#read(page);
      const i = lowerBound(this.#page, id, count);
      if (i === count) continue;
      const isFound = compareKeys(this.#page, i * blobEntrySize, id, 0) === 0;
      return isFound ? page * pageEntryCount + i : -1;
    }
    return -1;
  }

  /** Position of the entry after this one, if it is of the same id. */
  next(id: Uint8Array, position: number): number {
    const next = position + 1;
    if (next >= this.summary.entryCount) return -1;
    this.#read(Math.floor(next / pageEntryCount));
    return compareKeys(this.#page, startOf(next), id, 0) === 0 ? next : -1;
  }

  /** Of the entry found last; so are `depth` and `copy`. */
  packNo(position: number): number {
    return entryPackNo(this.#page, startOf(position));
  }

  depth(position: number): number {
    return entryDepth(this.#page, startOf(position));
  }

  copy(position: number): BlobCopy {
    return entryCopy(this.#page, startOf(position));
  }

  /** Calls back with every copy of ids that have several, some of them more than once. */
  visitRepeated(visit: (copy: BlobCopy) => void): void {
    // The last entry of the page before stands in front of those of each page.
    const entries = new Uint8Array((pageEntryCount + 1) * blobEntrySize);
    const page = entries.subarray(blobEntrySize);
    for (let i = 0; i < pageCountOf(this.summary); i++) {
      this.copyPage(i, page);
      const end = (entryCountOf(this.summary, i) + 1) * blobEntrySize;
      for (
        let start = i === 0 ? 2 * blobEntrySize : blobEntrySize;
        start < end;
        start += blobEntrySize
      ) {
        const before = start - blobEntrySize;
        if (!isSameKey(entries, before, start)) continue;
        visit(entryCopy(entries, before));
        visit(entryCopy(entries, start));
      }
      entries.copyWithin(0, end - blobEntrySize, end);
    }
  }

  /** Copies the entries of a page to `target`. */
  copyPage(page: number, target: Uint8Array): void {
    const size = this.#read(page) * blobEntrySize;
    target.set(this.#page.subarray(0, size));
  }

  /** How many entries it has. */
  #read(page: number): number {
    const { generation } = this.summary;
    setBaseKey(this.#key, generation, page);
    const value = this.#table.getBinaryFast(this.#key);
    const count = entryCountOf(this.summary, page);
    if (value === undefined || !isPageOf(value, count, generation)) throw new BaseMoved();
    if (this.#isChecked[page] === 0) {
      checkPage(this.#key, value, count);
      this.#isChecked[page] = 1;
    }
    this.#page = value;
    return count;
  }
}

/** Strangers differ in the last byte, mostly. */
function isSameKey(entries: Uint8Array, a: number, b: number): boolean {
  for (let i = BLOB_KEY_SIZE - 1; i >= 0; i--) if (entries[a + i] !== entries[b + i]) return false;
  return true;
}

function startOf(position: number): number {
  return (position % pageEntryCount) * blobEntrySize;
}

/** How many of the sorted numbers are smaller. Ids are hashes, so the place is nearly known. */
function countBelow(sorted: Uint32Array, number: number): number {
  const guess = Math.floor((number / 2 ** 32) * sorted.length);
  let low = Math.max(0, guess - 16);
  while (low > 0 && (sorted[low - 1] as number) >= number) low = low >>> 1;
  let high = Math.min(sorted.length, guess + 16);
  while (high < sorted.length && (sorted[high] as number) < number) {
    high = Math.min(sorted.length, 2 * high);
  }
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] as number) < number) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The first of `count` sorted entries that is not before the id. */
function lowerBound(page: Uint8Array, id: Uint8Array, count: number): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareKeys(page, middle * blobEntrySize, id, 0) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
