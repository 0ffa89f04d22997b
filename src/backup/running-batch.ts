/**
 * One batch on the coordinator's side: from the parts that a worker is asked to scan, through what is to
 * become of each of its chunks, to the bases that are looked for and what they were worth.
 */
import type { BlobId } from '../id.ts';
import type {
  BaseCandidate,
  ChunkHint,
  FoundBases,
  WantedBase,
} from '../repository/base-finder.ts';
import { concatBytes } from '../util/bytes.ts';
import type { FilePart, ScannedPart } from './file-assembly.ts';
import {
  type BatchParts,
  CHUNK,
  featuresAt,
  type ScannedBatch,
  type SoughtBases,
  TRIAL,
} from './save-messages.ts';

const idSize = 32;

/** Looks for chunks that new ones may be kept as deltas against. */
export interface PoolBases {
  /** To be awaited before the first `find`. */
  open(): Promise<void>;
  find(wanted: readonly WantedBase[]): FoundBases;
  /** What became of the first of the candidates. */
  note(wanted: WantedBase, first: BaseCandidate, isAccepted: boolean): void;
}

/** What a batch asks of the pool. */
export interface BatchOptions {
  /** Whether a chunk is new; whoever is told so stores it. */
  readonly store: { claim(id: BlobId, size: number): boolean };
  readonly bases: PoolBases;
  /** Told of bytes as their place in a file is known, long before a large file is whole. */
  readonly onKept: (size: number) => void;
}

/** A batch that has been scanned and waits for its answers. */
export class RunningBatch {
  readonly scanned: ScannedBatch;
  readonly #options: BatchOptions;
  readonly #verdicts: Uint8Array;
  readonly #onDecided: (verdicts: Uint8Array) => void;
  /** What stood in the place of a chunk before, by position. */
  readonly #hints = new Map<number, ChunkHint>();
  #undecided: number;
  #sought: readonly WantedBase[] = [];
  #found: FoundBases['candidates'] = [];

  constructor(
    scanned: ScannedBatch,
    options: BatchOptions,
    onDecided: (verdicts: Uint8Array) => void,
  ) {
    this.scanned = scanned;
    this.#options = options;
    this.#verdicts = new Uint8Array(scanned.sizes.length);
    this.#undecided = scanned.chunkCounts.length;
    this.#onDecided = onDecided;
  }

  /** @param i position among the chunks of the batch, as in `hint` */
  keep(i: number, id: BlobId): boolean {
    const size = this.scanned.sizes[i] as number;
    this.#options.onKept(size);
    const isNew = this.#options.store.claim(id, size);
    if (isNew) this.#verdicts[i] = CHUNK.new;
    return isNew;
  }

  hint(i: number, hint: ChunkHint): void {
    this.#verdicts[i] = CHUNK.hinted;
    this.#hints.set(i, hint);
  }

  decide(): void {
    this.#undecided -= 1;
    if (this.#undecided === 0) this.#onDecided(this.#verdicts);
  }

  findBases({ chunks, features, isFlat }: SoughtBases): FoundBases {
    this.#sought = Array.from(chunks, (i, k) => ({
      id: this.scanned.ids.subarray(i * idSize, (i + 1) * idSize) as BlobId,
      features: featuresAt(features, k),
      hint: this.#hints.get(i),
      isFlat: isFlat[k] === 1,
    }));
    const found = this.#options.bases.find(this.#sought);
    this.#found = found.candidates;
    return found;
  }

  noteTrials(trials: Uint8Array): void {
    for (const [k, wanted] of this.#sought.entries()) {
      const first = this.#found[k]?.[0];
      if (first === undefined || trials[k] === TRIAL.none) continue;
      this.#options.bases.note(wanted, first, trials[k] === TRIAL.accepted);
    }
  }
}

export class BatchPart implements ScannedPart {
  readonly part: FilePart;
  readonly count: number;
  readonly isAtEnd: boolean;
  readonly isChanged: boolean;
  readonly stat: ScannedPart['stat'];
  readonly failure: ScannedPart['failure'];
  readonly extras: ScannedPart['extras'];
  readonly #batch: RunningBatch;
  /** Position of its first chunk among those of the batch. */
  readonly #first: number;

  constructor(batch: RunningBatch, place: { part: FilePart; i: number; first: number }) {
    const { scanned } = batch;
    const { part, i, first } = place;
    this.part = part;
    this.count = scanned.chunkCounts[i] as number;
    this.isAtEnd = scanned.isAtEnd[i] === 1;
    this.isChanged = scanned.isChanged[i] === 1;
    this.stat = scanned.stats.get(i);
    this.failure = scanned.failures.get(i);
    this.extras = scanned.extras.get(i);
    this.#batch = batch;
    this.#first = first;
  }

  idAt(i: number): BlobId {
    const start = (this.#first + i) * idSize;
    return this.#batch.scanned.ids.subarray(start, start + idSize) as BlobId;
  }

  sizeAt(i: number): number {
    return this.#batch.scanned.sizes[this.#first + i] as number;
  }

  keep(i: number): boolean {
    return this.#batch.keep(this.#first + i, this.idAt(i));
  }

  hint(i: number, hint: ChunkHint): void {
    this.#batch.hint(this.#first + i, hint);
  }

  decide(): void {
    this.#batch.decide();
  }
}

/** As a worker is asked to scan it. */
export function encodeParts(batch: readonly FilePart[]): BatchParts {
  const count = batch.length;
  const parts = {
    paths: concatBytes(...batch.map(({ file }) => file.held.path)),
    pathEnds: new Uint32Array(count),
    devices: new Float64Array(count),
    inodes: new BigUint64Array(count),
    sizes: new Float64Array(count),
    seconds: new BigInt64Array(2 * count),
    nanoseconds: new Uint32Array(2 * count),
    offsets: new Float64Array(count),
    lengths: new Float64Array(count),
    endsStream: new Uint8Array(count),
  };
  let pathEnd = 0;
  for (const [i, { file, offset, length, holeAfter }] of batch.entries()) {
    const { identity, metadata } = file.entry;
    pathEnd += file.held.path.length;
    parts.pathEnds[i] = pathEnd;
    parts.devices[i] = identity.device;
    parts.inodes[i] = identity.inode;
    parts.sizes[i] = Number(metadata.size ?? 0n);
    parts.seconds.set([metadata.mtime.seconds, metadata.ctime.seconds], 2 * i);
    parts.nanoseconds.set([metadata.mtime.nanoseconds, metadata.ctime.nanoseconds], 2 * i);
    parts.offsets[i] = offset;
    parts.lengths[i] = length;
    parts.endsStream[i] = holeAfter > 0 ? 1 : 0;
  }
  return parts;
}
