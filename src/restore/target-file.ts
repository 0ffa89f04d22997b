/**
 * One regular file being restored: written under a temporary name that only we can open, given its
 * metadata, then renamed, so that nothing unfinished ever has the final name. Holes are what was
 * not written.
 *
 * Whoever finishes a file calls the system seven times for it: open, write, stat, mode, times,
 * close, rename; the owner is set only where the new file has another.
 */
import { childPath, joinPath } from '../platform/directory-handle.ts';
import { contentFlags } from '../platform/file-flags.ts';
import type { FileStat } from '../platform/file-stat.ts';
import { attempt, targetError } from './target-error.ts';
import type { TargetFs } from './target-fs.ts';
import { applyMetadata, type TargetMetadata } from './target-metadata.ts';
import { nameFault } from './target-name.ts';
import type { PlacedDirectory, WriterRun } from './target-run.ts';

/** Told of a finished file, by its own name. */
type OnFinished = (metadata: TargetMetadata, stat: FileStat) => void;

/** Where a file is to be, and what is known of it beforehand. */
export interface FilePlace {
  readonly directory: Omit<PlacedDirectory, 'names'>;
  readonly name: Uint8Array;
  /** Of its flags those count that mean something for what is written. */
  readonly flags?: number | undefined;
  /** It takes the place of what is there. */
  readonly isReplacing?: boolean | undefined;
}

export class TargetFile {
  readonly fd: number;
  readonly #run: WriterRun;
  readonly #directory: Omit<PlacedDirectory, 'names'>;
  readonly #name: Uint8Array;
  readonly #temporaryName: Uint8Array;
  readonly #isReplacing: boolean;
  readonly #onFinished: OnFinished | undefined;

  /** @throws TargetError */
  constructor(run: WriterRun, place: FilePlace, onFinished?: OnFinished) {
    this.#run = run;
    this.#directory = place.directory;
    this.#name = place.name;
    this.#isReplacing = place.isReplacing === true;
    this.#onFinished = onFinished;
    this.#temporaryName = run.temporaryName();
    const found = nameFault(place.name);
    if (found !== undefined) {
      throw targetError({ path: this.path, operation: 'create', reason: 'name', found });
    }
    this.fd = this.#attempt('create', () => run.fs.createFile(this.#temporaryPath));
    const flags = (place.flags ?? 0) & contentFlags;
    // What is not possible is told in the end.
    if (flags !== 0) run.fs.addFlags(this.fd, flags);
  }

  /** Where it will be, for messages. */
  get path(): Uint8Array {
    return joinPath(this.#directory.path, this.#name);
  }

  get #temporaryPath(): Uint8Array {
    return childPath(this.#directory, this.#temporaryName);
  }

  /** @throws TargetError */
  write(bytes: Uint8Array, position: number): void {
    this.#attempt('write', () => writeAll(this.#run.fs, { fd: this.fd, position }, bytes));
  }

  /**
   * Gives the file its exact size and its metadata, closes it, and gives it its name. When that
   * fails nothing is left of it. Returns what it was before it got its metadata.
   *
   * @throws TargetError
   */
  finish(size: number, metadata: TargetMetadata): FileStat {
    const { fs } = this.#run;
    let isOpen = true;
    try {
      const stat = this.#attempt('stat', () => fs.fstat(this.fd));
      if (stat.type !== 'f' || stat.linkCount !== 1) {
        const found = `new file has ${stat.linkCount} links`;
        throw targetError({ path: this.path, operation: 'create', reason: 'unsafe', found });
      }
      // A hole at the end is never written, so the size may have to be set.
      if (stat.size !== BigInt(size)) this.#attempt('write', () => fs.truncate(this.fd, size));
      const entry = { fd: this.fd, path: () => this.path, kind: 'file' as const, stat };
      applyMetadata(this.#run, entry, metadata);
      isOpen = false; // Also when closing fails.
      this.#attempt('write', () => fs.closeWritten(this.fd));
      const names = { from: this.#temporaryName, to: this.#name };
      this.#attempt('create', () => {
        if (this.#isReplacing) fs.renameReplacing(this.#directory, names);
        else fs.renameNoReplace(this.#directory, names);
      });
      this.#onFinished?.(metadata, stat);
      return stat;
    } catch (error) {
      if (isOpen) fs.close(this.fd);
      this.#remove();
      throw error;
    }
  }

  /** Gives up: closes the file and removes it. */
  abort(): void {
    this.#remove();
    this.#run.fs.close(this.fd);
  }

  #remove(): void {
    try {
      this.#run.fs.unlink(this.#temporaryPath);
    } catch {
      // The failure that brought us here is the one to report.
    }
  }

  #attempt<T>(operation: string, action: () => T): T {
    return attempt({ operation, path: () => this.path }, action);
  }
}

/** Writes all of `bytes`, however many the system takes at a time. */
export function writeAll(
  fs: TargetFs,
  { fd, position }: { fd: number; position: number },
  bytes: Uint8Array,
): void {
  let done = fs.write(fd, bytes, position);
  while (done < bytes.length) done += fs.write(fd, bytes.subarray(done), position + done);
}
