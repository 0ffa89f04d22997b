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
import { type Place, SlotSet } from './slot-set.ts';

/** Whether copies in a pack count, by its number in the index. */
export type IsUsablePack = (packNo: number) => boolean;

export interface LiveSetOptions {
  index: LocalIndex;
  /** Packs that are indexed, listed with their length, and not swept. */
  isThere: IsUsablePack;
  /** Packs that may go: a copy elsewhere is preferred. */
  isCondemned: IsUsablePack;
  /** All copies of blobs that have several; undefined where that could not be found out. */
  repeated?: SlotSet | undefined;
}

/** `known` was there before; `missing` has no copy that can be decoded. */
export type Added = 'new' | 'known' | 'missing';

export class LiveSet {
  readonly index: LocalIndex;
  readonly #isThere: IsUsablePack;
  readonly #isKept: IsUsablePack;
  readonly #repeated: SlotSet | undefined;
  readonly #places: SlotSet;
  /** By type of blob: the copy that was found last. */
  readonly #last: (Place | undefined)[] = [];
  /** Blobs in the set, bases included. */
  count = 0;

  constructor({ index, isThere, isCondemned, repeated }: LiveSetOptions) {
    this.index = index;
    this.#repeated = repeated;
    this.#places = new SlotSet(index);
    this.#isThere = isThere;
    this.#isKept = (packNo) => isThere(packNo) && !isCondemned(packNo);
  }

  /** Adds a blob with all that it takes to decode it. */
  add(id: BlobId, type: BlobType): Added {
    const whole = this.#nextCopy(id, type) ?? this.#wholeCopy(id, type);
    if (whole !== undefined) {
      this.#last[type] = whole;
      return this.#mark(whole) ? 'new' : 'known';
    }
    const chain = usableChain(this.index, id, this.#isKept) ?? this.chainIn(id);
    const [top] = chain ?? [];
    if (chain === undefined || top?.blob.type !== type) return 'missing';
    if (!this.#mark(top)) return 'known';
    for (const base of chain) this.#mark(base);
    return 'new';
  }

  /** Whether a pack has live blobs. */
  hasBlobsIn(packNo: number): boolean {
    return this.#places.hasPack(packNo);
  }

  /** The live blobs of a pack, by slot. */
  *blobsIn(packNo: number): Generator<BlobEntry, void, undefined> {
    if (!this.#places.hasPack(packNo)) return;
    const blobs = this.index.openDirectory(packNo)?.blobs;
    for (let slot = 0; slot < (blobs?.count ?? 0); slot++) {
      if (this.#places.has(packNo, slot)) yield blobs?.at(slot) as BlobEntry;
    }
  }

  /** The copy at which a live blob stands; undefined for any other blob. */
  placeOf(id: BlobId): BlobCopy | undefined {
    return this.index.copies(id).find(({ packNo, slot }) => {
      const isLive = this.#places.has(packNo, slot);
      return isLive && this.index.openDirectory(packNo)?.blobs.isAt(slot, id);
    });
  }

  /** False where there is surely no other copy of the blob in that place. */
  mayBeRepeated(packNo: number, slot: number): boolean {
    return this.#repeated?.has(packNo, slot) ?? true;
  }

  /**
   * How a blob can be decoded if only these packs are left, from its own copy down to a whole one;
   * undefined when it cannot.
   */
  chainIn(id: BlobId, isLeft: IsUsablePack = () => true): Location[] | undefined {
    return usableChain(this.index, id, (packNo) => this.#isThere(packNo) && isLeft(packNo));
  }

  /**
   * The same as `#wholeCopy`, where the blob lies behind the one found last, as they do that were stored
   * one after the other: no look into the index is needed, unless it has another copy to choose.
   */
  #nextCopy(id: BlobId, type: BlobType): Place | undefined {
    const last = this.#last[type];
    if (last === undefined || this.#repeated === undefined) return undefined;
    const { packNo } = last;
    const slot = last.slot + 1;
    const blobs = this.index.openDirectory(packNo)?.blobs;
    if (blobs?.isAt(slot, id) !== true || this.#repeated.has(packNo, slot)) return undefined;
    const isWhole = blobs.typeAt(slot) === type && blobs.isWholeAt(slot);
    const isGood = isWhole && !this.index.isDistrusted(packNo, id);
    return isGood && this.#isKept(packNo) ? { packNo, slot } : undefined;
  }

  /**
   * A whole copy in a pack that is not condemned: what nearly every blob has, found without more.
   * Undefined also where that copy turns out to be of another blob, or is known to be damaged.
   */
  #wholeCopy(id: BlobId, type: BlobType): Place | undefined {
    const copy = this.index.wholeCopy(id, this.#isKept);
    if (copy === undefined) return undefined;
    const blobs = this.index.openDirectory(copy.packNo)?.blobs;
    const isIt = blobs?.isAt(copy.slot, id) === true && blobs.typeAt(copy.slot) === type;
    return isIt && !this.index.isDistrusted(copy.packNo, id) ? copy : undefined;
  }

  /** False when it was marked before. */
  #mark(place: Place): boolean {
    const isNew = this.#places.add(place);
    if (isNew) this.count += 1;
    return isNew;
  }
}
