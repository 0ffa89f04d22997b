/** A set of places in packs, one bit for each blob of every pack that has one in it. */
import type { BlobCopy } from '../../index/cache-rows.ts';
import type { LocalIndex } from '../../index/local-index.ts';

/** Where a copy of a blob lies: number of the pack in the index, slot in its directory. */
export type Place = Pick<BlobCopy, 'packNo' | 'slot'>;

export class SlotSet {
  readonly #index: LocalIndex;
  /** By number of the pack. */
  readonly #bits: (Uint8Array | undefined)[] = [];

  constructor(index: LocalIndex) {
    this.#index = index;
  }

  /** False when it was there before. */
  add({ packNo, slot }: Place): boolean {
    let bits = this.#bits[packNo];
    if (bits === undefined) {
      bits = new Uint8Array(((this.#index.pack(packNo)?.blobCount ?? 0) >> 3) + 1);
      this.#bits[packNo] = bits;
    }
    const mask = 1 << (slot & 7);
    const byte = bits[slot >> 3] as number;
    bits[slot >> 3] = byte | mask;
    return (byte & mask) === 0;
  }

  has(packNo: number, slot: number): boolean {
    const byte = this.#bits[packNo]?.[slot >> 3] ?? 0;
    return (byte & (1 << (slot & 7))) !== 0;
  }

  /** Whether any place of a pack is in it. */
  hasPack(packNo: number): boolean {
    return this.#bits[packNo] !== undefined;
  }
}

/** All copies of blobs that have several; undefined when the index cannot tell. */
export async function findRepeated(index: LocalIndex): Promise<SlotSet | undefined> {
  const repeated = new SlotSet(index);
  return (await index.visitRepeated((copy) => repeated.add(copy))) ? repeated : undefined;
}
