/**
 * One regular file being restored: written under a temporary name that only we can open, given its
 * metadata, then renamed, so that nothing unfinished ever has the final name. Holes are what was
 * not written.
 */
import { childPath, joinPath } from '../platform/directory-handle.ts';
import { fromAscii, toHex } from '../util/bytes.ts';
import { attempt, targetError } from './target-error.ts';
import { recordCreated } from './target-links.ts';
import { applyMetadata, type TargetMetadata } from './target-metadata.ts';
import type { PlacedDirectory, TargetRun } from './target-run.ts';

export class TargetFile {
  readonly #run: TargetRun;
  readonly #directory: PlacedDirectory;
  readonly #name: Uint8Array;
  readonly #temporaryName: Uint8Array;
  readonly #fd: number;

  /** @throws TargetError */
  constructor(run: TargetRun, directory: PlacedDirectory, name: Uint8Array) {
    this.#run = run;
    this.#directory = directory;
    this.#name = name;
    this.#temporaryName = fromAscii(`.varve-${toHex(run.random.bytes(8))}`);
    this.#fd = this.#attempt('create', () => run.fs.createFile(this.#temporaryPath));
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
    this.#attempt('write', () => {
      let done = 0;
      while (done < bytes.length) {
        done += this.#run.fs.write(this.#fd, bytes.subarray(done), position + done);
      }
    });
  }

  /**
   * Gives the file its exact size, its metadata and its name, and closes it. When that fails
   * nothing is left of it.
   *
   * @throws TargetError
   */
  finish(size: number, metadata: TargetMetadata): void {
    const { fs } = this.#run;
    try {
      const stat = this.#attempt('stat', () => fs.fstat(this.#fd));
      if (stat.type !== 'f' || stat.linkCount !== 1) {
        const found = `new file has ${stat.linkCount} links`;
        throw targetError({ path: this.path, operation: 'create', reason: 'unsafe', found });
      }
      // A hole at the end is never written, so the size may have to be set.
      if (stat.size !== BigInt(size)) this.#attempt('write', () => fs.truncate(this.#fd, size));
      const entry = { fd: this.#fd, path: () => this.path, isSymlink: false };
      applyMetadata(this.#run, entry, metadata);
      const names = { from: this.#temporaryName, to: this.#name };
      this.#attempt('create', () => fs.renameNoReplace(this.#directory, names));
      recordCreated(this.#run, metadata.linkGroup, {
        directory: this.#directory,
        name: this.#name,
        stat,
      });
    } catch (error) {
      this.#remove();
      throw error;
    } finally {
      fs.close(this.#fd);
    }
  }

  /** Gives up: closes the file and removes it. */
  abort(): void {
    this.#remove();
    this.#run.fs.close(this.#fd);
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
