/**
 * Chunks of a file's previous version, in flat tables: all of them, or those around the place that is
 * being worked at. A list of a million chunks would take 50 MB; so a reader of long lists appends
 * leaf after leaf, drops what lies behind, and begins a new one elsewhere when the place jumps.
 */
import type { BlobId } from '../id.ts';
import { assert } from '../util/assert.ts';
import { isZero } from '../util/bytes.ts';

const idSize = 32;
const capacityMin = 64;

export class OldChunks {
  /** Where each chunk begins; one more for where the last one ends. */
  #offsets = new Float64Array(capacityMin + 1);
  /** Zeros for a hole. */
  #ids = new Uint8Array(capacityMin * idSize);
  /** Position + 1 of the first chunk of an id, or 0; more than twice as long as there are chunks. */
  #table = new Uint32Array(4 * capacityMin);
  #count = 0;

  /** @param start offset in the file of the first chunk that will be added. */
  constructor(start = 0) {
    this.#offsets[0] = start;
  }

  get count(): number {
    return this.#count;
  }

  /** First byte of the file that is covered. */
  get start(): number {
    return this.#offsets[0] as number;
  }

  /** Byte of the file after the last that is covered. */
  get end(): number {
    return this.#offsets[this.#count] as number;
  }

  /** The next chunk of the file; a hole has no id. */
  add(id: BlobId | undefined, size: number): void {
    if (this.#count + 1 === this.#offsets.length) this.#resize(2 * this.#count, 0);
    const position = this.#count++;
    this.#offsets[position + 1] = (this.#offsets[position] as number) + size;
    if (id === undefined) return;
    this.#ids.set(id, position * idSize);
    this.#enter(position);
  }

  /**
   * Forgets chunks that end at or before an offset. Positions change, and what stays is copied: for
   * each leaf once, not for each chunk.
   */
  dropBefore(offset: number): void {
    const first = this.#firstEndingAfter(offset);
    if (first > 0) this.#resize(Math.max(capacityMin, this.#count - first), first);
  }

  /** Where a chunk begins in the file. */
  offsetAt(position: number): number {
    assert(position >= 0 && position < this.#count, 'position of an old chunk');
    return this.#offsets[position] as number;
  }

  /** Undefined for a hole. A view, valid until something is added or dropped. */
  idAt(position: number): BlobId | undefined {
    assert(position >= 0 && position < this.#count, 'position of an old chunk');
    const id = this.#ids.subarray(position * idSize, (position + 1) * idSize);
    return isZero(id) ? undefined : (id as BlobId);
  }

  /** The first chunk with this id; -1 when there is none. */
  indexOf(id: BlobId): number {
    return (this.#table[this.#find(id, 0)] as number) - 1;
  }

  /** The chunk that has most of [start, end), holes left out; the first of equals, -1 for none. */
  mostOverlapping(start: number, end: number): number {
    let most = 0;
    let found = -1;
    for (let i = this.#firstEndingAfter(start); i < this.#count; i++) {
      const from = this.#offsets[i] as number;
      if (from >= end) break;
      const overlap = Math.min(end, this.#offsets[i + 1] as number) - Math.max(start, from);
      if (overlap <= most || this.idAt(i) === undefined) continue;
      most = overlap;
      found = i;
    }
    return found;
  }

  #firstEndingAfter(offset: number): number {
    let low = 0;
    let high = this.#count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#offsets[middle + 1] as number) <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Moves the chunks from `first` on into new memory. */
  #resize(capacity: number, first: number): void {
    const offsets = new Float64Array(capacity + 1);
    offsets.set(this.#offsets.subarray(first, this.#count + 1));
    const ids = new Uint8Array(capacity * idSize);
    ids.set(this.#ids.subarray(first * idSize, this.#count * idSize));
    this.#offsets = offsets;
    this.#ids = ids;
    this.#count -= first;
    this.#table = new Uint32Array(2 ** Math.ceil(Math.log2(2 * capacity + 1)));
    for (let i = 0; i < this.#count; i++) if (this.idAt(i) !== undefined) this.#enter(i);
  }

  #enter(position: number): void {
    const at = this.#find(this.#ids, position * idSize);
    if (this.#table[at] === 0) this.#table[at] = position + 1;
  }

  /** Where in the table the id that starts at `start` is, or would be. */
  #find(bytes: Uint8Array, start: number): number {
    const mask = this.#table.length - 1;
    // Ids are hashes: any four bytes of them will do.
    const low = (bytes[start] as number) | ((bytes[start + 1] as number) << 8);
    const high = (bytes[start + 2] as number) | ((bytes[start + 3] as number) << 8);
    let at = (low | (high << 16)) & mask;
    while (this.#table[at] !== 0) {
      if (this.#isId((this.#table[at] as number) - 1, bytes, start)) break;
      at = (at + 1) & mask;
    }
    return at;
  }

  #isId(position: number, bytes: Uint8Array, start: number): boolean {
    const from = position * idSize;
    for (let i = 0; i < idSize; i++) if (this.#ids[from + i] !== bytes[start + i]) return false;
    return true;
  }
}
