/**
 * Which packs hold copies of a blob: those that the base covers (`base-blobs.ts`), and those after it
 * (`recent-blobs.ts`). Both follow from the pack directories in LMDB; writing a pack writes nothing
 * here. When many packs came since the last base, a new one is written (`merge.ts`).
 *
 * Invariants:
 * - The base covers packs up to `base.packNo`, `recent` those after it up to `#loadedTo`.
 * - When `#isSettled`, `recent` has all packs that this process knows to be written.
 * - Whatever is missing or damaged means "no copy"; it is told once to `onDamage`.
 */
import type { BlobId } from '../id.ts';
import { demand } from '../util/byte-reader.ts';
import { BaseBlobs } from './base-blobs.ts';
import { BaseMoved } from './base-rows.ts';
import { BLOB_KEY_SIZE, type BlobCopy, lastPackNo, packBody, packKey } from './cache-rows.ts';
import { CacheFailed, type Environment, isDamage } from './environment.ts';
import { mergeBlobs } from './merge.ts';
import { RecentBlobs } from './recent-blobs.ts';

/** Entries that make a merge due: a fifth of the base, but within these bounds. */
export interface MergeBounds {
  min: number;
  max: number;
}
/** A million in memory take 32 to 40 MB, and 0.15 s when a process first asks. */
export const mergeBounds: MergeBounds = { min: 2 ** 17, max: 2 ** 20 };
const BASE_SHARE = 1 / 5;

/**
 * What the blob table says of an id: no copy, a whole copy in a usable pack, or only others (deltas,
 * copies in packs that do not count).
 */
export type LookUp = 'none' | 'whole' | 'other';

interface BlobTableOptions {
  bounds: MergeBounds;
  isUsable: (packNo: number) => boolean;
  /** Blobs of the packs after this one, about. */
  countAfter: (packNo: number) => number;
  onDamage: (error: unknown) => void;
}

export class BlobTable {
  readonly #environment: Environment;
  readonly #options: BlobTableOptions;
  #base: BaseBlobs;
  #recent = new RecentBlobs(0);
  #loadedTo: number;
  #isSettled = false;
  #merging: Promise<void> | undefined;
  #isClosing = false;
  /** A merge failed: the disk is full, or a pack cannot be read. */
  #isStuck = false;
  /** Entries that make a merge due after another process took one over. */
  #retryAt = 0;

  constructor(environment: Environment, options: BlobTableOptions) {
    this.#environment = environment;
    this.#options = options;
    this.#base = new BaseBlobs(environment);
    this.#loadedTo = this.#base.summary.packNo;
  }

  /** Packs were written. */
  unsettle(): void {
    this.#isSettled = false;
  }

