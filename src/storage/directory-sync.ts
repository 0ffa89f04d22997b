/**
 * Collected directory fsyncs of the local backend. A new or removed name survives a power cut only
 * after an fsync of the directory it stands in, and that directory only after one of its parent;
 * many names share one. Invariants:
 *
 * - A directory is noted after the call that changed it and before that change is acknowledged.
 * - When `sync()` returns, every directory noted before the call has been synced since.
 * - A failed fsync is final: the kernel reports an error once and may then take the lost entries
 *   for written, so a second fsync that succeeds proves nothing. All later calls fail as well.
 */
import { errnoCode } from '../errors.ts';
import { pass } from './failpoints.ts';
import type { StorageFs } from './file-system.ts';
import { storageFailure } from './storage-failure.ts';

/** How file systems say that a directory cannot be opened for, or does not know, fsync. */
const UNSUPPORTED = new Set([
  'EACCES',
  'EBADF',
  'EINVAL',
  'EISDIR',
  'ENOSYS',
  'ENOTSUP',
  'ENOTTY',
  'EOPNOTSUPP',
  'EPERM',
]);

export class DirectorySync {
  readonly #fs: StorageFs;
  #changed = new Set<string>();
  #isSupported = true;
  #failure: { readonly error: unknown } | undefined;
  #running: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  constructor(fs: StorageFs) {
    this.#fs = fs;
  }

  /** False once a directory refused fsync as such. */
  get isSupported(): boolean {
    return this.#isSupported;
  }

  note(directory: string): void {
    this.#changed.add(directory);
  }

  /** Calls that come while one is running share the next one. */
  sync(): Promise<void> {
    this.#next ??= this.#runNext();
    return this.#next;
  }

  async #runNext(): Promise<void> {
    await this.#running;
    this.#next = undefined;
    const run = this.#syncChanged();
    this.#running = run.catch(() => {});
    await run;
  }

  async #syncChanged(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure.error;
    for (const directory of [...this.#changed]) {
      this.#changed.delete(directory);
      try {
        await pass('storage.sync.before-directory-sync');
        await this.#syncOne(directory);
        await pass('storage.sync.after-directory-sync');
      } catch (error) {
        this.#changed.add(directory);
        throw storageFailure('sync', directory, error);
      }
    }
  }

  async #syncOne(directory: string): Promise<void> {
    let isOpen = false;
    try {
      const handle = await this.#fs.openDirectory(directory);
      isOpen = true;
      await handle.sync().finally(() => handle.close().catch(() => {}));
    } catch (error) {
      if (UNSUPPORTED.has(errnoCode(error) ?? '')) {
        this.#isSupported = false;
        return;
      }
      if (isOpen) this.#failure = { error: storageFailure('sync', directory, error) };
      throw error;
    }
  }
}
