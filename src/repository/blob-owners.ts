/**
 * Who alone needs a blob. Owners form a tree: number 0 is everybody, below it stand snapshots, below
 * those directories. A blob belongs to the lowest owner that has all the places it is needed from, so
 * what an owner could free by going away is what belongs to it and to the owners below it.
 *
 * A delta needs its base: whoever needs the delta needs the base, and all bases of that, too.
 *
 * Memory: one bit for each blob of a pack, and four bytes more for packs that hold a blob that does
 * not belong to everybody.
 *
 * Invariants:
 * - The number of an owner is higher than that of the owner above it.
 * - What a blob belongs to only ever moves up the tree.
 * - A base belongs to the owner of each of its deltas, or to one above it.
 * - Of a page or list that is *settled* the same holds for everything below it. So who meets it again
 *   and does not move it up need not look below.
 */
import { BLOB_TYPE } from '../blob/blob-type.ts';
import { NotFoundError } from '../errors.ts';
import type { BlobId } from '../id.ts';
import type { BlobCopy } from '../index/cache-rows.ts';
import type { LocalIndex } from '../index/local-index.ts';
import type { BlobEntry } from '../pack/directory.ts';
import { toHex } from '../util/bytes.ts';
import { countedCopy, storedShare } from './counted-copy.ts';

/** Above all owners: what belongs to it is needed from several snapshots. */
export const everybody = 0;

interface PackClaims {
  /** A bit for each slot: settled, and belongs to everybody. Nothing more can happen to it. */
  shared: Uint8Array;
  /** For every other blob that somebody needs twice its owner, plus 3 where settled, else 2. */
  owned: Uint32Array | undefined;
}

/** By number of the owner. */
export interface OwnedSums {
  blobs: Float64Array;
  /** Bytes: their shares of the frames they lie in. */
  sizes: Float64Array;
}

export class BlobOwners {
  readonly #index: LocalIndex;
  readonly #packs: (PackClaims | undefined)[] = [];
  readonly #parents: number[] = [everybody];

  constructor(index: LocalIndex) {
    this.#index = index;
  }

  /** A new owner below another one. */
  addOwner(parent: number): number {
    return this.#parents.push(parent) - 1;
  }

  /** The owner above one that is not `everybody`. */
  parentOf(owner: number): number {
    return this.#parents[owner] as number;
  }

  /**
   * An owner needs a blob, and everything below it if it is a page or list: the caller claims that
   * next, for the same owner, unless the answer is false: then it has been done.
   * @throws NotFoundError when the blob, or a base it needs, is in no pack that is there.
   */
  claim(id: BlobId, owner: number): boolean {
    return this.#claim(id, owner, true);
  }

  /**
   * The same for a page whose parts go to several owners: one that the caller always looks into.
   * @throws NotFoundError
   */
  claimPage(id: BlobId, owner: number): void {
    this.#claim(id, owner, false);
  }

  /**
   * What belongs to each owner and to those below it. Of `everybody` only what owners below it have.
   * @param takeTurn called after each pack.
   */
  async sum(takeTurn: () => Promise<void>): Promise<OwnedSums> {
    const count = this.#parents.length;
    const sums = { blobs: new Float64Array(count), sizes: new Float64Array(count) };
    for (const [packNo, claims] of this.#packs.entries()) {
      if (claims?.owned === undefined) continue;
      this.#addPack(sums, packNo, claims.owned);
      await takeTurn();
    }
    for (let owner = count - 1; owner > everybody; owner--) {
      const parent = this.parentOf(owner);
      sums.blobs[parent] = (sums.blobs[parent] as number) + (sums.blobs[owner] as number);
      sums.sizes[parent] = (sums.sizes[parent] as number) + (sums.sizes[owner] as number);
    }
    return sums;
  }

  #addPack({ blobs, sizes }: OwnedSums, packNo: number, owned: Uint32Array): void {
    const table = this.#index.openDirectory(packNo)?.blobs;
    if (table === undefined) throw new NotFoundError('directory of pack number', `${packNo}`);
    for (let slot = 0; slot < owned.length; slot++) {
      const owner = ownerOf(owned[slot] as number);
      if (owner === undefined || owner === everybody) continue;
      const size = storedShare(table.at(slot) as BlobEntry, table.frames);
      blobs[owner] = (blobs[owner] as number) + 1;
      sizes[owner] = (sizes[owner] as number) + size;
    }
  }

  #claim(id: BlobId, by: number, isSettling: boolean): boolean {
    const copy = countedCopy(this.#index, id);
    if (copy === undefined) throw new NotFoundError('blob', toHex(id));
    const claims = this.#claimsOf(copy.packNo);
    const { slot } = copy;
    if (isBitSet(claims.shared, slot)) return false;
    const before = claims.owned?.[slot] ?? 0;
    const last = ownerOf(before);
    const owner = last === undefined ? by : this.#commonOwner(last, by);
    const isMoved = owner !== last;
    if (!isMoved && (!isSettling || isSettled(before))) return false;
    this.#set(claims, { slot, owner, isSettled: isSettling });
    if (isMoved && copy.depth > 0) this.#claimBase(copy, owner);
    return true;
  }

  /** Base and delta are of one type. To decode a page by its base nothing below that is needed. */
  #claimBase({ packNo, slot }: BlobCopy, owner: number): void {
    const blob = this.#index.openDirectory(packNo)?.blobs.at(slot);
    if (blob?.delta === undefined) return;
    this.#claim(blob.delta.base, owner, blob.type === BLOB_TYPE.data);
  }

  #set(
    claims: PackClaims,
    { slot, owner, isSettled }: { slot: number; owner: number; isSettled: boolean },
  ): void {
    if (owner === everybody && isSettled) {
      claims.shared[slot >> 3] = (claims.shared[slot >> 3] as number) | (1 << (slot & 7));
      if (claims.owned !== undefined) claims.owned[slot] = 0;
      return;
    }
    claims.owned ??= new Uint32Array(8 * claims.shared.length);
    claims.owned[slot] = 2 * owner + (isSettled ? 3 : 2);
  }

  #claimsOf(packNo: number): PackClaims {
    let claims = this.#packs[packNo];
    if (claims === undefined) {
      const blobCount = this.#index.pack(packNo)?.blobCount ?? 0;
      claims = { shared: new Uint8Array((blobCount + 7) >> 3), owned: undefined };
      this.#packs[packNo] = claims;
    }
    return claims;
  }

  /** The lowest owner that has both. */
  #commonOwner(a: number, b: number): number {
    let [high, low] = a > b ? [a, b] : [b, a];
    while (high !== low) {
      const parent = this.parentOf(high);
      [high, low] = parent > low ? [parent, low] : [low, parent];
    }
    return high;
  }
}

function isBitSet(bits: Uint8Array, i: number): boolean {
  return ((bits[i >> 3] as number) & (1 << (i & 7))) !== 0;
}

/** Undefined where nobody needs the blob. */
function ownerOf(claim: number): number | undefined {
  return claim < 2 ? undefined : (claim >>> 1) - 1;
}

function isSettled(claim: number): boolean {
  return (claim & 1) !== 0;
}
