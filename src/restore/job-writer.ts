/**
 * The worker of a restore: reads one range of a pack, opens its frames one after another and writes
 * the blobs to the files that want them.
 *
 * - A blob is compared with its id before a byte of it is written; whatever cannot be read here is
 *   given back, because only the main thread knows other copies.
 * - A whole file is made at its first piece and finished at its last. What has failed is removed at
 *   once, and its other pieces are passed over.
 * - The descriptors of directories and of files in parts belong to the main thread, which keeps them
 *   open until it has the answer.
 */
import { type PackedError, packError, TargetError, VarveError } from '../errors.ts';
import { joinPath } from '../platform/directory-handle.ts';
import { isDeltaFrame, type OpenRange, type RangeReader } from '../repository/range-reader.ts';
import { fromAscii } from '../util/bytes.ts';
import { release } from '../util/release.ts';
import { attempt } from './target-error.ts';
import { TargetFile, writeAll } from './target-file.ts';
import type { TargetFs } from './target-fs.ts';
import type { WriterRun } from './target-run.ts';
import {
  type CreatedByJob,
  decodePiece,
  idSize,
  type JobDirectory,
  type JobFile,
  type JobFrame,
  type JobPiece,
  type WriteAnswer,
  type WriteJob,
} from './write-job.ts';

export interface JobTools {
  readonly reader: RangeReader;
  readonly fs: TargetFs;
  readonly temporaryName: () => Uint8Array;
}

/** @throws what is neither damage nor a failing target */
export async function runJob(tools: JobTools, job: WriteJob): Promise<WriteAnswer> {
  const range = await openRange(tools.reader, job);
  try {
    return await new JobWriter(tools, job).run(range);
  } finally {
    range?.close();
  }
}

async function openRange(
  reader: RangeReader,
  { pack, frames }: WriteJob,
): Promise<OpenRange | undefined> {
  const [first, last] = [frames[0]?.frame, frames.at(-1)?.frame];
  if (pack === undefined || first === undefined || last === undefined) return undefined;
  try {
    return await reader.open(pack, { start: first.offset, end: last.offset + last.storedSize });
  } catch (error) {
    if (error instanceof VarveError) return undefined;
    throw error;
  }
}

/** A file of a job while it is written. */
interface FileState {
  readonly file: JobFile;
  open: TargetFile | undefined;
  piecesLeft: number;
  isOver: boolean;
}

class JobWriter {
  readonly #tools: JobTools;
  readonly #job: WriteJob;
  readonly #run: WriterRun;
  readonly #states: FileState[];
  readonly #notes = { ownerNotSetCount: 0, attributesLeftOutCount: 0 };
  readonly #problems: { file: number; error: PackedError }[] = [];
  /** The file being finished. */
  #finishing = 0;
  readonly #unreadFiles: number[] = [];
  readonly #unreadPieces: number[] = [];
  readonly #failures: { file: number; error: PackedError }[] = [];
  readonly #created: CreatedByJob[] = [];
  #bytes = 0;
  /** Plaintexts of a delta frame. */
  #raw = new Uint8Array(0);
  /** The blob of the frame at work that was verified last. */
  #verified: { rawOffset: number; isIntact: boolean } | undefined;

