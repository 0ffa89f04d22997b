/**
 * Byte strings by key, in one block of memory that is filled from its start to its end and over again:
 * what is new takes the place of what is oldest. Unlike memory that is made for each and left to the
 * garbage collector, which lets 64 MiB of it pass before it looks, this takes its size and no more,
 * and no page of it before it is first written to.
 */

/** What is kept under a key: its bytes, and perhaps where they are from. */
export interface RingValue {
  readonly bytes: Uint8Array;
}

export class RingCache<Key, Value extends RingValue> {
  readonly #size: number;
  #memory: Uint8Array | undefined;
  /** The oldest first, which is the order of their places from `#next` on, round the block. */
  readonly #entries = new Map<Key, Value>();
  #next = 0;

  /** @param size of the block, bytes */
  constructor(size: number) {
    this.#size = size;
  }

  /** Its bytes are valid until the next `take`. */
  get(key: Key): Value | undefined {
    return this.#entries.get(key);
  }

  /** All that is kept, the oldest first. */
  values(): IterableIterator<Value> {
    return this.#entries.values();
  }

  /**
   * Memory to be filled and then `set`; whatever lay there is forgotten. What is larger than the block
   * gets memory of its own.
   */
  take(size: number): Uint8Array {
    if (size > this.#size) return new Uint8Array(size);
    this.#memory ??= new Uint8Array(this.#size);
    if (this.#next + size > this.#size) {
      this.#dropBetween(this.#next, this.#size);
      this.#next = 0;
    }
    const start = this.#next;
    this.#next += size;
    this.#dropBetween(start, this.#next);
    return this.#memory.subarray(start, this.#next);
  }

  /**
   * Keeps what lies in the memory that the last `take` gave, in one piece or in several by their
   * order; what has memory of its own is not kept.
   */
  set(key: Key, value: Value): void {
    this.#entries.delete(key);
    if (value.bytes.buffer === this.#memory?.buffer) this.#entries.set(key, value);
  }

  /** Forgets what begins there: entries end where others begin, and the oldest come next. */
  #dropBetween(start: number, end: number): void {
    for (const [key, { bytes }] of this.#entries) {
      if (bytes.byteOffset < start || bytes.byteOffset >= end) break;
      this.#entries.delete(key);
    }
  }
}
