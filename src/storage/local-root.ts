/**
 * The directories of the local backend: the root that was opened and what is below it. Keeps that
 * no symbolic link is followed below the root, that directories are made when first written to, and
 * that "not there" is only said of a root that is still there itself.
 */
import { join } from 'node:path';
import { errnoCode, StorageError } from '../errors.ts';
import { DirectorySync } from './directory-sync.ts';
import { pass } from './failpoints.ts';
import type { DirectoryEntry, FileStat, StorageFs } from './file-system.ts';
import { directoryOf } from './names.ts';

export class LocalRoot {
  readonly #fs: StorageFs;
  readonly #root: string;
  /** Of the file system the root lies on; another number means that it was unmounted. */
  readonly #deviceId: number;
  readonly #sync: DirectorySync;
  /** Directories seen to be real ones. */
  readonly #entered = new Set<string>();
  /** Directories whose own name the next sync makes durable, or an earlier one has. */
  readonly #made = new Set<string>();

  constructor(fs: StorageFs, root: string, deviceId: number) {
    this.#fs = fs;
    this.#root = root;
    this.#deviceId = deviceId;
    this.#sync = new DirectorySync(fs);
  }

  get isSyncSupported(): boolean {
    return this.#sync.isSupported;
  }

  path(name: string): string {
    return join(this.#root, name);
  }

  /** The names in the directory of `name` changed; `sync()` makes that durable. */
  noteChange(name: string): void {
    this.#sync.note(this.path(directoryOf(name)));
  }

  async sync(): Promise<void> {
    await this.#sync.sync();
  }

  async stat(name: string): Promise<FileStat | undefined> {
    return await this.#ifThere(this.#fs.stat(this.path(name)));
  }

  /** The entries of a directory, none when it does not exist. */
  async readDirectory(directory: string): Promise<DirectoryEntry[]> {
    await this.enter(directory);
    return (await this.#ifThere(this.#fs.readDirectory(this.path(directory)))) ?? [];
  }

  /** Refuses a directory that is, or is reached through, a symbolic link; it may be missing. */
  async enter(directory: string): Promise<void> {
    if (directory === '' || this.#entered.has(directory)) return;
    await this.enter(directoryOf(directory));
    const stat = await this.stat(directory);
    if (stat === undefined) return;
    if (stat.kind !== 'directory') {
      throw new StorageError('enter', directory, 'a file or symbolic link, not a directory');
    }
    this.#entered.add(directory);
  }

  /**
   * Makes a directory where it is missing. The next sync covers its name even if it was there
   * already: whoever made it may not have come that far.
   */
  async make(directory: string): Promise<void> {
    if (directory === '' || this.#made.has(directory)) return;
    const parent = directoryOf(directory);
    if (parent === '') await this.demandThere();
    else await this.make(parent);

    await pass('storage.directory.before-create');
    await makeDirectoryIfMissing(this.#fs, this.path(directory));
    await this.enter(directory);
    this.noteChange(directory);
    this.#made.add(directory);
    await pass('storage.directory.after-create');
  }

  /** Bytes that may still be written below the root. */
  async freeSize(): Promise<number> {
    return await this.#fs.freeSize(this.#root);
  }

  /** Throws unless the root is still what was opened. */
  async demandThere(): Promise<void> {
    let stat: FileStat | undefined;
    try {
      stat = await this.#fs.stat(this.#root);
    } catch (error) {
      if (errnoCode(error) !== 'ENOENT') throw error;
    }
    if (stat?.kind === 'directory' && stat.deviceId === this.#deviceId) return;
    throw new StorageError('use', this.#root, 'the directory is gone or no longer mounted');
  }

  async #ifThere<T>(result: Promise<T>): Promise<T | undefined> {
    try {
      return await result;
    } catch (error) {
      if (errnoCode(error) !== 'ENOENT') throw error;
      await this.demandThere();
      return undefined;
    }
  }
}

/** What exists may be no directory; whoever goes on from there finds out. */
export async function makeDirectoryIfMissing(fs: StorageFs, path: string): Promise<void> {
  try {
    await fs.makeDirectory(path);
  } catch (error) {
    if (errnoCode(error) !== 'EEXIST') throw error;
  }
}
