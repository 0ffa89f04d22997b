/** From a planned job to the message for a worker. */
import { hasDirectoryHandles } from '../platform/directory-handle.ts';
import { type BasePlanner, baseRow } from '../repository/base-plan.ts';
import { type DeltaPiece, isDeltaFrame } from '../repository/range-reader.ts';
import { toLatin1 } from '../util/bytes.ts';
import type { OpenDirectory } from './open-directories.ts';
import type { Piece, PlannedFile, PlannedJob } from './plan-window.ts';
import type { TargetRules } from './target-run.ts';
import {
  encodePieces,
  idSize,
  type JobDirectory,
  type JobFile,
  type JobFrame,
  type JobPiece,
  type WriteJob,
} from './write-job.ts';

const noPath = new Uint8Array(0);
const noDeltas: readonly DeltaPiece[] = [];

/**
 * Files that have a `target` are written in part, all others whole.
 * @param bases for the deltas of the job
 */
export function encodeJob(planned: PlannedJob, bases: BasePlanner, rules: TargetRules): WriteJob {
  const directories = new Map<OpenDirectory, number>();
  const fileNumbers = new Map<PlannedFile, number>();
  for (const file of planned.files) {
    fileNumbers.set(file, fileNumbers.size);
    if (!directories.has(file.directory)) directories.set(file.directory, directories.size);
  }
  const { pieces, frames, pieceCounts } = encodeFrames(planned, fileNumbers, bases);
  const hasDeltas = frames.some(({ deltas }) => deltas.length > 0);
  const { pack } = planned;
  return {
    // The salt is a view of a row of the index.
    pack: pack && { ...pack, salt: pack.salt.slice() },
    rules,
    frames,
    bases: hasDeltas ? bases.rows.finish() : undefined,
    pieces: encodePieces(pieces),
    ids: encodeIds(planned, pieces.length),
    directories: [...directories.keys()].map(encodeDirectory),
    files: [...planned.files].map((file, i) =>
      encodeFile(file, {
        directory: directories.get(file.directory) as number,
        pieceCount: pieceCounts[i] as number,
      }),
    ),
  };
}

function encodeFrames(
  planned: PlannedJob,
  fileNumbers: ReadonlyMap<PlannedFile, number>,
  bases: BasePlanner,
): { pieces: JobPiece[]; frames: JobFrame[]; pieceCounts: Uint32Array } {
  const pieces: JobPiece[] = [];
  const frames: JobFrame[] = [];
  const pieceCounts = new Uint32Array(fileNumbers.size);
  for (const { frame, pieces: wanted } of planned.frames) {
    for (const { file, position, location } of wanted) {
      const number = fileNumbers.get(file) as number;
      const { rawOffset, rawSize } = location.blob;
      pieces.push({ file: number, position, rawOffset, rawSize });
      pieceCounts[number] = (pieceCounts[number] as number) + 1;
    }
    const deltas = isDeltaFrame(frame) ? encodeDeltas(wanted, bases) : noDeltas;
    frames.push({ frame, pieceEnd: pieces.length, deltas });
  }
  return { pieces, frames, pieceCounts };
}

/** Deltas without a way to their base are left out: the worker gives them back. */
function encodeDeltas(pieces: readonly Piece[], bases: BasePlanner): DeltaPiece[] {
  const deltas: DeltaPiece[] = [];
  for (const { location } of pieces) {
    const { type, rawOffset, rawSize, encodedOffset, delta } = location.blob;
    // Pieces come by raising offset.
    if (delta === undefined || deltas.at(-1)?.rawOffset === rawOffset) continue;
    const base = bases.rowOf(delta.base, type);
    if (base === baseRow.none) continue;
    deltas.push({ rawOffset, rawSize, encodedOffset, encodedSize: delta.encodedSize, base });
  }
  return deltas;
}

function encodeIds({ frames }: PlannedJob, count: number): Uint8Array {
  const ids = new Uint8Array(count * idSize);
  let offset = 0;
  for (const { pieces } of frames) {
    for (const { location } of pieces) {
      ids.set(location.blob.id, offset);
      offset += idSize;
    }
  }
  return ids;
}

function encodeDirectory({ target }: OpenDirectory): JobDirectory {
  return { fd: target.fd, path: hasDirectoryHandles() ? noPath : target.path };
}

function encodeFile(
  { name, size, metadata, target, isReplacing }: PlannedFile,
  { directory, pieceCount }: { directory: number; pieceCount: number },
): JobFile {
  const text = toLatin1(name);
  return target === undefined
    ? { kind: 'whole', directory, name: text, size, pieceCount, isReplacing, metadata }
    : { kind: 'part', directory, name: text, fd: target.fd };
}
