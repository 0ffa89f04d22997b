/**
 * The worker's part in keeping new chunks as deltas: which of them may have a base, what they are
 * called in the table of features, and trying the bases that come back.
 *
 * A chunk of the frames that this worker wrote last is a base too; it is at hand, so that nothing has
 * to be read for it. A base that cannot be read is passed over: the chunk is stored all the same.
 */

import { BLOB_TYPE } from '../blob/blob-type.ts';
import type { Scanner } from '../chunk/scanner-contract.ts';
import { VarveError } from '../errors.ts';
import type { BaseCandidate, FoundBases } from '../repository/base-finder.ts';
import type { BasePlan } from '../repository/base-plan.ts';
import { BaseReader } from '../repository/base-reader.ts';
import {
  type Base,
  type DeltaCounts,
  DeltaEncoder,
  type NewDelta,
} from '../repository/delta-encoder.ts';
import type { PackWriter } from '../repository/pack-writer.ts';
import type { RecentBlob } from '../repository/recent-frames.ts';
import type { WorkerCore } from '../repository/repository.ts';
import { isFlat } from '../similarity/flat.ts';
import { type ProbeCounts, ProbeMode } from '../similarity/guards.ts';
import { createSuperFeatures, type SuperFeatures } from '../similarity/super-features.ts';
import { assert } from '../util/assert.ts';
import { equalBytes } from '../util/bytes.ts';
import { CHUNK, featuresAt, featuresSize, type SoughtBases, TRIAL } from './save-messages.ts';

/** Chunks below are never deltas. */
const deltaSizeMin = 1024;
const baseOptions = { type: BLOB_TYPE.data, signal: undefined, onVerified: undefined };
/** Bases tried for one chunk. */
const trialsMax = 2;

/** Memory of one batch, and where its chunks lie in it. */
export interface BatchSlot {
  readonly scanner: Scanner;
  readonly superFeatures: SuperFeatures;
  ids: Uint8Array;
  starts: Uint32Array;
  sizes: Uint32Array;
  /** Of `CHUNK`, one for each. */
  verdicts: Uint8Array;
  /** One byte for each: 1 if it would not be compressed. */
  isFlat: Uint8Array;
  /** The chunks that bases are sought for, in order, and the answers. */
  sought: Omit<SoughtBases, 'kind' | 'slot'> | undefined;
  bases: FoundBases | undefined;
  trials: Uint8Array;
  /** How many of them have been stored. */
  soughtDone: number;
}

/** A chunk on its way into a pack. */
interface ReadyChunk {
  readonly plaintext: Uint8Array;
  readonly isFlat: boolean;
  readonly features: Uint8Array | undefined;
  readonly delta: NewDelta | undefined;
}

export class DeltaTrials {
  readonly #core: WorkerCore;
  readonly #packs: PackWriter;
  readonly #encoder: DeltaEncoder;
  readonly #reader: BaseReader;
  readonly #probe: ProbeMode | undefined;
  #unreadCount = 0;
  #acceptedCount = 0;
  #rawSize = 0;
  #encodedSize = 0;

  /** @param probeCounts undefined where no chunk is to become a delta */
  constructor(core: WorkerCore, packs: PackWriter, probeCounts: ProbeCounts | undefined) {
    this.#core = core;
    this.#packs = packs;
    this.#probe = probeCounts && new ProbeMode(probeCounts);
    this.#encoder = new DeltaEncoder(core);
    this.#reader = new BaseReader(core);
  }

  get counts(): DeltaCounts {
    return {
      blobs: this.#acceptedCount,
      rawSize: this.#rawSize,
      encodedSize: this.#encodedSize,
      unreadBases: this.#unreadCount,
      wrongDeltas: this.#encoder.wrongCount,
    };
  }

