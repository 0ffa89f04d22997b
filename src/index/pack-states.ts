/**
 * What the index keeps in memory of every pack: about 250 bytes, 40 MB at 10 TB. Rows come from
 * LMDB, where other processes write too. Once a view was given, states follow from that view alone:
 * what another process, with a view of its own, writes into a row does not count here.
 *
 * Invariant: `#usable[packNo]` is 1 exactly when a whole copy in that pack is present (rule PRESENT,
 * docs/architecture.md): live in the view, or uploaded or adopted by this session.
 */
import type { PackName } from '../id.ts';
import { PACK_STATE, type PackRow, type PackState } from './cache-rows.ts';

/** What the last complete listing and the collector's records say. */
export interface PackView {
  /** Sizes of all listed packs, in bytes. */
  readonly listed: ReadonlyMap<PackName, number>;
  /** Packs in any sweep, or condemned by a mark that has no sweep yet. */
  readonly dead: ReadonlySet<PackName>;
}

export interface PackInfo extends PackRow {
  name: PackName;
}

export class PackStates {
  readonly #packs: (PackInfo | undefined)[] = [];
  #usable = new Uint8Array(1024);
  readonly #own = new Set<PackName>();
  #view: PackView | undefined;
  #count = 0;
  #blobCount = 0;

  get count(): number {
    return this.#count;
  }

  /** Of all packs. */
  get blobCount(): number {
    return this.#blobCount;
  }

  blobCountAfter(packNo: number): number {
    let count = 0;
    for (let i = packNo + 1; i < this.#packs.length; i++) count += this.#packs[i]?.blobCount ?? 0;
    return count;
  }

  get(packNo: number): PackInfo | undefined {
    return this.#packs[packNo];
  }

  isUsable(packNo: number): boolean {
    return this.#usable[packNo] === 1;
  }

  *all(): Generator<PackInfo> {
    for (const pack of this.#packs) if (pack !== undefined) yield pack;
  }

  /** What was uploaded before this listing must be in it from now on. */
  setView(view: PackView): void {
    this.#view = view;
    this.#own.clear();
    for (const pack of this.all()) this.set({ ...pack, state: this.stateOf(pack) });
  }

  /** Counts a pack as uploaded by this session. */
  addOwn(name: PackName): void {
    this.#own.add(name);
  }

  /** The state of a pack in the view of this session; while there is none, what its row says. */
  stateOf(pack: PackInfo): PackState {
    const isOwn = this.#own.has(pack.name);
    if (this.#view === undefined && !isOwn) return pack.state;
    if (this.#view?.dead.has(pack.name)) return PACK_STATE.dead;
    const size = this.#view?.listed.get(pack.name);
    // A listing may be older than an upload of this session.
    const isThere = size === pack.length || (isOwn && size === undefined);
    if (!isThere) return PACK_STATE.missing;
    return pack.isIndexed ? PACK_STATE.live : PACK_STATE.unindexed;
  }

  /** Takes over a row as it stands in LMDB now. */
  set(pack: PackInfo): void {
    const { packNo } = pack;
    if (this.#packs[packNo] === undefined) {
      this.#count++;
      this.#blobCount += pack.blobCount;
    }
    this.#packs[packNo] = pack;
    if (packNo >= this.#usable.length) this.#growTo(packNo);
    const { live, unindexed } = PACK_STATE;
    const isOwn = pack.state === unindexed && this.#own.has(pack.name);
    this.#usable[packNo] = pack.state === live || isOwn ? 1 : 0;
  }

  #growTo(packNo: number): void {
    const grown = new Uint8Array(2 * packNo);
    grown.set(this.#usable);
    this.#usable = grown;
  }
}
