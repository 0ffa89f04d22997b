/**
 * A stretch of the tree, planned by pack: files are collected in the order of the tree with the
 * places of their chunks, then sorted by pack and frame and cut into jobs, so that within a window
 * each frame is read and opened once, whatever order the files come in.
 *
 * A window holds places, not content; it is bounded by files, chunks, and files that more than one
 * frame goes into, which are those that stay open between two frames.
 */
import type { TargetError } from '../errors.ts';
import type { BlobId } from '../id.ts';
import type { FrameEntry, PackHead } from '../repository/range-reader.ts';
import type { ChunkLocation } from '../repository/read-access.ts';
import { attributesSize } from '../tree/attributes.ts';
import type { Content } from '../tree/content.ts';
import type { OpenDirectory } from './open-directories.ts';
import type { TargetFile } from './target-file.ts';
import type { TargetMetadata } from './target-metadata.ts';

/** Files of the first window, so that workers soon have something to do; each next one has more. */
const fileCountFirst = 256;
const fileCountGrowth = 4;
const fileCountMax = 4096;
const pieceCountMax = 16_384;
const spanningCountMax = 256;
/** Bytes of extended attributes; nearly all files have none or few. */
const attributesSizeMax = 2 ** 24;
/** Bytes of a pack that one job reads, and the gap in them that it reads over. */
const rangeSizeMax = 2 ** 21;
const gapSizeMax = 2 ** 18;
/** Bytes that one job writes, unless a single frame has more. */
const jobRawSizeMax = 2 ** 24;

/** A file from its node to its name in the target. */
export interface PlannedFile {
  readonly directory: OpenDirectory;
  readonly name: Uint8Array;
  readonly metadata: TargetMetadata;
  readonly content: Content;
  readonly size: number;
  /** It takes the place of what is there. */
  readonly isReplacing: boolean;
  /** Open, when several jobs write it. */
  target: TargetFile | undefined;
  /** Jobs and others that are not done with it; the last one finishes it. */
  holdCount: number;
  hasFailed: boolean;
  /** Other names of it may wait. */
  isFirstName: boolean;
  /** Why it is not another name of a file that is there; told when it is there as a file of its own. */
  notLinked: TargetError | undefined;
}

/** A chunk of a file that is not located yet. */
export interface Chunk {
  readonly id: BlobId;
  readonly length: number;
  readonly position: number;
}

/** One chunk of a file and where it is stored. */
export interface Piece {
  readonly file: PlannedFile;
  readonly position: number;
  readonly location: ChunkLocation;
}

export interface PlannedFrame {
  readonly frame: FrameEntry;
  readonly pieces: Piece[];
}

export interface PlannedJob {
  /** Undefined for files without content. */
  readonly pack: PackHead | undefined;
  readonly frames: PlannedFrame[];
  readonly files: Set<PlannedFile>;
}

export class PlanWindow {
  /** Each with a hold of the window. */
  readonly #files = new Set<PlannedFile>();
  #pieces: Piece[] = [];
  /** Frame of the last piece, if all pieces of the file came from it. */
  #last:
    | { file: PlannedFile; packName: string; frameOffset: number; isSpanning: boolean }
    | undefined;
  #spanningCount = 0;
  #attributesSize = 0;
  #fileCountMax = fileCountFirst;

  get isFull(): boolean {
    return (
      this.#files.size >= this.#fileCountMax ||
      this.#pieces.length >= pieceCountMax ||
      this.#spanningCount >= spanningCountMax ||
      this.#attributesSize >= attributesSizeMax
    );
  }

  addFile(file: PlannedFile): void {
    if (this.#files.has(file)) return;
    this.#files.add(file);
    file.holdCount += 1;
    const { attributes } = file.metadata;
    if (attributes !== undefined) this.#attributesSize += attributesSize(attributes);
  }

  /** The pieces of a file come one after another, those of one file after those of another. */
  addPiece(piece: Piece): void {
    const { file, location } = piece;
    this.#pieces.push(piece);
    this.addFile(file);
    const packName = location.pack.name;
    const frameOffset = location.frame.offset;
    const last = this.#last;
    if (last?.file !== file) {
      this.#last = { file, packName, frameOffset, isSpanning: false };
    } else if (!last.isSpanning) {
      last.isSpanning = last.packName !== packName || last.frameOffset !== frameOffset;
      if (last.isSpanning) this.#spanningCount += 1;
    }
  }

  /** The jobs for all that was added; each is a hold on its files. The window is empty then. */
  take(): PlannedJob[] {
    const jobs = jobsOf(this.#pieces.sort(comparePieces));
    const rest = new Set(this.#files);
    for (const { files } of jobs) {
      for (const file of files) rest.delete(file);
    }
    if (rest.size > 0) jobs.push({ pack: undefined, frames: [], files: rest });
    for (const { files } of jobs) {
      for (const file of files) file.holdCount += 1;
    }
    for (const file of this.#files) file.holdCount -= 1;
    this.#files.clear();
    this.#pieces = [];
    this.#last = undefined;
    this.#spanningCount = 0;
    this.#attributesSize = 0;
    this.#fileCountMax = Math.min(this.#fileCountMax * fileCountGrowth, fileCountMax);
    return jobs;
  }
}

/** By pack, frame and place in it; equal ones keep the order of the tree. */
function comparePieces(a: Piece, b: Piece): number {
  const [from, to] = [a.location, b.location];
  return (
    from.packNo - to.packNo ||
    from.frame.offset - to.frame.offset ||
    from.blob.rawOffset - to.blob.rawOffset
  );
}

function jobsOf(pieces: readonly Piece[]): PlannedJob[] {
  const jobs: PlannedJob[] = [];
  let job: PlannedJob | undefined;
  let rawSize = 0;
  for (const piece of pieces) {
    const { pack, frame } = piece.location;
    const last = job?.frames.at(-1);
    const isSamePack = job?.pack?.name === pack.name;
    if (isSamePack && last?.frame.offset === frame.offset) {
      last.pieces.push(piece);
    } else if (isSamePack && job !== undefined && hasRoom(job, frame, rawSize)) {
      job.frames.push({ frame, pieces: [piece] });
      rawSize += frame.rawSize;
    } else {
      job = { pack, frames: [{ frame, pieces: [piece] }], files: new Set() };
      jobs.push(job);
      rawSize = frame.rawSize;
    }
    job?.files.add(piece.file);
  }
  return jobs;
}

function hasRoom({ frames }: PlannedJob, frame: FrameEntry, rawSize: number): boolean {
  const first = (frames[0] as PlannedFrame).frame;
  const last = (frames.at(-1) as PlannedFrame).frame;
  const end = frame.offset + frame.storedSize;
  return (
    end - first.offset <= rangeSizeMax &&
    frame.offset - (last.offset + last.storedSize) <= gapSizeMax &&
    rawSize + frame.rawSize <= jobRawSizeMax
  );
}
