/**
 * Storage in a directory of a local (or mounted) file system. An object is a file of the same name
 * below the root. The order of writes keeps the promises of `Storage` through any crash:
 *
 *   tmp/<random>.tmp   open O_EXCL, write all, mode 0400, fsync, close, compare the size
 *   <name>             link, which fails when the name is taken: EEXIST = somebody was first
 *   tmp/<random>.tmp   unlink
 *   directories        fsync of the object's directory, and of its parent when first used here;
 *                      collected until `sync()` (`putIfAbsent` does it before it returns)
 *
 * So a file under a final name has all its bytes on the disk before it has that name, and what a
 * crash leaves behind lies in `tmp/`. A failed fsync is final for that file: it is written once
 * more under a new temporary name.
 *
 * File systems without hard links: `put` renames instead of linking (equal names mean equal bytes,
 * so replacing does no harm), `putIfAbsent` creates the final name with O_EXCL and writes there. A
 * crash or a failing disk can then leave an incomplete object under a chosen name, and a reader can
 * see one being written; such records do not authenticate and count as a claim in progress.
 */
import { dirname, resolve } from 'node:path';
import { errnoCode, NoRepositoryError, NotFoundError, StorageError } from '../errors.ts';
import { toHex } from '../util/bytes.ts';
import { type Random, systemRandom } from '../util/random.ts';
import { DirectorySync } from './directory-sync.ts';
import { pass } from './failpoints.ts';
import { type FileStat, nodeFs, type OpenFile, type StorageFs, withFile } from './file-system.ts';
import { LocalRoot } from './local-root.ts';
import {
  assertContentName,
  assertObjectName,
  assertPrefix,
  assertRange,
  assertStoredName,
  directoryOf,
} from './names.ts';
import { demandFile, finish, readRange, writeAll, wrongSize } from './object-file.ts';
import type {
  ByteRange,
  CallOptions,
  GetOptions,
  ListedObject,
  ObjectStat,
  Storage,
} from './storage.ts';
import { storageFailure } from './storage-failure.ts';

export interface LocalOptions {
  readonly fs?: StorageFs;
  /** Draws the names of temporary files. */
  readonly random?: Random;
}

