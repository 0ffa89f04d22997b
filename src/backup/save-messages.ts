/**
 * What coordinator and save workers say to each other. A worker has a few slots, each with memory
 * for one batch of files:
 *
 *   scan    read a batch into a slot, cut it, identify the chunks    -> scanned
 *   store   put those chunks of the slot that are new into packs     -> stored: the slot is free
 *                                  or, where some may be deltas      -> seek
 *   encode  the bases to try for those                               -> stored: the slot is free
 *   finish  store what is open; give away what is little             -> finished
 *
 * and whenever a pack has become durable: durable. Numbers of many files travel in typed arrays, one
 * position per part; ids as the bytes of all of them.
 */
import type { PackedError } from '../errors.ts';
import type { FoundBases } from '../repository/base-finder.ts';
import type { DeltaCounts } from '../repository/delta-encoder.ts';
import type { DurablePack, HeldFrame } from '../repository/pack-writer.ts';
import { isZero } from '../util/bytes.ts';
import type { SourceExtras } from '../walk/source-extras.ts';
import type { SourceStat } from '../walk/source-file.ts';

/** Batches that one worker holds: one is scanned while another waits for its answer. */
export const slotCount = 2;

/** Parts of files that are read together; each a whole small file or a slice of a large one. */
export interface BatchParts {
  /** Paths that can be opened, one after another, and where each of them ends. */
  readonly paths: Uint8Array;
  readonly pathEnds: Uint32Array;
  /** Which file it must be, and how it was when the walk saw it. */
  readonly devices: Float64Array;
  readonly inodes: BigUint64Array;
  readonly sizes: Float64Array;
  /** Seconds of mtime and ctime, and their nanoseconds. */
  readonly seconds: BigInt64Array;
  readonly nanoseconds: Uint32Array;
  /** Where in the file to begin, and how many bytes to read at most. */
  readonly offsets: Float64Array;
  readonly lengths: Float64Array;
  /** 1 where a hole follows: nothing is cut across it. */
  readonly endsStream: Uint8Array;
}

/** What is to become of a chunk: nothing, it is there; it is stored; and perhaps there is a base for it. */
export const CHUNK = { known: 0, new: 1, hinted: 2 } as const;

/** What became of the bases tried for a chunk. */
export const TRIAL = { none: 0, accepted: 1, refused: 2 } as const;

export type SaveRequest =
  | { readonly kind: 'scan'; readonly slot: number; readonly parts: BatchParts }
  /** One byte per chunk of the slot, of `CHUNK`. */
  | { readonly kind: 'store'; readonly slot: number; readonly verdicts: Uint8Array }
  /** For each chunk of the `seek` that this answers: what to try. */
  | { readonly kind: 'encode'; readonly slot: number; readonly bases: FoundBases }
  | { readonly kind: 'finish' };

export interface ScannedBatch {
  readonly kind: 'scanned';
  readonly slot: number;
  /** Of all chunks, in order: ids, 32 bytes each, and sizes in bytes. */
  readonly ids: Uint8Array;
  readonly sizes: Uint32Array;
  /** Per part: how many chunks it has, and whether the file ended in it. */
  readonly chunkCounts: Uint32Array;
  readonly isAtEnd: Uint8Array;
  /** Per part: 1 if the file was written to while it was read. */
  readonly isChanged: Uint8Array;
  /** How a file was when it was opened, where that is not what the walk saw; by part. */
  readonly stats: ReadonlyMap<number, SourceStat>;
  /** Parts that could not be read. */
  readonly failures: ReadonlyMap<number, PartFailure>;
  /** Of first parts of files that have attributes or flags. */
  readonly extras: ReadonlyMap<number, PartExtras>;
}

/** New chunks that may be stored as deltas. */
export interface SoughtBases {
  readonly kind: 'seek';
  readonly slot: number;
  /** Positions in the batch. */
  readonly chunks: Uint32Array;
  /** Three super-features for each, 24 bytes; zeros where a chunk has none. */
  readonly features: Uint8Array;
  /** Per chunk: 1 if it would not be compressed. */
  readonly isFlat: Uint8Array;
}

/** What is needed to report a part; its path is known to whoever asked. */
export interface PartFailure {
  readonly operation: string;
  readonly reason: string;
  readonly cause: PackedError | undefined;
}

/** Attributes and flags of a file; its path is known to whoever asked. */
export interface PartExtras extends Pick<SourceExtras, 'attributes' | 'flags'> {
  readonly failure: PartFailure | undefined;
}

export type SaveReply =
  | ScannedBatch
  | SoughtBases
  | {
      readonly kind: 'stored';
      readonly slot: number;
      /** Of each chunk that bases were sought for, one of `TRIAL`; of the first base only. */
      readonly trials: Uint8Array;
    }
  | { readonly kind: 'durable'; readonly record: DurablePack }
  | {
      readonly kind: 'finished';
      /** Data that was too little for a pack of its own. */
      readonly frames: readonly HeldFrame[];
      readonly compressedSize: number;
      readonly storedSize: number;
      readonly deltas: DeltaCounts;
    };

/** Of one chunk in `SoughtBases`, bytes. */
export const featuresSize = 24;

/** A view of the super-features of chunk `k`; undefined where there are none. */
export function featuresAt(all: Uint8Array, k: number): Uint8Array | undefined {
  const features = all.subarray(k * featuresSize, (k + 1) * featuresSize);
  return isZero(features) ? undefined : features;
}
