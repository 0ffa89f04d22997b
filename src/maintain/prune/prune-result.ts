/** What a collection is asked for, and what it tells. */
import type { SessionId } from '../../id.ts';
import type { LongCall } from '../../progress.ts';
import type { PackToGo } from './plan.ts';
import type { WaitingFor } from './sessions.ts';

export interface PruneOptions extends LongCall {
  /** Only the plan; nothing is written. */
  isDryRun?: boolean | undefined;
  /** Bytes of live data that may be written again; default: no bound. */
  repackSizeMax?: number | undefined;
  /** After so many ms nothing is begun that can wait for the next run; default: no bound. */
  durationMaxMs?: number | undefined;
  /** Instead of the repository's own. */
  graceMs?: number | undefined;
  /** A session that gave no sign of life for so long is fenced; default: the repository's own. */
  sessionTtlMs?: number | undefined;
  /**
   * Shown what a dry run would give, where there is something to do; false ends it there: nothing has
   * been written or deleted then, but what a stored sweep had named.
   */
  confirm?: ((planned: PruneResult) => boolean | Promise<boolean>) | undefined;
  /** How to let time pass while sessions are waited for; only simulations do it otherwise. */
  wait?: ((ms: number, signal: AbortSignal | undefined) => Promise<void>) | undefined;
}

export interface PackTotals {
  packs: number;
  /** Bytes of their files. */
  size: number;
}

export interface PruneResult {
  /**
   * `nothing` had to be done; it was only `planned`, in a dry run or without a confirmation; it is
   * `waiting` for sessions; packs were `swept`, by this collector or another one at the same time.
   */
  outcome: 'nothing' | 'planned' | 'waiting' | 'swept';
  /** Of the sweep; undefined when there was none. */
  generation: number | undefined;
  snapshots: number;
  /** Forgotten snapshots among them, whose grace is not over. */
  inGrace: number;
  /** Live blobs, bases of live deltas included. */
  blobs: number;
  before: PackTotals;
  /**
   * What was swept last is the plan of another collection; what was forgotten since, and what this one
   * had planned, is left to the next.
   */
  isAdopted: boolean;
  /** Packs that an earlier collection had named and not deleted: this one goes on with them. */
  earlier: PackTotals;
  /** Old packs that no segment names, of writers that died. */
  unindexed: PackTotals;
  /** Packs without anything live, and packs that were, or are to be, repacked. */
  dead: PackTotals;
  repacked: PackTotals & {
    /** Bytes of what is live in them, which is written again. */
    liveSize: number;
  };
  deleted: PackTotals;
  /** Dead bytes that stay in packs which are kept. */
  wasteLeft: number;
  /** Limits kept it from repacking more. */
  isLimited: boolean;
  /** Packs that go, but those of `earlier` and `unindexed`. */
  plan: PackToGo[];
  fenced: SessionId[];
  waitingFor: WaitingFor[];
  durationNs: bigint;
}

/** Of a collection that has done nothing yet. */
export function newResult(): PruneResult {
  return {
    outcome: 'nothing',
    generation: undefined,
    snapshots: 0,
    inGrace: 0,
    blobs: 0,
    before: { packs: 0, size: 0 },
    isAdopted: false,
    earlier: { packs: 0, size: 0 },
    unindexed: { packs: 0, size: 0 },
    dead: { packs: 0, size: 0 },
    repacked: { packs: 0, size: 0, liveSize: 0 },
    deleted: { packs: 0, size: 0 },
    wasteLeft: 0,
    isLimited: false,
    plan: [],
    fenced: [],
    waitingFor: [],
    durationNs: 0n,
  };
}

export function addTo(totals: PackTotals, size: number): void {
  totals.packs += 1;
  totals.size += size;
}
