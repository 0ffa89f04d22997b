/**
 * Finding bases: stored chunks that a new one may be kept as a delta against. What the parent's version
 * of the file has in its place, and what shares super-features with it, are the candidates; each must
 * be present in the view of the session down to a whole copy (rule BASE), and is given with all that
 * a worker needs to read it.
 */
import { BLOB_TYPE } from '../blob/blob-type.ts';
import type { BlobId } from '../id.ts';
import { CacheFailed } from '../index/environment.ts';
import type { LocalIndex } from '../index/local-index.ts';
import { candidateAt, type Location, usableChain } from '../index/presence.ts';
import { type Candidate, countVotes, rankCandidates, scoreOf } from '../similarity/choose-base.ts';
import {
  FeatureTable,
  hitsLength,
  largerSlotBits,
  slotBitsFor,
} from '../similarity/feature-table.ts';
import { type FlatTrials, RefusedTrials } from '../similarity/guards.ts';
import { type BasePlan, baseRow, PlanRows } from './base-plan.ts';
import type { OnNotice } from './repository.ts';

/** A chain that has reached the limit starts anew on its ancestor of this depth. */
const rebaseDepth = 2;
/** Candidates given for one chunk. */
const candidateCountMax = 2;

/** The chunk that the previous version of a file has in the place of a new one. */
export interface ChunkHint {
  readonly id: BlobId;
  /** Of all flat chunks of the file. */
  readonly flatTrials: FlatTrials;
}

/** A new chunk for which bases are sought. */
export interface WantedBase {
  readonly id: BlobId;
  /** 24 bytes, where it has any. */
  readonly features: Uint8Array | undefined;
  readonly hint: ChunkHint | undefined;
  /** It would not be compressed. */
  readonly isFlat: boolean;
}

/** A chunk to try as base, and how to read it; plain data. */
export interface BaseCandidate {
  readonly id: BlobId;
  /** Deltas of its copy down to a whole one. */
  readonly depth: number;
  /** A vote for each super-feature it shares, half a one for the hint. */
  readonly score: number;
  readonly isHinted: boolean;
  /** Where the table of features has it. */
  readonly packNo: number;
  readonly slot: number;
  /** In the plan that comes with it. */
  readonly row: number;
}

/** What there is to try; plain data. */
export interface FoundBases {
  readonly plan: BasePlan;
  /** For each chunk, the most promising first. */
  readonly candidates: readonly (readonly BaseCandidate[])[];
}

/** A candidate and the frame that would have to be read for it. */
interface KnownCandidate extends Candidate {
  readonly frame: Location['frame'];
}

export class BaseFinder {
  readonly #index: LocalIndex;
  readonly #depthMax: number;
  readonly #onNotice: OnNotice;
  readonly #refused = new RefusedTrials();
  readonly #hits = new Uint32Array(hitsLength);
  #table: FeatureTable | undefined;
  /** New chunks that the table still has room for, about. */
  #room = Number.POSITIVE_INFINITY;
  #opening: Promise<void> | undefined;

  /** @param parts.depthMax longest chain of deltas, at least 1 */
  constructor(index: LocalIndex, parts: { depthMax: number; onNotice: OnNotice }) {
    this.#index = index;
    this.#depthMax = parts.depthMax;
    this.#onNotice = parts.onNotice;
  }

  /** Loads the table of features where it is not loaded; to be awaited before each `find`. */
  open(): Promise<void> {
    this.#opening ??= this.#fill(slotBitsFor(this.#index.counts.blobs));
    return this.#opening;
  }

