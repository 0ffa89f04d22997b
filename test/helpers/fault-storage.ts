/**
 * Storages that misbehave: decorators over any `Storage`, one fault each, to be put on top of one
 * another. And `crashableStorage()`, which forgets what was not made durable.
 */
import { createMemoryStorage } from '../../src/storage/memory.ts';
import type { Storage } from '../../src/storage/storage.ts';
import type { SeededRandom } from './seeded-random.ts';

export interface StorageCall {
  readonly operation: Exclude<keyof Storage, 'location' | 'durability' | 'close'>;
  /** The name or prefix; empty for `sync`. */
  readonly name: string;
}

/** `run` makes the call; whatever the intercept returns or throws is what the caller gets. */
export type StorageIntercept = <T>(call: StorageCall, run: () => Promise<T>) => Promise<T>;

/** A listing is one call, which ends when its first object is asked for. */
export function interceptStorage(storage: Storage, intercept: StorageIntercept): Storage {
  return {
    location: storage.location,
    get durability() {
      return storage.durability;
    },
    put: (name, bytes, options) =>
      intercept({ operation: 'put', name }, () => storage.put(name, bytes, options)),
    putIfAbsent: (name, bytes, options) =>
      intercept({ operation: 'putIfAbsent', name }, () =>
        storage.putIfAbsent(name, bytes, options),
      ),
    get: (name, options) => intercept({ operation: 'get', name }, () => storage.get(name, options)),
    getRange: (name, range, options) =>
      intercept({ operation: 'getRange', name }, () => storage.getRange(name, range, options)),
    stat: (name, options) =>
      intercept({ operation: 'stat', name }, () => storage.stat(name, options)),
    async *list(prefix, options) {
      yield* await intercept({ operation: 'list', name: prefix }, async () =>
        storage.list(prefix, options),
      );
    },
    delete: (name, options) =>
      intercept({ operation: 'delete', name }, () => storage.delete(name, options)),
    adopt: (name, options) =>
      intercept({ operation: 'adopt', name }, () => storage.adopt(name, options)),
    sync: () => intercept({ operation: 'sync', name: '' }, () => storage.sync()),
    close: () => storage.close(),
  };
}

function overrideStorage(storage: Storage, calls: Partial<Storage>): Storage {
  return Object.assign(
    interceptStorage(storage, (_call, run) => run()),
    calls,
  );
}

/** Every call in order, as "operation name". */
export function recordStorage(storage: Storage): { storage: Storage; calls: string[] } {
  const calls: string[] = [];
  const recorded = interceptStorage(storage, async ({ operation, name }, run) => {
    calls.push(`${operation} ${name}`.trimEnd());
    return await run();
  });
  return { storage: recorded, calls };
}

/** Thrown by every call of a process that no longer lives. */
export class StorageStopped extends Error {}

/** The process ends before its call number `n` (from 0). */
export function stopStorage(storage: Storage, n: number): Storage {
  let count = 0;
  return interceptStorage(storage, async (_call, run) => {
    if (count++ >= n) throw new StorageStopped('stopped');
    return await run();
  });
}

export interface StorageFault {
  readonly error: Error;
  /** Number of the call that fails, from 0, among those counted. */
  readonly at: number;
  /** All later calls fail too. */
  readonly isLasting?: boolean;
  /** The call is made, and only its answer is lost. */
  readonly isApplied?: boolean;
  /** Which calls are counted; all by default. */
  readonly isCounted?: (call: StorageCall) => boolean;
}

export function failStorage(storage: Storage, fault: StorageFault): Storage {
  const { error, at, isLasting = false, isApplied = false, isCounted = () => true } = fault;
  let count = 0;
  return interceptStorage(storage, async (call, run) => {
    if (!isCounted(call)) return await run();
    const number = count++;
    const isHit = isLasting ? number >= at : number === at;
    if (!isHit) return await run();
    if (isApplied) await run();
    throw error;
  });
}

