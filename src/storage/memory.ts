/**
 * Storage in memory, for tests and simulations: the promises of `Storage` with nothing that could
 * fail. Everything is durable at once for as long as the process lives.
 */
import { NotFoundError } from '../errors.ts';
import { type Clock, nowMs, systemClock } from '../util/clock.ts';
import {
  assertContentName,
  assertObjectName,
  assertPrefix,
  assertRange,
  assertStoredName,
} from './names.ts';
import { wrongSize } from './object-file.ts';
import type {
  ByteRange,
  CallOptions,
  GetOptions,
  GetRangeOptions,
  ListedObject,
  ObjectStat,
  Storage,
} from './storage.ts';

interface MemoryObject {
  readonly bytes: Uint8Array;
  readonly modifiedMs: number;
}

/** `clock` is the clock of the storage, for `modifiedMs`. */
export function createMemoryStorage({ clock = systemClock }: { clock?: Clock } = {}): Storage {
  return new MemoryStorage(clock);
}

class MemoryStorage implements Storage {
  readonly location = 'memory';
  readonly durability = 'strong';
  readonly #objects = new Map<string, MemoryObject>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async put(name: string, bytes: Uint8Array, { signal }: CallOptions = {}): Promise<void> {
    assertContentName(name);
    signal?.throwIfAborted();
    const existing = this.#objects.get(name);
    if (existing === undefined) this.#store(name, bytes);
    else if (existing.bytes.length !== bytes.length) {
      throw wrongSize(name, existing.bytes.length, `${bytes.length}`);
    }
  }

  async putIfAbsent(
    name: string,
    bytes: Uint8Array,
    { signal }: CallOptions = {},
  ): Promise<'created' | 'exists'> {
    assertObjectName(name);
    signal?.throwIfAborted();
    if (this.#objects.has(name)) return 'exists';
    this.#store(name, bytes);
    return 'created';
  }

  async get(name: string, { signal, sizeMax = Infinity }: GetOptions = {}): Promise<Uint8Array> {
    signal?.throwIfAborted();
    const { bytes } = this.#find(name);
    if (bytes.length > sizeMax) throw wrongSize(name, bytes.length, `at most ${sizeMax}`);
    return Uint8Array.from(bytes);
  }

  async getRange(
    name: string,
    range: ByteRange,
    { signal, into }: GetRangeOptions = {},
  ): Promise<Uint8Array> {
    signal?.throwIfAborted();
    assertRange(range);
    const { bytes } = this.#find(name);
    const end = range.offset + range.length;
    if (bytes.length < end) throw wrongSize(name, bytes.length, `at least ${end}`);
    if (into === undefined) return bytes.slice(range.offset, end);
    into.set(bytes.subarray(range.offset, end));
    return into.subarray(0, range.length);
  }

  async stat(name: string, { signal }: CallOptions = {}): Promise<ObjectStat | undefined> {
    assertStoredName(name);
    signal?.throwIfAborted();
    const object = this.#objects.get(name);
    if (object === undefined) return undefined;
    return { size: object.bytes.length, modifiedMs: object.modifiedMs };
  }

  list(prefix: string, { signal }: CallOptions = {}): AsyncIterable<ListedObject> {
    assertPrefix(prefix);
    return this.#list(prefix, signal);
  }

  async delete(name: string, { signal }: CallOptions = {}): Promise<void> {
    assertStoredName(name);
    signal?.throwIfAborted();
    this.#objects.delete(name);
  }

  async adopt(name: string, { signal }: CallOptions = {}): Promise<void> {
    signal?.throwIfAborted();
    this.#find(name);
  }

  async sync(): Promise<void> {
    // Nothing is more durable than memory gets.
  }

  async close(): Promise<void> {
    // The objects stay, for whoever still holds the storage.
  }

  #store(name: string, bytes: Uint8Array): void {
    this.#objects.set(name, { bytes: Uint8Array.from(bytes), modifiedMs: nowMs(this.#clock) });
  }

  #find(name: string): MemoryObject {
    assertStoredName(name);
    const object = this.#objects.get(name);
    if (object === undefined) throw new NotFoundError('object', name);
    return object;
  }

  async *#list(prefix: string, signal: AbortSignal | undefined): AsyncGenerator<ListedObject> {
    for (const name of [...this.#objects.keys()].sort()) {
      signal?.throwIfAborted();
      const object = this.#objects.get(name);
      if (object === undefined || !name.startsWith(prefix)) continue;
      yield { name, size: object.bytes.length, modifiedMs: object.modifiedMs };
    }
  }
}