  async #fill(slotBits: number): Promise<void> {
    const table = new FeatureTable(slotBits);
    const room = table.capacity - this.#index.counts.blobs;
    this.#index.loadFeatures(table);
    await this.#index.refillFeatures();
    this.#table = table;
    this.#room = room;
  }

  /** A full table forgets. It cannot be enlarged; but a larger one is filled as any other is. */
  #noteNew(count: number): void {
    this.#room -= count;
    if (this.#table === undefined || this.#room >= 0) return;
    this.#room = Number.POSITIVE_INFINITY;
    const slotBits = largerSlotBits(this.#table.slotBits);
    if (slotBits === undefined) return;
    this.#opening = this.#fill(slotBits);
    this.#opening.catch(() => {}); // The next to wait for it is told.
  }

  /** Chunks to try as bases. */
  find(wanted: readonly WantedBase[]): FoundBases {
    const rows = new PlanRows();
    const known = wanted.map((one) => this.#candidatesOf(one));
    this.#noteNew(wanted.length);
    const uses = countUses(known);
    const candidates = wanted.map(({ id }, i) => {
      const worthIt = (known[i] as KnownCandidate[]).filter((one) => isWorthReading(one, uses));
      return this.#choose(id, worthIt, rows);
    });
    return { plan: rows.finish(), candidates };
  }

  #candidatesOf({ features, hint, isFlat }: WantedBase): KnownCandidate[] {
    const candidates: KnownCandidate[] = [];
    if (features !== undefined) this.#addHits(features, candidates);
    if (hint !== undefined && !(isFlat && hint.flatTrials.isOver)) this.#addHint(hint, candidates);
    return candidates;
  }

  #choose(self: BlobId, candidates: readonly Candidate[], rows: PlanRows): BaseCandidate[] {
    if (candidates.length === 0) return [];
    const rule = { self, votesMin: this.#refused.votesMin };
    const found: BaseCandidate[] = [];
    for (const candidate of rankCandidates(candidates, rule)) {
      if (found.length === candidateCountMax) break;
      const base = this.#baseOf(candidate, rows);
      if (base !== undefined) found.push(base);
    }
    return found;
  }

  /** What became of the first of the candidates that `find` gave. */
  note(wanted: WantedBase, first: BaseCandidate, isAccepted: boolean): void {
    const { features, hint, isFlat } = wanted;
    if (!first.isHinted) this.#refused.note(isAccepted);
    if (isFlat && !isAccepted) hint?.flatTrials.noteRefused();
    if (isAccepted && features !== undefined) {
      this.#table?.promote(features, first.packNo, first.slot);
    }
  }

  /** Keeps the table for the next session; what fails only costs that one time. */
  async save(): Promise<void> {
    if (this.#table === undefined) return;
    try {
      await this.#index.saveFeatures();
    } catch (error) {
      if (!(error instanceof CacheFailed)) throw error;
      this.#onNotice(`Cannot write the cache: ${error.message}`);
    }
  }

  #addHits(features: Uint8Array, candidates: KnownCandidate[]): void {
    this.#table?.lookUp(features, this.#hits);
    for (const { packNo, slot, count } of countVotes(this.#hits)) {
      const location = candidateAt(this.#index, { packNo, slot });
      if (location === undefined) continue;
      const { id } = location.blob;
      candidates.push({ id, packNo, slot, votes: count, isHinted: false, frame: location.frame });
    }
  }

  #addHint({ id }: ChunkHint, candidates: KnownCandidate[]): void {
    const [location] = usableChain(this.#index, id) ?? [];
    if (location === undefined || location.blob.type !== BLOB_TYPE.data) return;
    const { packNo, slot } = location;
    candidates.push({ id, packNo, slot, votes: 0, isHinted: true, frame: location.frame });
  }

  /** A candidate as deep as a chunk may be is replaced by an ancestor. */
  #baseOf(candidate: Candidate, rows: PlanRows): BaseCandidate | undefined {
    let chain = usableChain(this.#index, candidate.id);
    if (chain === undefined) return undefined;
    if (chain.length > this.#depthMax) {
      chain = chain.slice(-1 - Math.min(rebaseDepth, this.#depthMax - 1));
    }
    let row = baseRow.none as number;
    for (const location of chain.reverse()) row = rows.add(location, row);
    const { isHinted, packNo, slot } = candidate;
    return {
      // Views of the index would carry its memory along to the worker.
      id: (chain.at(-1) as Location).blob.id.slice() as BlobId,
      depth: chain.length - 1,
      score: scoreOf(candidate),
      isHinted,
      packNo,
      slot,
      row,
    };
  }
}

/** How many chunks have a candidate in each frame. */
function countUses(
  candidates: readonly (readonly KnownCandidate[])[],
): Map<KnownCandidate['frame'], number> {
  const uses = new Map<KnownCandidate['frame'], number>();
  for (const list of candidates) {
    for (const frame of new Set(list.map((one) => one.frame))) {
      uses.set(frame, (uses.get(frame) ?? 0) + 1);
    }
  }
  return uses;
}

/**
 * To read, open and decompress a frame takes longer than to compress ten chunks. What a single
 * super-feature speaks for is worth that only where several chunks want the frame, as they do when
 * they were neighbours before.
 */
function isWorthReading(
  { frame, votes, isHinted }: KnownCandidate,
  uses: ReadonlyMap<KnownCandidate['frame'], number>,
): boolean {
  return isHinted || votes > 1 || (uses.get(frame) ?? 0) > 1;
}