  lookUp(id: BlobId): LookUp {
    if (!this.#isSettled) this.#settle();
    try {
      return this.#lookUp(id);
    } catch (error) {
      if (!(error instanceof BaseMoved) || !this.#reload()) throw error;
    }
    return this.lookUp(id);
  }

  #lookUp(id: BlobId): LookUp {
    const { isUsable } = this.#options;
    const [recent, base] = [this.#recent, this.#base];
    let answer: LookUp = 'none';
    for (let at = recent.first(id); at >= 0; at = recent.next(id)) {
      if (recent.depth(at) === 0 && isUsable(recent.packNo(at))) return 'whole';
      answer = 'other';
    }
    for (let at = base.first(id); at >= 0; at = base.next(id, at)) {
      if (base.depth(at) === 0 && isUsable(base.packNo(at))) return 'whole';
      answer = 'other';
    }
    return answer;
  }

  /** A whole copy in a pack that is wanted, of those that this process knows. */
  wholeCopy(id: BlobId, isWanted: (packNo: number) => boolean): BlobCopy | undefined {
    if (!this.#isSettled) this.#settle();
    try {
      return this.#wholeCopy(id, isWanted);
    } catch (error) {
      if (!(error instanceof BaseMoved) || !this.#reload()) throw error;
    }
    return this.wholeCopy(id, isWanted);
  }

  #wholeCopy(id: BlobId, isWanted: (packNo: number) => boolean): BlobCopy | undefined {
    const [recent, base] = [this.#recent, this.#base];
    for (let at = recent.first(id); at >= 0; at = recent.next(id)) {
      if (recent.depth(at) === 0 && isWanted(recent.packNo(at))) return recent.copy(at);
    }
    for (let at = base.first(id); at >= 0; at = base.next(id, at)) {
      if (base.depth(at) === 0 && isWanted(base.packNo(at))) return base.copy(at);
    }
    return undefined;
  }

  /** Copies in all packs; those of another process too, when there is no other. */
  copies(id: BlobId): BlobCopy[] {
    if (!this.#isSettled) this.#settle();
    const found = this.#copies(id);
    if (found.length > 0 || this.#loadedTo >= lastPackNo(this.#environment.packs)) return found;
    this.#settle();
    return this.#copies(id);
  }

  #copies(id: Uint8Array): BlobCopy[] {
    const copies: BlobCopy[] = [];
    const [recent, base] = [this.#recent, this.#base];
    for (let at = recent.first(id); at >= 0; at = recent.next(id)) copies.push(recent.copy(at));
    try {
      for (let at = base.first(id); at >= 0; at = base.next(id, at)) copies.push(base.copy(at));
      return copies;
    } catch (error) {
      if (!(error instanceof BaseMoved) || !this.#reload()) throw error;
    }
    this.#settle();
    return this.#copies(id);
  }

  /**
   * Calls back with every copy of blobs that have several, some of them more than once. Writes a new
   * base first if more entries are in none than it takes for the least of merges.
   * @throws CacheFailed when it cannot be written.
   */
  async visitRepeated(visit: (copy: BlobCopy) => void): Promise<void> {
    await this.mergeIfDue(this.#options.bounds.min);
    this.#visitRepeated(visit);
  }

  #visitRepeated(visit: (copy: BlobCopy) => void): void {
    if (!this.#isSettled) this.#settle();
    try {
      const [recent, base] = [this.#recent, this.#base];
      base.visitRepeated(visit);
      const id = new Uint8Array(BLOB_KEY_SIZE);
      for (let at = 0; at < recent.count; at++) {
        recent.readKey(at, id);
        const isRepeated = recent.first(id) !== at || recent.next(id) >= 0 || base.first(id) >= 0;
        if (isRepeated) for (const copy of this.#copies(id)) visit(copy);
      }
      return;
    } catch (error) {
      if (!(error instanceof BaseMoved) || !this.#reload()) throw error;
    }
    this.#visitRepeated(visit);
  }

  /**
   * Writes a new base if that is due, with pauses for other work.
   * @param dueCount entries after the base that make it so
   * @throws CacheFailed when it cannot be written. All answers are as before.
   */
  async mergeIfDue(dueCount: number = this.#dueCount): Promise<void> {
    const entryCount = this.#options.countAfter(this.#base.summary.packNo);
    if (this.#merging !== undefined || this.#isStuck || entryCount < dueCount) return;
    this.#merging = this.#merge(entryCount);
    try {
      await this.#merging;
    } finally {
      this.#merging = undefined;
    }
  }

  /** Ends a merge at its next pause. */
  async close(): Promise<void> {
    this.#isClosing = true;
    await this.#merging?.catch(() => {});
  }

  get #dueCount(): number {
    const { min, max } = this.#options.bounds;
    const share = Math.ceil(this.#base.summary.entryCount * BASE_SHARE);
    return Math.max(this.#retryAt, min, Math.min(max, share));
  }

  async #merge(entryCount: number): Promise<void> {
    try {
      for (const _ of mergeBlobs(this.#environment, { entryCount })) {
        await new Promise((resolve) => setImmediate(resolve));
        if (this.#isClosing) return;
      }
    } catch (error) {
      this.#failMerge(error);
    }
    this.#endMerge(entryCount);
  }

  #mergeAtOnce(): void {
    const entryCount = this.#options.countAfter(this.#base.summary.packNo);
    try {
      const steps = mergeBlobs(this.#environment, { entryCount });
      while (steps.next().done !== true);
    } catch (error) {
      this.#failMerge(error);
    }
    this.#endMerge(entryCount);
  }

  /** Where another process took over, its base will be found later. */
  #endMerge(entryCount: number): void {
    if (!this.#reload()) this.#retryAt = Math.ceil(1.25 * entryCount);
  }

  #failMerge(error: unknown): never {
    if (!isDamage(error) && !(error instanceof CacheFailed)) throw error;
    this.#isStuck = true;
    throw error instanceof CacheFailed ? error : new CacheFailed(error);
  }

  /** Takes in the packs after `#loadedTo`. */
  #settle(): void {
    const last = lastPackNo(this.#environment.packs);
    if (this.#recent.count === 0) {
      const expected = this.#options.countAfter(this.#loadedTo);
      this.#recent = new RecentBlobs(Math.min(expected, 2 * this.#dueCount));
    }
    while (this.#loadedTo < last) {
      const isFull = this.#recent.count > 2 * this.#dueCount && this.#merging === undefined;
      // Without more room the blobs of later packs are not found, and stored again at worst.
      if (isFull && this.#isStuck) break;
      if (isFull) this.#mergeAtOnce();
      else this.#load(this.#loadedTo + 1);
    }
    this.#isSettled = true;
  }

  #load(packNo: number): void {
    this.#loadedTo = packNo;
    try {
      const key = packKey(packNo);
      const value = this.#environment.packs.getBinaryFast(key);
      demand(value !== undefined, `pack ${packNo} is missing`);
      this.#recent.addPack(packNo, packBody(key, value));
    } catch (error) {
      this.#options.onDamage(error);
    }
  }

  /** Goes over to the base that counts now, if it is another one. */
  #reload(): boolean {
    const base = new BaseBlobs(this.#environment);
    if (base.summary.generation === this.#base.summary.generation) return false;
    this.#base = base;
    this.#recent = new RecentBlobs(0);
    this.#loadedTo = base.summary.packNo;
    this.#isSettled = false;
    this.#retryAt = 0;
    return true;
  }
}
