/**
 * Caches of simulated clients: maps in memory with the part of LMDB that the local index uses. A cache is
 * a function of the objects and may be lost at any time, so nothing depends on which of the two it is;
 * LMDB itself is looked at with real processes. To open, fill and close it would be half of the time
 * that a seed takes.
 */
import type { CacheHome, LocalIndexOptions } from '../../src/index/cache-home.ts';
import { CACHE_SCHEMA } from '../../src/index/cache-rows.ts';
import { type Environment, putMeta, readMeta } from '../../src/index/environment.ts';
import { LocalIndex } from '../../src/index/local-index.ts';
import { toHex } from '../../src/util/bytes.ts';

interface Row {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

interface KeyOptions {
  readonly reverse?: boolean;
  readonly limit?: number;
}

/** One database: rows by key, in the order of keys when that is asked for. */
class MemoryTable {
  #rows = new Map<string, Row>();
  #sorted: readonly Row[] | undefined;

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#rows.get(latin1(key))?.value;
  }

  getBinaryFast(key: Uint8Array): Uint8Array | undefined {
    return this.get(key);
  }

  *getRange(): Iterable<Row> {
    yield* this.#inOrder();
  }

  *getKeys({
    reverse = false,
    limit = Number.POSITIVE_INFINITY,
  }: KeyOptions = {}): Iterable<Uint8Array> {
    const rows = this.#inOrder();
    for (let i = 0; i < rows.length && i < limit; i++) {
      yield (rows[reverse ? rows.length - 1 - i : i] as Row).key;
    }
  }

  putSync(key: Uint8Array, value: Uint8Array): boolean {
    this.#rows.set(latin1(key), { key: key.slice(), value: value.slice() });
    this.#sorted = undefined;
    return true;
  }

  removeSync(key: Uint8Array): boolean {
    this.#sorted = undefined;
    return this.#rows.delete(latin1(key));
  }

  clearSync(): void {
    this.#rows.clear();
    this.#sorted = undefined;
  }

  getStats(): { entryCount: number } {
    return { entryCount: this.#rows.size };
  }

  /** A transaction that fails leaves nothing behind. */
  keep(): () => void {
    const [rows, sorted] = [new Map(this.#rows), this.#sorted];
    return () => {
      [this.#rows, this.#sorted] = [rows, sorted];
    };
  }

  copy(): MemoryTable {
    const copy = new MemoryTable();
    copy.#rows = new Map(this.#rows);
    copy.#sorted = this.#sorted;
    return copy;
  }

  #inOrder(): readonly Row[] {
    this.#sorted ??= [...this.#rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
    return this.#sorted;
  }
}

/** Caches by directory, as whoever closed them has left them. */
const caches = new Map<string, Environment>();

/** From now on every local index of this process is in memory. */
export function useMemoryCaches(): void {
  Object.assign(LocalIndex, {
    open: async (options: LocalIndexOptions) => new LocalIndex(memoryCacheHome(options), options),
    discard: async ({ cacheDir }: { cacheDir: string }) => {
      caches.delete(cacheDir);
    },
  });
}

/** Also of a cache that is not there: then the copy is not there either. */
export function copyCache(from: string, to: string): void {
  const environment = caches.get(from) as (Environment & { copy: () => Environment }) | undefined;
  if (environment !== undefined) caches.set(to, environment.copy());
}

export function dropCache(cacheDir: string): void {
  caches.delete(cacheDir);
}

function memoryCacheHome({ cacheDir, repositoryId }: LocalIndexOptions): CacheHome {
  const environment = caches.get(cacheDir ?? '') ?? newEnvironment();
  if (cacheDir !== undefined) caches.set(cacheDir, environment);
  const id = toHex(repositoryId);
  if (readMeta(environment, 'repo_id') === undefined) {
    putMeta(environment, 'schema', CACHE_SCHEMA);
    putMeta(environment, 'repo_id', id);
  }
  return { environment, path: cacheDir ?? '', close: async () => {} };
}

type Tables = Record<Exclude<keyof Environment, 'root'>, MemoryTable>;

function newEnvironment(): Environment {
  return environmentOf({
    base: new MemoryTable(),
    packs: new MemoryTable(),
    packid: new MemoryTable(),
    features: new MemoryTable(),
    segments: new MemoryTable(),
    meta: new MemoryTable(),
  });
}

function environmentOf(tables: Tables): Environment {
  const root = {
    transactionSync: <T>(action: () => T): T => {
      const undo = Object.values(tables).map((table) => table.keep());
      try {
        return action();
      } catch (error) {
        for (const one of undo) one();
        throw error;
      }
    },
    resetReadTxn: () => {},
    readerCheck: () => 0,
    close: async () => {},
  };
  const copy = (): Environment => {
    const copies = Object.entries(tables).map(([name, table]) => [name, table.copy()]);
    return environmentOf(Object.fromEntries(copies) as Tables);
  };
  return { root, copy, ...tables } as unknown as Environment;
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}
