/**
 * Writing many blobs into the index at once. LMDB likes sorted keys, and it likes appending best: a
 * million entries go into an empty table at 800 k/s, and packs of a thousand into a table of that
 * size at 60 k/s (bench `lookup`). Keys are bits of a keyed hash, so ordering them by their first
 * four bytes leaves a few neighbours to swap.
 *
 * An entry takes 40 bytes here while it is sorted; the caller bounds how many there are.
 */
import { endianness } from 'node:os';
import { scanBlobs } from '../pack/directory.ts';
import type { PackRecord } from '../pack/pack-record.ts';
import { compareBytes, viewOf } from '../util/bytes.ts';
import { BLOB_KEY_SIZE, BLOB_VALUE_SIZE, writeBlobValue } from './cache-rows.ts';
import type { Table } from './environment.ts';

const ENTRY_SIZE = BLOB_KEY_SIZE + BLOB_VALUE_SIZE;
/** Which half of a 64-bit number is the high one, as this machine stores it. */
const HIGH = endianness() === 'LE' ? 1 : 0;

export class BlobEntries {
  #entries = new Uint8Array(ENTRY_SIZE * 1024);
  #count = 0;

  /**
   * Takes in all blobs of a pack.
   * @returns how many there are.
   */
  addPack(packNo: number, record: PackRecord): number {
    const { body } = record;
    let slot = 0;
    return scanBlobs(body, (idOffset, depth) => {
      const start = this.#count * ENTRY_SIZE;
      if (start === this.#entries.length) this.#grow();
      const entries = this.#entries;
      for (let i = 0; i < BLOB_KEY_SIZE; i++) entries[start + i] = body[idOffset + i] as number;
      writeBlobValue(entries, start + BLOB_KEY_SIZE, { packNo, slot, depth });
      this.#count++;
      slot++;
    });
  }

  /** Writes all entries in the order of their keys; inside a transaction. */
  writeTo(table: Table): void {
    const [anyKey] = table.getKeys({ limit: 1 });
    const isEmpty = anyKey === undefined;
    const entries = this.#entries;
    // LMDB copies both at once. Memory of their own, because it takes their address.
    const key = new Uint8Array(new ArrayBuffer(BLOB_KEY_SIZE));
    const value = new Uint8Array(new ArrayBuffer(BLOB_VALUE_SIZE));
    let previous = -1;
    for (const start of this.#sortedStarts()) {
      for (let i = 0; i < BLOB_KEY_SIZE; i++) key[i] = entries[start + i] as number;
      for (let i = 0; i < BLOB_VALUE_SIZE; i++) {
        value[i] = entries[start + BLOB_KEY_SIZE + i] as number;
      }
      // A second copy of a blob cannot be appended: its key is not beyond the last one.
      const append = isEmpty && !hasSameKey(entries, start, previous);
      table.putSync(key, value, { append });
      previous = start;
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

  #grow(): void {
    const grown = new Uint8Array(2 * this.#entries.length);
    grown.set(this.#entries);
    this.#entries = grown;
  }
}

/** Sorted neighbours agree in their first bytes, so the last ones are compared first. */
function hasSameKey(entries: Uint8Array, a: number, b: number): boolean {
  if (b < 0) return false;
  for (let i = BLOB_KEY_SIZE - 1; i >= 0; i--) if (entries[a + i] !== entries[b + i]) return false;
  return true;
}
