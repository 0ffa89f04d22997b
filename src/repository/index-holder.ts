/**
 * The local index of an open repository: opened at first use, thrown away and opened anew when it no
 * longer fits, replaced by a temporary one when its disk fails.
 */
import type { RepositoryId } from '../id.ts';
import type { LocalIndex } from '../index/local-index.ts';

interface IndexHolderOptions {
  cacheDirectory: string;
  repositoryId: RepositoryId;
  onNotice: (text: string) => void;
}

export class IndexHolder {
  readonly #options: IndexHolderOptions;
  #index: Promise<LocalIndex> | undefined;
  #isTemporary = false;

  constructor(options: IndexHolderOptions) {
    this.#options = options;
  }

  open(): Promise<LocalIndex> {
    const { cacheDirectory, repositoryId, onNotice } = this.#options;
    const cacheDir = this.#isTemporary ? undefined : cacheDirectory;
    this.#index ??= loadIndex().then((index) => index.open({ cacheDir, repositoryId, onNotice }));
    return this.#index;
  }

  /** The next `open` begins with an empty index: one of its own where the cache cannot be removed. */
  async discard(): Promise<void> {
    await this.close();
    if (this.#isTemporary) return;
    const { cacheDirectory: cacheDir, repositoryId } = this.#options;
    const index = await loadIndex();
    try {
      await index.discard({ cacheDir, repositoryId });
    } catch (error) {
      await this.moveToTemporary(error as Error);
    }
  }

  /** After the cache could not be written: this run goes on with one of its own. */
  async moveToTemporary(cause: Error): Promise<void> {
    this.#options.onNotice(`Cannot write the cache: ${cause.message}; going on without it`);
    await this.close();
    this.#isTemporary = true;
  }

  async close(): Promise<void> {
    const index = this.#index;
    this.#index = undefined;
    await (await index)?.close();
  }
}

/** Loaded with the first index that is opened: LMDB takes a third of the time that all else takes. */
async function loadIndex(): Promise<typeof LocalIndex> {
  const module = await import('../index/local-index.ts');
  return module.LocalIndex;
}
