/**
 * The table of features in LMDB (`similarity/feature-table.ts`, of which this folder knows no more than
 * `FeatureStore`): its pages, and how far they go. `meta` has, under "features", the layout of the
 * pages and the last of the packs whose features are all in them.
 *
 * What the pages lack is taken from the directories of the packs after that one, which another client
 * may have stored. So a table need not be written for every snapshot, a new cache gets one from what is
 * stored, and a process that dies loses none. Pack numbers are those of this cache and are never given
 * twice; the pages go when it goes.
 *
 * All of it is hints. Two processes may write pages by turns: each has what it read, what it added
 * and all packs up to the number it writes.
 */
import { scanFeatures } from '../pack/directory.ts';
import { demand } from '../util/byte-reader.ts';
import { viewOf } from '../util/bytes.ts';
import { checkCrc, lastPackNo, packBody, packKey, withCrc } from './cache-rows.ts';
import { type Environment, isDamage, putMeta, readMeta, writeAll } from './environment.ts';

/** What the index asks of a table that it keeps. */
export interface FeatureStore {
  /** Version and size, without a line break: pages of another layout are of no use. */
  readonly layout: string;
  /** Chunks there is room for. */
  readonly capacity: number;
  insert(features: Uint8Array, packNo: number, slot: number): void;
  /** In any order; the newer, by pack and slot, stays. */
  insertByAge(features: Uint8Array, packNo: number, slot: number): void;
  dirtyPages(): number[];
  markClean(page: number): void;
  page(page: number): Uint8Array;
  /** False when that cannot be a page of this table. */
  load(page: number, bytes: Uint8Array): boolean;
  clear(): void;
}

interface FeaturePagesOptions {
  /** Blobs of the packs after this one, about. */
  countAfter: (packNo: number) => number;
  /** False when the pack is gone. */
  isThere: (packNo: number) => boolean;
  onDamage: (error: unknown) => void;
}

/**
 * Blobs stored since, below which the pages are not written: taking in their features again takes
 * as long as loading the pages, and any thousand chunks are on nearly all pages.
 */
const UNSAVED_BLOBS_MAX = 2 ** 15;
/** Bytes of pages in one transaction; LMDB holds them in memory until it commits. */
const BATCH_SIZE = 2 ** 23;
/** Blobs between two pauses, some 10 ms. */
const BLOBS_PER_STEP = 16_384;

export class FeaturePages {
  readonly #environment: Environment;
  readonly #store: FeatureStore;
  readonly #options: FeaturePagesOptions;
  /** All packs up to here are in the table, and up to there in the pages. */
  #takenTo = 0;
  #savedTo = 0;
  #takingIn: Promise<void> | undefined;
  #isClosing = false;

  constructor(environment: Environment, store: FeatureStore, options: FeaturePagesOptions) {
    this.#environment = environment;
    this.#store = store;
    this.#options = options;
  }

  /** @throws Malformed when a page is damaged; the table is empty then. */
  load(): void {
    this.#store.clear();
    try {
      this.#savedTo = this.#loadPages();
      this.#takenTo = this.#savedTo;
    } catch (error) {
      this.#store.clear();
      throw error;
    }
  }

  #loadPages(): number {
    const { layout, packNo } = readSummary(this.#environment);
    if (layout !== this.#store.layout) return 0;
    const { features } = this.#environment;
    for (const key of features.getKeys()) {
      const page = viewOf(key).getUint32(0);
      // The value is memory that the next one is read into.
      const value = features.getBinaryFast(key) ?? new Uint8Array(0);
      demand(this.#store.load(page, checkCrc(key, value).rest()), 'page of the feature table');
    }
    return packNo;
  }

  /** A pack that was just added. */
  add(packNo: number, body: Uint8Array): void {
    scanFeatures(body, (slot, features) => this.#store.insert(features, packNo, slot));
    if (packNo === this.#takenTo + 1) this.#takenTo = packNo;
  }

  /** Takes in all packs that are not in the table, as far as it has room, with pauses. */
  async takeIn(): Promise<void> {
    this.#takingIn ??= this.#takeIn().finally(() => {
      this.#takingIn = undefined;
    });
    await this.#takingIn;
  }

  async #takeIn(): Promise<void> {
    const last = lastPackNo(this.#environment.packs);
    let left = this.#store.capacity;
    let step = 0;
    // The newest are wanted most, and may be all there is room for.
    for (let packNo = last; packNo > this.#takenTo && left > 0; packNo--) {
      if (!this.#options.isThere(packNo)) continue;
      const counts = this.#takeInPack(packNo);
      left -= counts.features;
      step += counts.blobs;
      if (step < BLOBS_PER_STEP) continue;
      step = 0;
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#isClosing) return;
    }
    this.#takenTo = Math.max(this.#takenTo, last);
  }

  #takeInPack(packNo: number): { features: number; blobs: number } {
    const counts = { features: 0, blobs: 0 };
    try {
      const key = packKey(packNo);
      const value = this.#environment.packs.getBinaryFast(key);
      demand(value !== undefined, `pack ${packNo} is missing`);
      counts.blobs = scanFeatures(packBody(key, value), (slot, features) => {
        counts.features++;
        this.#store.insertByAge(features, packNo, slot);
      });
    } catch (error) {
      if (!isDamage(error)) throw error;
      this.#options.onDamage(error);
    }
    return counts;
  }

  /**
   * Takes in what is missing and writes the pages that changed, if that is due, with pauses.
   * @throws CacheFailed when they cannot be written.
   */
  async save(): Promise<void> {
    if (this.#options.countAfter(this.#savedTo) < UNSAVED_BLOBS_MAX) return;
    await this.takeIn();
    if (this.#isClosing) return;
    const takenTo = this.#takenTo;
    writeAll(this.#environment, () => this.#begin());
    for (const pages of this.#batches()) {
      if (!writeAll(this.#environment, () => this.#ifOwn(() => this.#put(pages)))) return;
      for (const page of pages) this.#store.markClean(page);
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#isClosing) return;
    }
    writeAll(this.#environment, () => this.#ifOwn(() => this.#putSummary(takenTo)));
    this.#savedTo = takenTo;
  }

  /** What is going on ends at its next pause. */
  async close(): Promise<void> {
    this.#isClosing = true;
    await this.#takingIn?.catch(() => {});
  }

  *#batches(): Generator<number[]> {
    const pages = this.#store.dirtyPages();
    if (pages.length === 0) return;
    const count = Math.ceil(BATCH_SIZE / this.#store.page(pages[0] as number).length);
    for (let i = 0; i < pages.length; i += count) yield pages.slice(i, i + count);
  }

  /** Drops pages of another layout. */
  #begin(): void {
    if (readSummary(this.#environment).layout === this.#store.layout) return;
    this.#environment.features.clearSync();
    this.#putSummary(0);
  }

  /** Not if another process has begun to write pages of another layout meanwhile. */
  #ifOwn(action: () => void): boolean {
    const isOwn = readSummary(this.#environment).layout === this.#store.layout;
    if (isOwn) action();
    return isOwn;
  }

  #put(pages: readonly number[]): void {
    for (const page of pages) {
      const key = packKey(page);
      this.#environment.features.putSync(key, withCrc(key, this.#store.page(page)));
    }
  }

  #putSummary(packNo: number): void {
    putMeta(this.#environment, 'features', `${packNo} ${this.#store.layout}`);
  }
}

function readSummary(environment: Environment): { layout: string; packNo: number } {
  const text = readMeta(environment, 'features') ?? '0 ';
  const at = text.indexOf(' ');
  return { packNo: Number(text.slice(0, at)), layout: text.slice(at + 1) };
}
