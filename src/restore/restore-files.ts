/**
 * The files of a restore: planned in windows, read and written by workers (`job-writer.ts`). What no
 * worker could read is read here, from any copy there is, and what nobody can read is reported.
 *
 * Invariants:
 * - A descriptor that a job names stays open until the job is answered.
 * - Only the walk uses the index: answers of workers take notes, and what follows from them is done
 *   when the walk comes by (`#doRest`).
 * - Other names of a hard-linked file wait until its first name is there, or cannot be.
 * - A file is a hold on its directory until it is done.
 */
import { CorruptionError, TargetError, unpackError, VarveError } from '../errors.ts';
import { joinPath } from '../platform/directory-handle.ts';
import { openFileLimit } from '../platform/open-file-limit.ts';
import type { ReadAccess } from '../repository/read-access.ts';
import { toHex } from '../util/bytes.ts';
import { encodeJob } from './encode-job.ts';
import type { OpenDirectories } from './open-directories.ts';
import {
  type Chunk,
  type Piece,
  type PlannedFile,
  type PlannedJob,
  PlanWindow,
} from './plan-window.ts';
import { atPath } from './target-error.ts';
import type { TargetRules } from './target-run.ts';
import type { RestorePool } from './workers.ts';
import type { WriteAnswer } from './write-job.ts';

/**
 * Directories open beside those that lead to where the walk is: those of three windows, the one at
 * work, the one that waits and the one being planned. Fewer where the system allows few descriptors;
 * files in parts and all else have theirs besides.
 */
const openDirectoryCountMax = Math.max(768, Math.min(3072, (openFileLimit() ?? 0) - 1024));

/** What is left to the main thread: a chunk or a whole file no worker could read, another name. */
type Rest =
  | { kind: 'chunk'; file: PlannedFile; chunk: Chunk }
  | { kind: 'file' | 'name'; file: PlannedFile };

export interface FilesOptions {
  readonly access: ReadAccess;
  readonly pool: RestorePool;
  readonly rules: () => TargetRules;
  readonly directories: OpenDirectories;
  readonly signal: AbortSignal | undefined;
  readonly report: (error: VarveError, path: Uint8Array) => void;
  /** Asked often; lets others run, and throws when the restore was cancelled. */
  readonly takeTurn: (file: PlannedFile) => Promise<void>;
  /** Told after every job, of which the notes are still to be counted. */
  readonly onAnswer: (answer: WriteAnswer) => void;
}

export class RestoreFiles {
  readonly #options: FilesOptions;
  readonly #window = new PlanWindow();
  /** Files that several jobs write. */
  readonly #shared = new Set<PlannedFile>();
  /** Link groups whose first file is at work, with the names that wait for it. */
  readonly #waiting = new Map<string, PlannedFile[]>();
  #rest: Rest[] = [];
  readonly counts = { files: 0, bytes: 0n };

  constructor(options: FilesOptions) {
    this.#options = options;
  }

