/**
 * Storage in a directory of a local (or mounted) file system. An object is a file of the same name
 * below the root. Three parts keep the promises of `Storage`: `local-writer.ts` the order of writes,
 * `local-root.ts` what is a directory of ours, `directory-sync.ts` what is durable.
 */
import { dirname, resolve } from 'node:path';
import { errnoCode, NoRepositoryError, NotFoundError, RepositoryExistsError } from '../errors.ts';
import { type Random, systemRandom } from '../util/random.ts';
import { DirectorySync } from './directory-sync.ts';
import { pass } from './failpoints.ts';
import { type FileStat, nodeFs, type OpenFile, type StorageFs, withFile } from './file-system.ts';
import { LocalRoot, makeDirectoryIfMissing } from './local-root.ts';
import { LocalWriter } from './local-writer.ts';
import {
  assertContentName,
  assertObjectName,
  assertPrefix,
  assertRange,
  assertStoredName,
  directoryOf,
} from './names.ts';
import { demandFile, readRange, wrongSize } from './object-file.ts';
import type {
  ByteRange,
  CallOptions,
  GetOptions,
  GetRangeOptions,
  ListedObject,
  ObjectStat,
  Storage,
} from './storage.ts';
import { noSpaceFailure, storageFailure } from './storage-failure.ts';

export interface LocalOptions {
  readonly fs?: StorageFs;
  /** Draws the names of temporary files. */
  readonly random?: Random;
}

/** In the root, but no objects: unfinished files, and where the file system puts what it found. */
const NOT_LISTED = new Set(['tmp', 'lost+found']);

/** Files a listing examines at the same time; Node has four threads for it by default. */
const STAT_COUNT_MAX = 16;

/** Opens the storage in an existing directory. @throws NoRepositoryError, StorageError */
export async function openLocalStorage(
  location: string,
  { fs = nodeFs, random = systemRandom }: LocalOptions = {},
): Promise<Storage> {
  try {
    // Links on the way to the root are the user's affair, but are followed only once.
    const path = await fs.realPath(resolve(location));
    const { kind, deviceId } = await fs.stat(path);
    if (kind !== 'directory') throw new NoRepositoryError(location, 'not a directory');
    return new LocalStorage(location, new LocalRoot(fs, path, deviceId), { fs, random });
  } catch (error) {
    const code = errnoCode(error);
    if (code === 'ENOENT') throw new NoRepositoryError(location, 'no such directory', error);
    if (code === 'ENOTDIR') throw new NoRepositoryError(location, 'not a directory', error);
    throw storageFailure('open', location, error);
  }
}

/**
 * Makes the directory and its parents where they are missing, and opens the storage in it. The
 * names of all of them are durable on return, also of those that an attempt before this one made.
 */
export async function createLocalStorage(
  location: string,
  options: LocalOptions = {},
): Promise<Storage> {
  const { fs = nodeFs } = options;
  await attempt('create', location, async () => {
    await makeDirectories(resolve(location), fs);
    const ancestors = new DirectorySync(fs);
    let path = await fs.realPath(resolve(location));
    while (path !== dirname(path)) {
      path = dirname(path);
      ancestors.note(path);
    }
    await ancestors.sync();
  });
  try {
    return await openLocalStorage(location, options);
  } catch (error) {
    if (!(error instanceof NoRepositoryError)) throw error;
    throw new RepositoryExistsError(location, 'something else than a directory is there');
  }
}

async function makeDirectories(path: string, fs: StorageFs): Promise<void> {
  try {
    await makeDirectoryIfMissing(fs, path);
  } catch (error) {
    if (errnoCode(error) !== 'ENOENT') throw error;
    await makeDirectories(dirname(path), fs);
    await makeDirectoryIfMissing(fs, path);
  }
}

class LocalStorage implements Storage {
  readonly location: string;
  readonly #root: LocalRoot;
  readonly #fs: StorageFs;
  readonly #writer: LocalWriter;

  constructor(location: string, root: LocalRoot, { fs, random }: Required<LocalOptions>) {
    this.location = location;
    this.#root = root;
    this.#fs = fs;
    this.#writer = new LocalWriter(root, { fs, random });
  }

  get durability(): 'strong' | 'weak' {
    return this.#root.isSyncSupported ? 'strong' : 'weak';
  }

