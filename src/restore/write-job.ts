/**
 * What a worker is told to write, and what it answers: the frames of one range of a pack, and where
 * in which files their blobs belong. Plain data, flat where there is much of it: names are latin1
 * text, because a view of a tree page would carry the whole page along.
 */
import type { PackedError } from '../errors.ts';
import type { BasePlan } from '../repository/base-plan.ts';
import type { DeltaPiece, FrameEntry, PackHead } from '../repository/range-reader.ts';
import type { TargetMetadata } from './target-metadata.ts';
import type { TargetNotes, TargetRules } from './target-run.ts';

/** One use of a blob. */
export interface JobPiece {
  /** Position of the file in the job. */
  readonly file: number;
  /** Where in the file it begins. */
  readonly position: number;
  readonly rawOffset: number;
  readonly rawSize: number;
}

export interface JobFrame {
  readonly frame: FrameEntry;
  /** Pieces up to here, from the end of the frame before, are in this one, by raising offset. */
  readonly pieceEnd: number;
  /** Of a delta frame: each delta that is wanted, once. */
  readonly deltas: readonly DeltaPiece[];
}

/** A directory that the main thread has open. */
export interface JobDirectory {
  readonly fd: number;
  /** Empty where the descriptor is enough; so paths in errors of a worker are not whole. */
  readonly path: Uint8Array;
}

export type JobFile =
  /** Made, written, given its metadata and its name by this job alone. */
  | {
      readonly kind: 'whole';
      readonly directory: number;
      readonly name: string;
      readonly size: number;
      readonly pieceCount: number;
      readonly isReplacing: boolean;
      readonly metadata: TargetMetadata;
    }
  /** Open already; this job writes a part of it. */
  | {
      readonly kind: 'part';
      readonly directory: number;
      readonly name: string;
      readonly fd: number;
    };

export interface WriteJob {
  /** Undefined when nothing is to be read: files without content. */
  readonly pack: PackHead | undefined;
  readonly rules: TargetRules;
  /** In the order of the pack. */
  readonly frames: readonly JobFrame[];
  /** Of the deltas; undefined where there are none. */
  readonly bases: BasePlan | undefined;
  /** Rows of `pieceFields` numbers each. */
  readonly pieces: Float64Array;
  /** 32 bytes for each piece. */
  readonly ids: Uint8Array;
  readonly directories: readonly JobDirectory[];
  readonly files: readonly JobFile[];
}

export interface CreatedByJob {
  readonly file: number;
  readonly device: number;
  readonly inode: bigint;
}

export interface WriteAnswer {
  /** Of all files finished, and parts written. */
  readonly bytes: number;
  /** Whole files given up because a blob could not be read here; nothing is left of them. */
  readonly unreadFiles: readonly number[];
  /** Pieces of other files that could not be read. */
  readonly unreadPieces: readonly number[];
  /** Files that could not be written; nothing is left of the whole ones. */
  readonly failures: readonly { readonly file: number; readonly error: PackedError }[];
  /** What could not be set on files that are otherwise there. */
  readonly problems: readonly { readonly file: number; readonly error: PackedError }[];
  readonly notes: TargetNotes;
  /** Finished files that others may be linked to, or that are to be locked. */
  readonly created: readonly CreatedByJob[];
}

export const idSize = 32;
const pieceFields = 4;

export function encodePieces(pieces: readonly JobPiece[]): Float64Array {
  const rows = new Float64Array(pieces.length * pieceFields);
  for (const [i, { file, position, rawOffset, rawSize }] of pieces.entries()) {
    rows[i * pieceFields] = file;
    rows[i * pieceFields + 1] = position;
    rows[i * pieceFields + 2] = rawOffset;
    rows[i * pieceFields + 3] = rawSize;
  }
  return rows;
}

export function decodePiece(rows: Float64Array, i: number): JobPiece {
  const start = i * pieceFields;
  return {
    file: rows[start] as number,
    position: rows[start + 1] as number,
    rawOffset: rows[start + 2] as number,
    rawSize: rows[start + 3] as number,
  };
}
