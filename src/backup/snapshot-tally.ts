/**
 * What a snapshot has come to so far: what was saved, what was read, what failed. From it follow the
 * progress that is told, the counts in the manifest and the result.
 */
import type { SourceError } from '../errors.ts';
import { ERROR_SAMPLE_COUNT_MAX, type SnapshotManifest } from '../snapshot/manifest.ts';
import type { SourceEntry } from '../walk/source-entry.ts';
import type { EntryAction } from './entry-saver.ts';

/** Bytes of failed paths in a manifest: those of deep trees are long, and a record has its limit. */
const ERROR_SAMPLE_SIZE_MAX = 2 ** 20;

/** Entries of a snapshot, each counted once. */
export interface EntryCounts {
  files: number;
  filesNew: number;
  filesChanged: number;
  filesUnchanged: number;
  directories: number;
  /** Everything else: symlinks, devices, fifos, sockets. */
  others: number;
  /** What was left out on demand; a directory counts once. */
  excluded: number;
}

export class SnapshotTally {
  readonly #files = { new: 0, changed: 0, unchanged: 0 };
  #directories = 0;
  #others = 0;
  #excluded = 0;
  /** Of files saved so far. */
  #bytesSaved = 0;
  /** Of files that are still being read, but for holes. */
  #bytesUnderWay = 0;
  #bytesRead = 0;
  readonly #errorSample: { path: Uint8Array; code: string }[] = [];
  #errorSampleSize = 0;
  #errorCount = 0;

  noteSaved({ type }: SourceEntry, action: EntryAction, size: number): void {
    if (type === 'd') this.#directories += 1;
    else if (type === 'f') this.#files[action] += 1;
    else this.#others += 1;
    this.#bytesSaved += size;
  }

  noteExcluded(): void {
    this.#excluded += 1;
  }

  /** So many bytes of a file have been dealt with, before the whole of it is. */
  noteUnderWay(size: number): void {
    this.#bytesUnderWay += size;
  }

  /** So many bytes were read for a file that is saved now. */
  noteRead(size: number): void {
    this.#bytesRead += size;
    this.#bytesUnderWay = Math.max(0, this.#bytesUnderWay - size);
  }

  noteError({ path, reason }: SourceError): void {
    this.#errorCount += 1;
    const size = this.#errorSampleSize + path.length;
    if (this.#errorSample.length === ERROR_SAMPLE_COUNT_MAX || size > ERROR_SAMPLE_SIZE_MAX) return;
    this.#errorSample.push({ path, code: reason });
    this.#errorSampleSize = size;
  }

  get entries(): EntryCounts {
    const { new: filesNew, changed: filesChanged, unchanged: filesUnchanged } = this.#files;
    return {
      files: filesNew + filesChanged + filesUnchanged,
      filesNew,
      filesChanged,
      filesUnchanged,
      directories: this.#directories,
      others: this.#others,
      excluded: this.#excluded,
    };
  }

  get bytesRead(): number {
    return this.#bytesRead;
  }

  /** Those of saved files, and of what was read of others. */
  get bytesDone(): number {
    return this.#bytesSaved + this.#bytesUnderWay;
  }

  get errorCount(): number {
    return this.#errorCount;
  }

  /** What a manifest says of failed paths: all are counted, some are named. */
  get errors(): Pick<SnapshotManifest, 'errorCount' | 'errorSample' | 'isPartial'> {
    return {
      errorCount: this.#errorCount,
      errorSample: this.#errorSample,
      isPartial: this.#errorCount > 0,
    };
  }
}