  /** Takes in a file; it is done some time later, `settle` at the latest. */
  async add(file: PlannedFile): Promise<void> {
    file.directory.holdCount += 1;
    if (this.#isOtherName(file)) return;
    await this.#plan(file);
    // Not when the restore was cancelled: a part of the file would be taken for the whole.
    this.#release(file);
    if (this.#window.isFull || this.#isCrowded) await this.#flush();
  }

  get #isCrowded(): boolean {
    return this.#options.directories.count > openDirectoryCountMax;
  }

  /** Until every file is done. */
  async settle(): Promise<void> {
    const { pool } = this.#options;
    do {
      await this.#flush();
      await this.#until(() => pool.isIdle);
      await this.#doRest();
    } while (!pool.isIdle || this.#rest.length > 0);
  }

  /** Removes what is not finished. To be called when no worker writes any more. */
  giveUp(): void {
    for (const { target } of this.#shared) target?.abort();
    this.#shared.clear();
  }

  /** Whether this is another name of a file that is there, or at work. */
  #isOtherName(file: PlannedFile): boolean {
    const { linkGroup } = file.metadata;
    if (linkGroup === undefined) return false;
    const group = toHex(linkGroup);
    const waiting = this.#waiting.get(group);
    if (waiting !== undefined) {
      waiting.push(file);
      return true;
    }
    if (this.#linkName(file)) return true;
    this.#waiting.set(group, []);
    file.isFirstName = true;
    return false;
  }

  /** Makes another name, or reports that it cannot be; false where only a copy helps. */
  #linkName(file: PlannedFile): boolean {
    const { directory, name, metadata } = file;
    if (metadata.linkGroup === undefined) return false;
    try {
      const link = directory.target.hardLink(name, metadata.linkGroup, file.isReplacing);
      if (link instanceof TargetError) file.notLinked = link;
      if (link !== 'linked') return false;
    } catch (error) {
      this.#fail(file, error);
    }
    this.#release(file);
    return true;
  }

  /** Puts the file with all of its chunks into windows. */
  async #plan(file: PlannedFile): Promise<void> {
    const { content } = file;
    this.#window.addFile(file);
    if (content.kind === 'blob') {
      this.#planChunk(file, { id: content.id, length: Number(content.length), position: 0 });
    }
    if (content.kind !== 'list') return;
    try {
      for await (const chunk of this.#chunks(file)) {
        this.#planChunk(file, chunk);
        if (this.#window.isFull) await this.#flush();
      }
    } catch (error) {
      this.#fail(file, error);
    }
  }

  /** The chunks of a file, holes left out. */
  async *#chunks(file: PlannedFile): AsyncGenerator<Chunk, void, undefined> {
    let position = 0;
    for await (const chunks of this.#options.access.chunks(file.content)) {
      for (const { id, length } of chunks) {
        if (id !== undefined) yield { id, length: Number(length), position };
        position += Number(length);
      }
      await this.#options.takeTurn(file);
    }
  }

  #planChunk(file: PlannedFile, chunk: Chunk): void {
    const location = this.#options.access.locateChunk(chunk.id);
    const { position, length } = chunk;
    if (location?.blob.rawSize === length) this.#window.addPiece({ file, position, location });
    else this.#leaveToMain({ kind: 'chunk', file, chunk });
  }

  /**
   * The window becomes jobs. They wait for a worker while the next one is planned, so that workers
   * always have something to do; but no third window is planned before the first is at work.
   */
  async #flush(): Promise<void> {
    const { pool, directories } = this.#options;
    const jobs = this.#window.take();
    await this.#until(() => pool.isPosted);
    for (const job of jobs) this.#submit(job);
    // Down to a half, so that the next window is not cut short again.
    const hasRoom = () => directories.count <= openDirectoryCountMax / 2;
    if (this.#isCrowded) await this.#until(() => hasRoom() || pool.isIdle);
    await this.#doRest();
  }