/** How file systems say that they have no hard links. */
const NO_HARD_LINKS = new Set(['EMLINK', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EPERM']);

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

/** Makes the directory and its parents where they are missing, and opens the storage in it. */
export async function createLocalStorage(
  location: string,
  options: LocalOptions = {},
): Promise<Storage> {
  const { fs = nodeFs } = options;
  await attempt('create', location, async () => {
    const parents = new DirectorySync(fs);
    await makeDirectories(resolve(location), fs, parents);
    await parents.sync();
  });
  return await openLocalStorage(location, options);
}

async function makeDirectories(path: string, fs: StorageFs, parents: DirectorySync): Promise<void> {
  try {
    await fs.makeDirectory(path);
  } catch (error) {
    // What exists and is no directory is found by whoever goes on from there.
    if (errnoCode(error) === 'EEXIST') return;
    if (errnoCode(error) !== 'ENOENT') throw error;
    await makeDirectories(dirname(path), fs, parents);
    await fs.makeDirectory(path);
  }
  parents.note(dirname(path));
}

class LocalStorage implements Storage {
  readonly location: string;
  readonly #root: LocalRoot;
  readonly #fs: StorageFs;
  readonly #random: Random;
  #hasHardLinks = true;

  constructor(location: string, root: LocalRoot, seams: Required<LocalOptions>) {
    this.location = location;
    this.#root = root;
    this.#fs = seams.fs;
    this.#random = seams.random;
  }

  get durability(): 'strong' | 'weak' {
    return this.#root.isSyncSupported ? 'strong' : 'weak';
  }

  async put(name: string, bytes: Uint8Array, { signal }: CallOptions = {}): Promise<void> {
    assertContentName(name);
    await attempt('store', name, async () => {
      await this.#root.make(directoryOf(name));
      const temporary = await this.#writeTemporary(bytes, signal);
      const outcome =
        (await this.#link(temporary, name)) ?? (await this.#renameUnlessThere(temporary, name));
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
    return await attempt('store', name, async () => {
      await this.#root.make(directoryOf(name));
      const outcome =
        (await this.#linkNew(name, bytes, signal)) ?? (await this.#claim(name, bytes, signal));
      // Also when somebody else was first: whoever is told so relies on what that one stored.
      this.#root.noteChange(name);
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
    { signal }: CallOptions = {},
  ): Promise<Uint8Array> {
    assertStoredName(name);
    assertRange(range);
    const end = range.offset + range.length;
    return await this.#read(name, signal, async (file, { size }) => {
      if (size < end) throw wrongSize(name, size, `at least ${end}`);
      return await readRange(file, name, range);
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

  /** Writes a complete and durable file without a final name; returns its path. */
  async #writeTemporary(bytes: Uint8Array, signal: AbortSignal | undefined): Promise<string> {
    await this.#root.make('tmp');
    try {
      return await this.#writeTemporaryOnce(bytes, signal);
    } catch (error) {
      // The device failed, most likely at fsync, which can only be tried again on another file.
      if (errnoCode(error) !== 'EIO') throw error;
      return await this.#writeTemporaryOnce(bytes, signal);
    }
  }

  async #writeTemporaryOnce(bytes: Uint8Array, signal: AbortSignal | undefined): Promise<string> {
    signal?.throwIfAborted();
    const name = `tmp/${toHex(this.#random.bytes(16))}.tmp`;
    const path = this.#root.path(name);
    await pass('storage.put.before-open');
    const created = await this.#fs.create(path);
    try {
      await withFile(created, async (file) => {
        await pass('storage.put.before-write');
        await writeAll(file, bytes, signal);
        await pass('storage.put.before-file-sync');
        await finish(file);
        await pass('storage.put.before-close');
      });
      // File servers have said "written" and kept less; the size tells.
      const { size } = await this.#fs.stat(path);
      if (size !== bytes.length) {
        throw new StorageError('store', name, `${size} of ${bytes.length} bytes were kept`);
      }
      signal?.throwIfAborted();
    } catch (error) {
      await this.#discard(path);
      throw error;
    }
    return path;
  }

  /** Gives a temporary file its final name; undefined where there are no hard links. */
  async #link(temporary: string, name: string): Promise<'created' | 'exists' | undefined> {
    if (!this.#hasHardLinks) return undefined;
    let outcome: 'created' | 'exists' = 'created';
    try {
      await pass('storage.put.before-link');
      await this.#fs.link(temporary, this.#root.path(name));
    } catch (error) {
      const code = errnoCode(error) ?? '';
      if (NO_HARD_LINKS.has(code)) {
        this.#hasHardLinks = false;
        return undefined;
      }
      if (code !== 'EEXIST') {
        await this.#discard(temporary);
        throw error;
      }
      outcome = 'exists';
    }
    await pass('storage.put.before-unlink');
    await this.#discard(temporary);
    await pass('storage.put.after-unlink');
    return outcome;
  }

  async #linkNew(
    name: string,
    bytes: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<'created' | 'exists' | undefined> {
    if (!this.#hasHardLinks) return undefined;
    const temporary = await this.#writeTemporary(bytes, signal);
    const outcome = await this.#link(temporary, name);
    if (outcome === undefined) await this.#discard(temporary);
    return outcome;
  }

  async #renameUnlessThere(temporary: string, name: string): Promise<'created' | 'exists'> {
    try {
      if ((await this.#root.stat(name)) !== undefined) {
        await this.#discard(temporary);
        return 'exists';
      }
      await pass('storage.put.before-rename');
      await this.#fs.rename(temporary, this.#root.path(name));
    } catch (error) {
      await this.#discard(temporary);
      throw error;
    }
    await pass('storage.put.after-rename');
    return 'created';
  }

  /** Put-if-absent without hard links: whoever creates the name has won it. */
  async #claim(
    name: string,
    bytes: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<'created' | 'exists'> {
    signal?.throwIfAborted();
    const path = this.#root.path(name);
    let created: OpenFile;
    try {
      created = await this.#fs.create(path);
    } catch (error) {
      if (errnoCode(error) !== 'EEXIST') throw error;
      await this.adopt(name);
      return 'exists';
    }
    let isComplete = false;
    try {
      await withFile(created, async (file) => {
        await writeAll(file, bytes);
        isComplete = true;
        await finish(file);
      });
    } catch (error) {
      // Once all bytes are there others may have read and believed them: not to be taken back.
      if (!isComplete) await this.#discard(path);
      throw error;
    }
    await this.#demandSize(name, bytes.length);
    return 'created';
  }

  /** Leftovers cost space only, so failing to remove one fails nothing. */
  async #discard(path: string): Promise<void> {
    await this.#fs.unlink(path).catch(() => {});
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