/** Every call waits for `delay` before it is made. */
export function delayStorage(
  storage: Storage,
  delay: (call: StorageCall) => Promise<void>,
): Storage {
  return interceptStorage(storage, async (call, run) => {
    await delay(call);
    return await run();
  });
}

/**
 * Reads ranges in rounds: no read is answered before all have been asked for that do not wait for its
 * answer. `rounds` has the names that were read from, of each round.
 */
export function roundsStorage(storage: Storage): { storage: Storage; rounds: string[][] } {
  const rounds: string[][] = [];
  let round: Promise<void> | undefined;
  const inRounds = interceptStorage(storage, async ({ operation, name }, run) => {
    if (operation !== 'getRange') return await run();
    if (round === undefined) {
      rounds.push([]);
      round = new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
        round = undefined;
      });
    }
    rounds.at(-1)?.push(name);
    await round;
    return await run();
  });
  return { storage: inRounds, rounds };
}

/** Changes bytes on their way: `write` before they are stored, `read` before they are returned. */
export function alterStorage(
  storage: Storage,
  alter: {
    readonly write?: (name: string, bytes: Uint8Array) => Uint8Array;
    readonly read?: (name: string, bytes: Uint8Array) => Uint8Array;
  },
): Storage {
  const { write = (_name, bytes) => bytes, read = (_name, bytes) => bytes } = alter;
  return overrideStorage(storage, {
    put: (name, bytes, options) => storage.put(name, write(name, bytes), options),
    putIfAbsent: (name, bytes, options) => storage.putIfAbsent(name, write(name, bytes), options),
    get: async (name, options) => read(name, await storage.get(name, options)),
    getRange: async (name, range, options) =>
      read(name, await storage.getRange(name, range, options)),
  });
}

/** A copy with one bit changed, to be used with `alterStorage`. */
export function flipBit(bytes: Uint8Array, bit: number): Uint8Array {
  const flipped = bytes.slice();
  flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return flipped;
}

/** A listing that is not up to date: the names are there, but not listed. */
export function hideFromListings(storage: Storage, isHidden: (name: string) => boolean): Storage {
  return overrideStorage(storage, {
    async *list(prefix, options) {
      for await (const object of storage.list(prefix, options)) {
        if (!isHidden(object.name)) yield object;
      }
    },
  });
}

export interface CrashableStorage {
  readonly storage: Storage;
  /** The power is cut: each put and deletion that was not made durable is lost or kept. */
  crash(random: SeededRandom): Promise<Storage>;
}

/**
 * A storage in memory that keeps to the letter of what `Storage` promises about durability. After
 * `crash()` only the storage it returned is used.
 */
export function crashableStorage(inner: Storage = createMemoryStorage()): CrashableStorage {
  /** How to take back what is not durable yet, by name; the first state wins. */
  const undo = new Map<string, () => Promise<unknown>>();

  const storage = overrideStorage(inner, {
    put: async (name, bytes, options) => {
      const isNew = (await inner.stat(name)) === undefined;
      await inner.put(name, bytes, options);
      if (isNew && !undo.has(name)) undo.set(name, () => inner.delete(name));
    },
    putIfAbsent: async (name, bytes, options) => {
      const outcome = await inner.putIfAbsent(name, bytes, options);
      undo.delete(name);
      return outcome;
    },
    delete: async (name, options) => {
      const bytes = (await inner.stat(name)) === undefined ? undefined : await inner.get(name);
      await inner.delete(name, options);
      if (bytes !== undefined && !undo.has(name)) {
        undo.set(name, () => inner.putIfAbsent(name, bytes));
      }
    },
    sync: async () => {
      const acknowledged = [...undo.keys()];
      await inner.sync();
      for (const name of acknowledged) undo.delete(name);
    },
  });
  return {
    storage,
    crash: async (random) => {
      for (const takeBack of undo.values()) if (random.below(2) === 0) await takeBack();
      return inner;
    },
  };
}