  async put(name: string, bytes: Uint8Array, { signal }: CallOptions = {}): Promise<void> {
    assertContentName(name);
    await this.#storing(name, bytes.length, async () => {
      const outcome = await this.#writer.store(name, bytes, signal);
      if (outcome === 'exists') await this.#demandSize(name, bytes.length);
      this.#root.noteChange(name);
    });
  }

  async putIfAbsent(
    name: string,
    bytes: Uint8Array,
    { signal }: CallOptions = {},
  ): Promise<'created' | 'exists'> {
    assertObjectName(name);
    return await this.#storing(name, bytes.length, async () => {
      const outcome = await this.#writer.storeNew(name, bytes, signal);
      this.#root.noteChange(name);
      // Whoever is told that somebody else was first relies on what that one stored.
      if (outcome === 'exists') await this.#adoptIfThere(name);
      await this.#root.sync();
      return outcome;
    });
  }

  async get(name: string, { signal, sizeMax = Infinity }: GetOptions = {}): Promise<Uint8Array> {
    assertStoredName(name);
    return await this.#read(name, signal, async (file, { size }) => {
      if (size > sizeMax) throw wrongSize(name, size, `at most ${sizeMax}`);
      return await readRange(file, name, { offset: 0, length: size });
    });
  }

  async getRange(
    name: string,
    range: ByteRange,
    { signal, into }: GetRangeOptions = {},
  ): Promise<Uint8Array> {
    assertStoredName(name);
    assertRange(range);
    const end = range.offset + range.length;
    return await this.#read(name, signal, async (file, { size }) => {
      if (size < end) throw wrongSize(name, size, `at least ${end}`);
      return await readRange(file, name, { ...range, into });
    });
  }

  async stat(name: string, { signal }: CallOptions = {}): Promise<ObjectStat | undefined> {
    assertStoredName(name);
    return await attempt('examine', name, async () => {
      signal?.throwIfAborted();
      await this.#root.enter(directoryOf(name));
      const stat = await this.#root.stat(name);
      if (stat === undefined) return undefined;
      demandFile('examine', name, stat);
      return { size: stat.size, modifiedMs: stat.modifiedMs };
    });
  }

  list(prefix: string, { signal }: CallOptions = {}): AsyncIterable<ListedObject> {
    assertPrefix(prefix);
    return this.#listDirectory(prefix.slice(0, -1), signal);
  }

  async delete(name: string, { signal }: CallOptions = {}): Promise<void> {
    assertStoredName(name);
    await attempt('delete', name, async () => {
      signal?.throwIfAborted();
      await this.#root.enter(directoryOf(name));
      await pass('storage.delete.before-unlink');
      try {
        await this.#fs.unlink(this.#root.path(name));
      } catch (error) {
        if (errnoCode(error) !== 'ENOENT') throw error;
        await this.#root.demandThere();
        return;
      }
      this.#root.noteChange(name);
      await pass('storage.delete.after-unlink');
    });
  }

  async adopt(name: string, { signal }: CallOptions = {}): Promise<void> {
    assertObjectName(name);
    await this.#read(name, signal, async (file) => {
      await file.sync();
      await this.#root.make(directoryOf(name));
      this.#root.noteChange(name);
    });
  }

  async sync(): Promise<void> {
    await this.#root.sync();
  }

  async close(): Promise<void> {
    // Nothing stays open between calls.
  }

  async #storing<T>(name: string, neededSize: number, run: () => Promise<T>): Promise<T> {
    return await attempt('store', name, async () => {
      try {
        return await run();
      } catch (error) {
        if (errnoCode(error) !== 'ENOSPC') throw error;
        const { location } = this;
        const freeSize = await this.#root.freeSize().catch(() => undefined);
        throw noSpaceFailure(name, { location, freeSize, neededSize }, error);
      }
    });
  }

  async #adoptIfThere(name: string): Promise<void> {
    try {
      await this.adopt(name);
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
    }
  }

  async #demandSize(name: string, size: number): Promise<void> {
    const stat = await this.#fs.stat(this.#root.path(name));
    demandFile('store', name, stat);
    if (stat.size !== size) throw wrongSize(name, stat.size, `${size}`);
  }

  async #read<T>(
    name: string,
    signal: AbortSignal | undefined,
    use: (file: OpenFile, stat: FileStat) => Promise<T>,
  ): Promise<T> {
    return await attempt('read', name, async () => {
      signal?.throwIfAborted();
      await this.#root.enter(directoryOf(name));
      let opened: OpenFile;
      try {
        opened = await this.#fs.openFile(this.#root.path(name));
      } catch (error) {
        if (errnoCode(error) !== 'ENOENT') throw error;
        await this.#root.demandThere();
        throw new NotFoundError('object', name, undefined, error);
      }
      return await withFile(opened, async (file) => {
        const stat = await file.stat();
        demandFile('read', name, stat);
        return await use(file, stat);
      });
    });
  }

  async *#listDirectory(
    directory: string,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<ListedObject> {
    const which = directory === '' ? this.location : directory;
    const entries = await attempt('list', which, () => this.#root.readDirectory(directory));
    const below = (name: string): string => (directory === '' ? name : `${directory}/${name}`);

    const files = entries.filter((entry) => !entry.isDirectory).map((entry) => below(entry.name));
    for (let i = 0; i < files.length; i += STAT_COUNT_MAX) {
      signal?.throwIfAborted();
      const batch = files.slice(i, i + STAT_COUNT_MAX);
      yield* await attempt('list', which, () => this.#statAll(batch));
    }
    for (const { name, isDirectory } of entries) {
      if (!isDirectory || (directory === '' && NOT_LISTED.has(name))) continue;
      yield* this.#listDirectory(below(name), signal);
    }
  }

  /** Files that vanish between directory and stat were deleted, and are left out. */
  async #statAll(names: readonly string[]): Promise<ListedObject[]> {
    const stats = await Promise.all(names.map((name) => this.#root.stat(name)));
    return names.flatMap((name, i) => {
      const stat = stats[i];
      return stat === undefined ? [] : [{ name, size: stat.size, modifiedMs: stat.modifiedMs }];
    });
  }
}

async function attempt<T>(operation: string, which: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw storageFailure(operation, which, error);
  }
}
