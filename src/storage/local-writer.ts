/**
 * How the local backend stores an object. This order of writes keeps through any crash that a file
 * under a final name is complete, and leaves whatever is not in `tmp/`:
 *
 *   tmp/<random>.tmp   open O_EXCL, write all, mode 0400, fsync, close, compare the size
 *   <name>             link, which fails when the name is taken: EEXIST = somebody was first
 *   tmp/<random>.tmp   unlink
 *
 * The fsync of the directories follows, collected by the caller. A failed fsync is final for that
 * file: it is written once more under a new temporary name.
 *
 * File systems without hard links: hash-named objects are renamed instead of linked (equal names
 * mean equal bytes, so replacing does no harm), a chosen name is created with O_EXCL and written to.
 * A crash or a failing disk can then leave an incomplete object under a chosen name, and a reader
 * can see one being written; such records do not authenticate and count as a claim in progress.
 */
import { errnoCode, StorageError } from '../errors.ts';
import { toHex } from '../util/bytes.ts';
import type { Random } from '../util/random.ts';
import { pass } from './failpoints.ts';
import { type OpenFile, type StorageFs, withFile } from './file-system.ts';
import type { LocalRoot } from './local-root.ts';
import { directoryOf } from './names.ts';
import { finish, writeAll } from './object-file.ts';

/** How file systems say that they have no hard links. */
const NO_HARD_LINKS = new Set(['EMLINK', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EPERM']);

export class LocalWriter {
  readonly #root: LocalRoot;
  readonly #fs: StorageFs;
  readonly #random: Random;
  #hasHardLinks = true;

  constructor(root: LocalRoot, { fs, random }: { fs: StorageFs; random: Random }) {
    this.#root = root;
    this.#fs = fs;
    this.#random = random;
  }

  /** Stores an object whose name means its content. */
  async store(
    name: string,
    bytes: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<'created' | 'exists'> {
    await this.#root.make(directoryOf(name));
    const temporary = await this.#writeTemporary(bytes, signal);
    return (await this.#link(temporary, name)) ?? (await this.#renameUnlessThere(temporary, name));
  }

  /** Stores an object under a name that others may want at the same time. */
  async storeNew(
    name: string,
    bytes: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<'created' | 'exists'> {
    await this.#root.make(directoryOf(name));
    if (this.#hasHardLinks) {
      const temporary = await this.#writeTemporary(bytes, signal);
      const outcome = await this.#link(temporary, name);
      if (outcome !== undefined) return outcome;
      await this.#discard(temporary);
    }
    return await this.#claim(name, bytes, signal);
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
      await this.#demandKept(name, bytes.length);
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
      if (errnoCode(error) === 'EEXIST') return 'exists';
      throw error;
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
    await this.#demandKept(name, bytes.length);
    return 'created';
  }

  /** File servers have said "written" and kept less; the size tells. */
  async #demandKept(name: string, size: number): Promise<void> {
    const kept = await this.#fs.stat(this.#root.path(name));
    if (kept.size !== size) {
      throw new StorageError('store', name, `${kept.size} of ${size} bytes were kept`);
    }
  }

  /** Leftovers cost space only, so failing to remove one fails nothing. */
  async #discard(path: string): Promise<void> {
    await this.#fs.unlink(path).catch(() => {});
  }
}