  openSlot(scanner: Scanner): BatchSlot {
    const none = new Uint32Array(0);
    const empty = new Uint8Array(0);
    return {
      scanner,
      superFeatures: createSuperFeatures(this.#core.keys.chunker, scanner),
      ids: empty,
      starts: none,
      sizes: none,
      verdicts: empty,
      isFlat: empty,
      sought: undefined,
      bases: undefined,
      trials: empty,
      soughtDone: 0,
    };
  }

  /** Which chunks of the slot may have a base; undefined when none of them. */
  seek(slot: BatchSlot): BatchSlot['sought'] {
    const { verdicts } = slot;
    slot.isFlat = new Uint8Array(verdicts.length);
    const list = new SoughtList(verdicts.length);
    for (let i = 0; i < verdicts.length; i++) {
      if (verdicts[i] === CHUNK.known) continue;
      const start = slot.starts[i] as number;
      const size = slot.sizes[i] as number;
      const isChunkFlat = isFlat(slot.scanner.buffer.subarray(start, start + size));
      if (isChunkFlat) slot.isFlat[i] = 1;
      if (this.#probe === undefined || size < deltaSizeMin) continue;
      const isHinted = verdicts[i] === CHUNK.hinted;
      const hasFeatures = !isChunkFlat && this.#probe.next();
      const features = hasFeatures ? slot.superFeatures(start, start + size) : undefined;
      if (isHinted || features !== undefined) list.add(i, isChunkFlat, features);
    }
    slot.sought = list.finish();
    slot.bases = undefined;
    slot.trials = new Uint8Array(list.count);
    slot.soughtDone = 0;
    return slot.sought;
  }

  /** Takes what was found for the chunks that bases were sought for, before they are tried. */
  takeBases(slot: BatchSlot, bases: FoundBases): void {
    slot.bases = bases;
    const rows: number[] = [];
    for (const [k, [first]] of bases.candidates.entries()) {
      if (first !== undefined && !isFirst(this.#nearby(slot, k), first)) rows.push(first.row);
    }
    this.#reader.expect(bases.plan, rows);
  }

  /** What was stored last that chunk `k` of those resembles. */
  #nearby({ sought }: BatchSlot, k: number): RecentBlob | undefined {
    const features = sought && featuresAt(sought.features, k);
    return features && this.#packs.recent?.find(features);
  }

  /** Chunk `i` of the slot, as a delta where a base was worth it. Chunks come in order, each once. */
  tryDeltas(slot: BatchSlot, i: number): ReadyChunk | Promise<ReadyChunk> {
    const start = slot.starts[i] as number;
    const plaintext = slot.scanner.buffer.subarray(start, start + (slot.sizes[i] as number));
    const isChunkFlat = slot.isFlat[i] === 1;
    const { sought } = slot;
    const k = slot.soughtDone;
    if (sought?.chunks[k] !== i) {
      return { plaintext, isFlat: isChunkFlat, features: undefined, delta: undefined };
    }
    slot.soughtDone += 1;
    const features = featuresAt(sought.features, k);
    const recent = this.#nearby(slot, k);
    const { bases } = slot;
    const candidates = bases?.candidates[k] ?? [];
    if (recent === undefined && candidates.length === 0) {
      return { plaintext, isFlat: isChunkFlat, features, delta: undefined };
    }
    const near = recent && { id: recent.id, depth: 0, plaintext: recent.plaintext };
    const isNearFirst = isFirst(recent, candidates[0]);
    const nearby = near === undefined ? [] : [near];
    const order = isNearFirst ? [...nearby, ...candidates] : [...candidates, ...nearby];
    const onFirst = (trial: number): void => {
      // What this worker had at hand says nothing of the table.
      if (!isNearFirst) slot.trials[k] = trial;
    };
    const tried = { plan: bases?.plan, order: order.slice(0, trialsMax), onFirst };
    return this.#try(plaintext, tried).then((delta) => ({
      plaintext,
      isFlat: isChunkFlat,
      features,
      delta,
    }));
  }

  /** What became of the bases that were sought. */
  closeSlot(slot: BatchSlot): Uint8Array {
    slot.sought = undefined;
    slot.bases = undefined;
    return slot.trials;
  }

  async #try(
    plaintext: Uint8Array,
    {
      plan,
      order,
      onFirst,
    }: {
      plan: BasePlan | undefined;
      order: readonly (Base | BaseCandidate)[];
      onFirst: (trial: number) => void;
    },
  ): Promise<NewDelta | undefined> {
    for (const [number, candidate] of order.entries()) {
      const base = 'plaintext' in candidate ? candidate : await this.#readBase(candidate, plan);
      if (base === undefined) continue;
      const delta = this.#encoder.encode(plaintext, base, this.#packs.acceptance);
      if (number === 0) onFirst(delta === undefined ? TRIAL.refused : TRIAL.accepted);
      if (delta === undefined) continue;
      this.#acceptedCount += 1;
      this.#rawSize += plaintext.length;
      this.#encodedSize += delta.encoded.length;
      this.#probe?.noteAccepted();
      return delta;
    }
    return undefined;
  }

  async #readBase(
    { id, depth, row }: BaseCandidate,
    plan: BasePlan | undefined,
  ): Promise<Base | undefined> {
    assert(plan !== undefined, 'a plan for the candidates');
    try {
      const plaintext = await this.#reader.read(plan, row, baseOptions);
      // A delta on another content than the one it names could never be decoded.
      if (equalBytes(this.#core.identify(BLOB_TYPE.data, plaintext), id)) {
        return { id, depth, plaintext };
      }
    } catch (error) {
      if (!(error instanceof VarveError)) throw error;
    }
    this.#unreadCount += 1;
    return undefined;
  }
}

/** Whether what is at hand is tried before the best of the candidates. */
function isFirst(recent: RecentBlob | undefined, candidate: BaseCandidate | undefined): boolean {
  return (recent?.votes ?? -1) >= (candidate?.score ?? 0);
}

/** Chunks that bases are sought for, in arrays with room for all of a batch. */
class SoughtList {
  count = 0;
  readonly #chunks: Uint32Array;
  readonly #features: Uint8Array;
  readonly #isFlat: Uint8Array;

  constructor(capacity: number) {
    this.#chunks = new Uint32Array(capacity);
    this.#features = new Uint8Array(capacity * featuresSize);
    this.#isFlat = new Uint8Array(capacity);
  }

  add(chunk: number, isChunkFlat: boolean, features: Uint8Array | undefined): void {
    const k = this.count++;
    this.#chunks[k] = chunk;
    if (isChunkFlat) this.#isFlat[k] = 1;
    if (features !== undefined) this.#features.set(features, k * featuresSize);
  }

  finish(): BatchSlot['sought'] {
    const { count } = this;
    if (count === 0) return undefined;
    return {
      chunks: this.#chunks.slice(0, count),
      features: this.#features.slice(0, count * featuresSize),
      isFlat: this.#isFlat.slice(0, count),
    };
  }
}
