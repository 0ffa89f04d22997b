/**
 * Building a Merkle tree from its lowest level upwards while the entries stream past. Tree pages and
 * chunk lists are both written this way: a level is a run of blobs, each ended by a rule on its
 * content; every finished blob becomes one entry of the level above; the level that is a single blob
 * is the root. Memory is one open blob per level.
 *
 * Invariant: a level gets a level above only with its second finished blob. Until then its single
 * finished blob may be the root and waits in `#onlyOfTop`.
 */
import type { BlobId } from '../id.ts';
import { assert } from '../util/assert.ts';
import type { StoreBlob } from './blob-access.ts';

/** One level being written: encodes its blobs one after another and knows when each one ends. */
export interface Level<Child> {
  /** Entries in the open blob. */
  readonly count: number;
  /** Appends the reference to a blob one level down; true when the open blob ends here. */
  addChild(child: Child): boolean;
  /** The open blob, and the reference to it once its id is known; the next one begins. */
  take(): { blob: Uint8Array; refer: (id: BlobId) => Child };
}

export interface LevelsOptions<Child> {
  openLevel: (height: number) => Level<Child>;
  store: StoreBlob;
  heightMax: number;
}

export class Levels<Child> {
  readonly #options: LevelsOptions<Child>;
  readonly #levels: Level<Child>[] = [];
  #height = 0;
  #onlyOfTop: Child | undefined;
  #isStoring = false;

  constructor(options: LevelsOptions<Child>) {
    this.#options = options;
  }

  /**
   * Whether a blob is on its way; nothing may be added until it has its id. Stays so when storing
   * fails: what was begun cannot be completed then.
   */
  get isStoring(): boolean {
    return this.#isStoring;
  }

  /** Stores the open blob of level 0, and those above that end with it. */
  async endLowest(): Promise<void> {
    this.#isStoring = true;
    await this.#end(0);
    this.#isStoring = false;
  }

  /** Ends all levels and starts over: the root, or undefined when there was no entry. */
  async finish(): Promise<{ root: Child; height: number } | undefined> {
    this.#isStoring = true;
    for (let height = 0; height <= this.#height; height++) {
      if (this.#level(height).count > 0) await this.#end(height);
    }
    this.#isStoring = false;
    const [root, height] = [this.#onlyOfTop, this.#height];
    this.#onlyOfTop = undefined;
    this.#height = 0;
    return root && { root, height };
  }

  async #end(height: number): Promise<void> {
    const { blob, refer } = this.#level(height).take();
    const child = refer(await this.#options.store(blob));
    if (height < this.#height) return this.#add(height + 1, child);
    const first = this.#onlyOfTop;
    if (first === undefined) {
      this.#onlyOfTop = child;
      return;
    }
    this.#onlyOfTop = undefined;
    this.#height++;
    assert(this.#height <= this.#options.heightMax, 'tree too high');
    await this.#add(this.#height, first);
    await this.#add(this.#height, child);
  }

  async #add(height: number, child: Child): Promise<void> {
    if (this.#level(height).addChild(child)) await this.#end(height);
  }

  #level(height: number): Level<Child> {
    const level = this.#levels[height] ?? this.#options.openLevel(height);
    this.#levels[height] = level;
    return level;
  }
}
