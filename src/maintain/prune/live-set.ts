/**
 * The live set of a collection: every blob that is to stay readable, as places in packs, one bit for
 * each. A blob stands at one copy, and with a delta stand its base and all below it, down to a whole
 * copy: so what is in the set can be decoded from the places in the set alone (rule DECODE), and a
 * circle of deltas cannot keep itself.
 *
 * Memory: a bit per blob of each pack that has a live one.
 */
import type { BlobType } from '../../blob/blob-type.ts';
import type { BlobId } from '../../id.ts';
import type { BlobCopy } from '../../index/cache-rows.ts';
import type { LocalIndex } from '../../index/local-index.ts';
import { type Location, usableChain } from '../../index/presence.ts';
import type { BlobEntry } from '../../pack/directory.ts';

/** Whether copies in a pack count, by its number in the index. */
export type IsUsablePack = (packNo: number) => boolean;

export interface LiveSetOptions {
  index: LocalIndex;
  /** Packs that are indexed, listed with their length, and not swept. */
  isThere: IsUsablePack;
  /** Packs that may go: a copy elsewhere is preferred. */
  isCondemned: IsUsablePack;
}

/** `known` was there before; `missing` has no copy that can be decoded. */
export type Added = 'new' | 'known' | 'missing';

export class LiveSet {
  readonly index: LocalIndex;
  readonly #isThere: IsUsablePack;
  readonly #isKept: IsUsablePack;
  /** By number of the pack: a bit for each slot. */
  readonly #bits: (Uint8Array | undefined)[] = [];
  /** Blobs in the set, bases included. */
  count = 0;

  constructor({ index, isThere, isCondemned }: LiveSetOptions) {
    this.index = index;
    this.#isThere = isThere;
    this.#isKept = (packNo) => isThere(packNo) && !isCondemned(packNo);
  }

  /** Adds a blob with all that it takes to decode it. */
  add(id: BlobId, type: BlobType): Added {
    const whole = this.#wholeCopy(id, type);
    if (whole !== undefined) return this.#mark(whole) ? 'new' : 'known';
    const chain = usableChain(this.index, id, this.#isKept) ?? this.chainIn(id);
    const [top] = chain ?? [];
    if (chain === undefined || top?.blob.type !== type) return 'missing';
    if (!this.#mark(top)) return 'known';
    for (const base of chain) this.#mark(base);
    return 'new';
  }

  /** Whether a pack has live blobs. */
  hasBlobsIn(packNo: number): boolean {
    return this.#bits[packNo] !== undefined;
  }

  /** The live blobs of a pack, by slot. */
  *blobsIn(packNo: number): Generator<BlobEntry, void, undefined> {
    const bits = this.#bits[packNo];
    const blobs = this.index.openDirectory(packNo)?.blobs;
    if (bits === undefined || blobs === undefined) return;
    for (let slot = 0; slot < blobs.count; slot++) {
      if (((bits[slot >> 3] as number) & (1 << (slot & 7))) === 0) continue;
      yield blobs.at(slot) as BlobEntry;
    }
  }

  /** The copy at which a live blob stands; undefined for any other blob. */
  placeOf(id: BlobId): BlobCopy | undefined {
    return this.index.copies(id).find(({ packNo, slot }) => {
      const byte = this.#bits[packNo]?.[slot >> 3] ?? 0;
      return (
        (byte & (1 << (slot & 7))) !== 0 && this.index.openDirectory(packNo)?.blobs.isAt(slot, id)
      );
    });
  }

  /**
   * How a blob can be decoded if only these packs are left, from its own copy down to a whole one;
   * undefined when it cannot.
   */
  chainIn(id: BlobId, isLeft: IsUsablePack = () => true): Location[] | undefined {
    return usableChain(this.index, id, (packNo) => this.#isThere(packNo) && isLeft(packNo));
  }

  /**
   * A whole copy in a pack that is not condemned: what nearly every blob has, found without more.
   * Undefined also where that copy turns out to be of another blob, or is known to be damaged.
   */
  #wholeCopy(id: BlobId, type: BlobType): BlobCopy | undefined {
    const copy = this.index.wholeCopy(id, this.#isKept);
    if (copy === undefined) return undefined;
    const blobs = this.index.openDirectory(copy.packNo)?.blobs;
    const isIt = blobs?.isAt(copy.slot, id) === true && blobs.typeAt(copy.slot) === type;
    return isIt && !this.index.isDistrusted(copy.packNo, id) ? copy : undefined;
  }

  /** False when it was marked before. */
  #mark({ packNo, slot }: Pick<BlobCopy, 'packNo' | 'slot'>): boolean {
    let bits = this.#bits[packNo];
    if (bits === undefined) {
      bits = new Uint8Array(((this.index.pack(packNo)?.blobCount ?? 0) >> 3) + 1);
      this.#bits[packNo] = bits;
    }
    const mask = 1 << (slot & 7);
    const byte = bits[slot >> 3] as number;
    if ((byte & mask) !== 0) return false;
    bits[slot >> 3] = byte | mask;
    this.count += 1;
    return true;
  }
}
