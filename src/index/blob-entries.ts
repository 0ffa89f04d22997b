/**
 * Writing many blobs into the index at once. LMDB likes sorted keys, and it likes appending best:
 * into an empty database 1 M sorted entries go at 1 M/s, unsorted ones at a third of that. Keys are
 * bits of a keyed hash, so ordering by their first four bytes leaves a few neighbours to swap.
 *
 * An entry takes 32 bytes here while it is sorted; the caller bounds how many there are.
 */
import { endianness } from 'node:os';
import type { PackDirectory } from '../pack/directory.ts';
import { compareBytes, equalBytes, viewOf } from '../util/bytes.ts';
import { BLOB_KEY_SIZE, BLOB_VALUE_SIZE, writeBlobValue } from './cache-rows.ts';
import type { Table } from './environment.ts';

const ENTRY_SIZE = BLOB_KEY_SIZE + BLOB_VALUE_SIZE;
/** Which half of a 64-bit number is the high one, as this machine stores it. */
const HIGH = endianness() === 'LE' ? 1 : 0;

export class BlobEntries {
  #entries = new Uint8Array(ENTRY_SIZE * 1024);
  #count = 0;

  addPack(packNo: number, directory: PackDirectory): void {
    this.#reserve(directory.blobs.length);
    for (const [slot, blob] of directory.blobs.entries()) {
      const start = this.#count * ENTRY_SIZE;
      this.#entries.set(blob.id.subarray(0, BLOB_KEY_SIZE), start);
      const value = this.#entries.subarray(start + BLOB_KEY_SIZE, start + ENTRY_SIZE);
      writeBlobValue(value, { packNo, slot, depth: blob.delta?.depth ?? 0 });
      this.#count++;
    }
  }

  /** Writes all entries in the order of their keys; inside a transaction. */
  writeTo(table: Table): void {
    const [anyKey] = table.getKeys({ limit: 1 });
    const isEmpty = anyKey === undefined;
    let previous = new Uint8Array(0);
    for (const start of this.#sortedStarts()) {
      const key = this.#entries.subarray(start, start + BLOB_KEY_SIZE);
      const value = this.#entries.subarray(start + BLOB_KEY_SIZE, start + ENTRY_SIZE);
      // A second copy of a blob cannot be appended: its key is not beyond the last one.
      const append = isEmpty && !equalBytes(key, previous);
      table.putSync(key, value, { append });
      previous = key;
    }
  }

  /** Where the entries start, in the order of their keys. */
  #sortedStarts(): Float64Array {
    const order = this.#orderByPrefix();
    const starts = new Float64Array(this.#count);
    for (let i = 0; i < starts.length; i++) {
      starts[i] = (order[2 * i + 1 - HIGH] as number) * ENTRY_SIZE;
    }
    this.#orderTies(order, starts);
    return starts;
  }

  /** Pairs of 32-bit words, entry position and first four bytes of the key, sorted by the latter. */
  #orderByPrefix(): Uint32Array {
    const pairs = new BigUint64Array(this.#count);
    const words = new Uint32Array(pairs.buffer);
    const view = viewOf(this.#entries);
    for (let i = 0; i < this.#count; i++) {
      words[2 * i + 1 - HIGH] = i;
      words[2 * i + HIGH] = view.getUint32(i * ENTRY_SIZE);
    }
    // Without a function to call, a typed array is sorted by machine code: 50 ns per entry.
    pairs.sort();
    return words;
  }

  #orderTies(words: Uint32Array, starts: Float64Array): void {
    for (let first = 0; first < starts.length; ) {
      let end = first + 1;
      while (end < starts.length && words[2 * end + HIGH] === words[2 * first + HIGH]) end++;
      if (end - first > 1) starts.subarray(first, end).sort((a, b) => this.#compare(a, b));
      first = end;
    }
  }

  #compare(a: number, b: number): number {
    const entries = this.#entries;
    return compareBytes(entries.subarray(a, a + ENTRY_SIZE), entries.subarray(b, b + ENTRY_SIZE));
  }

  #reserve(count: number): void {
    const needed = (this.#count + count) * ENTRY_SIZE;
    if (needed <= this.#entries.length) return;
    const grown = new Uint8Array(Math.max(needed, 2 * this.#entries.length));
    grown.set(this.#entries);
    this.#entries = grown;
  }
}
