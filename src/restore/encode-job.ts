/** From a planned job to the message for a worker. */
import { hasDirectoryHandles } from '../platform/directory-handle.ts';
import { toLatin1 } from '../util/bytes.ts';
import type { OpenDirectory } from './open-directories.ts';
import type { PlannedFile, PlannedJob } from './plan-window.ts';
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

/** Files that have a `target` are written in part, all others whole. */
export function encodeJob(planned: PlannedJob): WriteJob {
  const directories = new Map<OpenDirectory, number>();
  const fileNumbers = new Map<PlannedFile, number>();
  for (const file of planned.files) {
    fileNumbers.set(file, fileNumbers.size);
    if (!directories.has(file.directory)) directories.set(file.directory, directories.size);
  }
  const { pieces, frames, pieceCounts } = encodeFrames(planned, fileNumbers);
  const { pack } = planned;
  return {
    // The salt is a view of a row of the index.
    pack: pack && { ...pack, salt: pack.salt.slice() },
    frames,
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
    frames.push({ frame, pieceEnd: pieces.length });
  }
  return { pieces, frames, pieceCounts };
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
  { name, size, metadata, target }: PlannedFile,
  { directory, pieceCount }: { directory: number; pieceCount: number },
): JobFile {
  const text = toLatin1(name);
  return target === undefined
    ? { kind: 'whole', directory, name: text, size, pieceCount, metadata }
    : { kind: 'part', directory, name: text, fd: target.fd };
}