  constructor(tools: JobTools, job: WriteJob) {
    const { fs, temporaryName } = tools;
    this.#tools = tools;
    this.#job = job;
    this.#states = job.files.map((file) => ({
      file,
      open: undefined,
      piecesLeft: file.kind === 'whole' ? file.pieceCount : Infinity,
      isOver: false,
    }));
    this.#run = {
      fs,
      temporaryName,
      isRoot: fs.effectiveUid() === 0,
      rules: job.rules,
      notes: this.#notes,
      onProblem: (problem) =>
        this.#problems.push({ file: this.#finishing, error: packError(problem) }),
    };
  }

  async run(range: OpenRange | undefined): Promise<WriteAnswer> {
    try {
      const { frames, bases } = this.#job;
      if (bases !== undefined) {
        const deltas = frames.flatMap((jobFrame) => jobFrame.deltas);
        this.#tools.reader.expectDeltas(bases, deltas);
      }
      let first = 0;
      for (const jobFrame of frames) {
        const { frame, pieceEnd } = jobFrame;
        const plaintext = isDeltaFrame(frame)
          ? await this.#decodeDeltas(range, jobFrame)
          : attemptRead(() => range?.decode(frame));
        this.#writeFrame(plaintext, first, pieceEnd);
        first = pieceEnd;
      }
      for (const [i, state] of this.#states.entries()) {
        if (state.piecesLeft === 0 && !state.isOver) this.#collecting(i, () => this.#finish(i));
      }
    } finally {
      // Only a programming error leaves a file open.
      for (const { open } of this.#states) open?.abort();
    }
    return {
      bytes: this.#bytes,
      unreadFiles: this.#unreadFiles,
      unreadPieces: this.#unreadPieces,
      failures: this.#failures,
      problems: this.#problems,
      notes: this.#notes,
      created: this.#created,
    };
  }

  /** The plaintexts that are wanted, in their places; what cannot be decoded is not what it should be. */
  async #decodeDeltas(
    range: OpenRange | undefined,
    { frame, deltas }: JobFrame,
  ): Promise<Uint8Array | undefined> {
    const content = attemptRead(() => range?.open(frame));
    const plan = this.#job.bases;
    if (content === undefined || plan === undefined) return undefined;
    if (this.#raw.length < frame.rawSize) this.#raw = new Uint8Array(frame.rawSize);
    const into = this.#raw.subarray(0, frame.rawSize).fill(0);
    await this.#tools.reader.decodeDeltas(content, deltas, { plan, into });
    release(content);
    return into;
  }

  /** @param plaintext undefined when the frame cannot be read. */
  #writeFrame(plaintext: Uint8Array | undefined, first: number, end: number): void {
    this.#verified = undefined;
    for (let i = first; i < end; ) {
      if (plaintext === undefined || !this.#isIntact(plaintext, i)) this.#passOver(i++);
      else i = this.#writeRun(plaintext, i, end);
    }
  }

  /** Writes a piece, and with it those that follow it in the frame and in the file alike. */
  #writeRun(plaintext: Uint8Array, first: number, end: number): number {
    const start = decodePiece(this.#job.pieces, first);
    const { file, position, rawOffset } = start;
    let size = start.rawSize;
    let next = first + 1;
    for (; next < end; next++) {
      const piece = decodePiece(this.#job.pieces, next);
      const follows = piece.rawOffset === rawOffset + size && piece.position === position + size;
      if (piece.file !== file || !follows || !this.#isIntact(plaintext, next)) break;
      size += piece.rawSize;
    }
    const state = this.#states[file] as FileState;
    if (state.isOver) return next;
    this.#collecting(file, () => {
      const bytes = plaintext.subarray(rawOffset, rawOffset + size);
      this.#write(state, bytes, position);
      state.piecesLeft -= next - first;
      if (state.piecesLeft === 0) this.#finish(file);
    });
    return next;
  }

  #isIntact(plaintext: Uint8Array, i: number): boolean {
    const { rawOffset, rawSize } = decodePiece(this.#job.pieces, i);
    // Files that share a blob come one after another.
    if (this.#verified?.rawOffset === rawOffset) return this.#verified.isIntact;
    const id = this.#job.ids.subarray(i * idSize, (i + 1) * idSize);
    const bytes = plaintext.subarray(rawOffset, rawOffset + rawSize);
    const isIntact = this.#tools.reader.isChunk(bytes, id);
    this.#verified = { rawOffset, isIntact };
    return isIntact;
  }

  #write(state: FileState, bytes: Uint8Array, position: number): void {
    const { file } = state;
    if (file.kind === 'part') {
      const { fd } = file;
      const path = (): Uint8Array => joinPath(this.#directoryOf(file).path, fromAscii(file.name));
      attempt({ operation: 'write', path }, () => writeAll(this.#run.fs, { fd, position }, bytes));
      this.#bytes += bytes.length;
    } else {
      state.open ??= this.#create(state);
      state.open.write(bytes, position);
    }
  }

  #create({ file }: FileState): TargetFile {
    const name = fromAscii(file.name);
    const isWhole = file.kind === 'whole';
    return new TargetFile(this.#run, {
      directory: this.#directoryOf(file),
      name,
      flags: isWhole ? file.metadata.flags : undefined,
      isReplacing: isWhole && file.isReplacing,
    });
  }

  #directoryOf({ directory }: JobFile): JobDirectory {
    return this.#job.directories[directory] as JobDirectory;
  }

  #finish(i: number): void {
    const state = this.#states[i] as FileState;
    const { file } = state;
    if (file.kind === 'part') return;
    const open = state.open ?? this.#create(state);
    state.open = undefined;
    state.isOver = true;
    this.#finishing = i;
    const { device, inode } = open.finish(file.size, file.metadata);
    this.#bytes += file.size;
    const { linkGroup, flags } = file.metadata;
    if (linkGroup !== undefined || flags !== undefined) {
      this.#created.push({ file: i, device, inode });
    }
  }

  /** A piece that cannot be read here. */
  #passOver(i: number): void {
    const { file } = decodePiece(this.#job.pieces, i) as JobPiece;
    const state = this.#states[file] as FileState;
    if (state.isOver) return;
    if (state.file.kind === 'part') {
      this.#unreadPieces.push(i);
      return;
    }
    this.#unreadFiles.push(file);
    this.#end(state);
  }

  #end(state: FileState): void {
    const { open } = state;
    state.open = undefined;
    state.isOver = true;
    open?.abort();
  }

  #collecting(file: number, action: () => void): void {
    try {
      action();
    } catch (error) {
      if (!(error instanceof TargetError)) throw error;
      this.#failures.push({ file, error: packError(error) });
      this.#end(this.#states[file] as FileState);
    }
  }
}

/** What cannot be read here is left to whoever knows other copies. */
function attemptRead(read: () => Uint8Array | undefined): Uint8Array | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof VarveError) return undefined;
    throw error;
  }
}