  async #until(isSo: () => boolean): Promise<void> {
    const { pool, signal } = this.#options;
    await pool.until(() => {
      signal?.throwIfAborted();
      return isSo();
    });
  }

  #submit(planned: PlannedJob): void {
    const { pool, access, rules } = this.#options;
    for (const file of planned.files) {
      // More than one hold: others write it too.
      if (file.holdCount > 1) this.#share(file);
    }
    const job = withoutFailed(planned);
    pool.submit(encodeJob(job, access.planBases(), rules()), (answer) => {
      this.#takeAnswer(job, answer);
      for (const file of planned.files) this.#release(file);
    });
  }

  /** Opens a file that more than one writes. */
  #share(file: PlannedFile): void {
    if (file.target !== undefined || file.hasFailed) return;
    try {
      file.target = file.directory.target.createFile(file.name, {
        flags: file.metadata.flags,
        isReplacing: file.isReplacing,
      });
      this.#shared.add(file);
    } catch (error) {
      this.#fail(file, error);
    }
  }

  #takeAnswer(job: PlannedJob, answer: WriteAnswer): void {
    const files = [...job.files];
    const fileAt = (i: number): PlannedFile => files[i] as PlannedFile;
    this.counts.bytes += BigInt(answer.bytes);
    for (const { file, device, inode } of answer.created) {
      const { directory, name, metadata } = fileAt(file);
      directory.target.recordCreated(name, metadata, { device, inode });
    }
    for (const { file, error } of answer.problems) this.#report(fileAt(file), unpackError(error));
    for (const { file, error } of answer.failures) this.#fail(fileAt(file), unpackError(error));
    for (const i of answer.unreadFiles) this.#leaveToMain({ kind: 'file', file: fileAt(i) });
    if (answer.unreadPieces.length > 0) this.#takeUnread(job, answer.unreadPieces);
    this.#options.onAnswer(answer);
  }

  #takeUnread({ frames }: PlannedJob, unread: readonly number[]): void {
    const pieces = frames.flatMap((frame) => frame.pieces);
    for (const i of unread) {
      const { file, position, location } = pieces[i] as Piece;
      const { id, rawSize: length } = location.blob;
      this.#leaveToMain({ kind: 'chunk', file, chunk: { id, length, position } });
    }
  }

  #leaveToMain(rest: Rest): void {
    rest.file.holdCount += 1;
    this.#rest.push(rest);
  }

  async #doRest(): Promise<void> {
    while (this.#rest.length > 0) {
      const rest = this.#rest;
      this.#rest = [];
      for (const one of rest) {
        await this.#options.takeTurn(one.file);
        await this.#doOne(one);
      }
    }
  }

  async #doOne(one: Rest): Promise<void> {
    const { file } = one;
    if (one.kind === 'name' && this.#linkName(file)) return;
    try {
      this.#share(file);
      if (one.kind === 'chunk') await this.#writeChunk(file, one.chunk);
      else for await (const chunk of this.#chunks(file)) await this.#writeChunk(file, chunk);
    } catch (error) {
      this.#fail(file, error);
    }
    this.#release(file);
  }

  async #writeChunk(file: PlannedFile, { id, length, position }: Chunk): Promise<void> {
    if (file.hasFailed) return;
    const plaintext = await this.#options.access.readChunk(id);
    demandLength(plaintext, length, toHex(id));
    file.target?.write(plaintext, position);
    this.counts.bytes += BigInt(length);
  }

  /** Ends one hold; the last one finishes the file. */
  #release(file: PlannedFile): void {
    file.holdCount -= 1;
    if (file.holdCount > 0) return;
    if (this.#shared.delete(file)) this.#finishShared(file);
    if (!file.hasFailed) {
      this.counts.files += 1;
      if (file.notLinked !== undefined) this.#report(file, file.notLinked);
    }
    if (file.isFirstName && file.metadata.linkGroup !== undefined) {
      const group = toHex(file.metadata.linkGroup);
      for (const other of this.#waiting.get(group) ?? []) {
        this.#rest.push({ kind: 'name', file: other });
      }
      this.#waiting.delete(group);
    }
    this.#options.directories.release(file.directory);
  }

  #finishShared(file: PlannedFile): void {
    if (file.hasFailed) {
      file.target?.abort();
      return;
    }
    try {
      file.target?.finish(file.size, file.metadata);
    } catch (error) {
      this.#fail(file, error);
    }
  }

  /** One error is told for each file that is not there in the end. */
  #fail(file: PlannedFile, error: unknown): void {
    if (!(error instanceof VarveError)) throw error;
    if (!file.hasFailed) this.#report(file, error);
    file.hasFailed = true;
  }

  #report({ directory, name }: PlannedFile, error: Error): void {
    if (!(error instanceof VarveError)) throw error;
    const path = joinPath(directory.target.path, name);
    this.#options.report(error instanceof TargetError ? atPath(error, path) : error, path);
  }
}

/** Leaves out files that failed before anything of them was there: a worker would make them. */
function withoutFailed(job: PlannedJob): PlannedJob {
  const isLeft = (file: PlannedFile): boolean => !file.hasFailed || file.target !== undefined;
  if ([...job.files].every(isLeft)) return job;
  const frames = job.frames.map(({ frame, pieces }) => ({
    frame,
    pieces: pieces.filter(({ file }) => isLeft(file)),
  }));
  return { ...job, frames, files: new Set([...job.files].filter(isLeft)) };
}

function demandLength(plaintext: Uint8Array, length: number, id: string): void {
  if (plaintext.length === length) return;
  throw new CorruptionError({
    kind: 'data chunk',
    which: id,
    found: `${plaintext.length} bytes`,
    expected: `${length}, as its chunk list says`,
  });
}
