/** The model of collection (`collection-model.ts`): its scenarios, its rules, and what they allow. */
import { contentsOf, decodable, deleteListsOf, keepsLive, kindsIn } from './copies.ts';
import { largestOf, partsOf, remember } from './masks.ts';
import { RecordBook } from './records.ts';

/** What can be removed from the protocol. */
export type CollectionRule =
  /** A sweep waits for the sessions listed after the mark, or fences them. */
  | 'wait'
  /** The live set is computed again when these sessions have an outcome. */
  | 'relist'
  /** The delete list is decided by put-if-absent. */
  | 'one-sweep'
  /** Clients avoid condemned packs. */
  | 'mark'
  /** The intent is put before the view is read. */
  | 'intent-first'
  /** A commit is put-if-absent, against the fence. */
  | 'one-outcome'
  /** CLOSURE (ii): a parent must be counted by the pending mark. */
  | 'counted-parent'
  /** The live set is closed over the bases of deltas. */
  | 'bases'
  /** DECODE is a fixpoint; without it each base must only have some copy. */
  | 'fixpoint'
  /** CHAIN: a delta counts only if its base is present. */
  | 'chain'
  /** BASE: a new delta names only a base that is present. */
  | 'base'
  /** What a repack wrote is durable before it counts. */
  | 'durable-repack'
  /** Packs of open sessions are not condemned: spares uploads, is not needed for safety. */
  | 'spare-open'
  /** The adopter of a mark computes the part that the mark counted itself (with `adopters`). */
  | 'own-walk';

/** What can be added to the protocol, or done in another way. */
export type CollectionVariant =
  /** No delta of a kept pack is ever stranded: not part of the protocol. */
  | 'strand-none'
  /** The delete list is any part of what may go, not a largest one. */
  | 'any-part'
  /** A repack is a session of its own, with intent and fence; it may also move a delta as it is. */
  | 'repack-session'
  /** Marker and adopter of a mark each work with the live set of their own walks. */
  | 'adopters';

export interface CollectionSetup {
  readonly clients: number;
  readonly collectors: number;
  readonly generations: number;
  /** Copies in old packs; there is an old snapshot unless the scenario is `new`. */
  readonly scenario: 'chain' | 'cycle' | 'new';
  readonly removed?: readonly CollectionRule[];
  readonly variants?: readonly CollectionVariant[];
}

const OLD_COPIES = { chain: 'Xd', cycle: 'XdDx', new: 'X' } as const;

export const CLIENTS_MAX = 2;

/** What holds for all states of one exploration. */
export class World {
  readonly clients: number;
  readonly collectors: number;
  readonly generations: number;
  readonly hasSnapshot: boolean;
  readonly oldPacks: number;
  readonly oldContents: number;
  readonly book: RecordBook;
  readonly #removed: ReadonlySet<CollectionRule>;
  readonly #variants: ReadonlySet<CollectionVariant>;
  readonly #packCount: number;

  constructor(setup: CollectionSetup) {
    const { clients, collectors, generations, scenario, removed, variants } = setup;
    this.clients = clients;
    this.collectors = collectors;
    this.generations = generations;
    this.hasSnapshot = scenario !== 'new';
    this.oldPacks = OLD_COPIES[scenario].length;
    this.oldContents = contentsOf(OLD_COPIES[scenario]);
    this.book = new RecordBook(generations);
    this.#removed = new Set(removed);
    this.#variants = new Set(variants);
    this.#packCount = 1 + this.repackPack(collectors - 1);
  }

  /** Whether the rule was removed. */
  lacks(rule: CollectionRule): boolean {
    return this.#removed.has(rule);
  }

  varies(variant: CollectionVariant): boolean {
    return this.#variants.has(variant);
  }

  /** The pack that a repack of that collector writes: they have one together, or one each. */
  repackPack(j: number): number {
    const first = this.oldPacks + CLIENTS_MAX;
    return this.varies('repack-session') ? first + j : first;
  }

  /** The session of its repack. */
  repackId(j: number): number {
    return 1 + CLIENTS_MAX + j;
  }

  /** The collector's test, 1 when anything is live: are these packs good enough? */
  readonly keeps: (kept: number, contents: number, isAnyLive: number) => boolean = remember(
    (kept, contents, isAnyLive) => (contents * 2 + isAnyLive) * 2 ** this.#packCount + kept,
    (kept, contents, isAnyLive) => {
      const kinds = kindsIn(kept, contents);
      const isGood = isAnyLive === 0 || this.#keepsD(kept, contents);
      if (!this.varies('strand-none')) return isGood;
      const found = decodable(kept, contents);
      return isGood && (found.D || !kinds.has('d')) && (found.X || !kinds.has('x'));
    },
  );

  #keepsD(kept: number, contents: number): boolean {
    const kinds = kindsIn(kept, contents);
    const hasD = kinds.has('D') || kinds.has('d');
    const hasX = kinds.has('X') || kinds.has('x');
    if (this.lacks('bases')) return hasD;
    if (this.lacks('fixpoint')) return hasD && (kinds.has('D') || hasX);
    return keepsLive(kept, contents, true);
  }

  /** Step 7: every delete list that the rules allow, as there may be several largest ones. */
  readonly deleteLists: typeof deleteListsOf = remember(
    (condemned, standing, contents, isAnyLive) =>
      ((contents * 2 + isAnyLive) * 2 ** this.#packCount + standing) * 2 ** this.#packCount +
      condemned,
    (condemned, standing, contents, isAnyLive) => {
      const isDecode =
        !this.lacks('bases') && !this.lacks('fixpoint') && !this.varies('strand-none');
      if (isDecode && !this.varies('any-part')) {
        return deleteListsOf(condemned, standing, contents, isAnyLive);
      }
      const good = partsOf(condemned).filter((part) =>
        this.keeps(standing & ~part, contents, isAnyLive),
      );
      return this.varies('any-part') ? good : largestOf(good);
    },
  );
}
