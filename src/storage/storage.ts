/**
 * Storage: named immutable files somewhere. The commit protocol (docs/repository-format.md section 18)
 * needs no more than this of a backend, and every backend passes the same suite,
 * `test/storage/storage-contract.ts`.
 *
 * For all calls:
 * - Names have the shapes of `names.ts`; any other name is a `TypeError`.
 * - An object is seen whole or not at all: no call ever shows a part of an object being written.
 *   (Exception: chosen names on a file system without hard links, see `local.ts`.)
 * - An object never changes. It can only be deleted.
 * - Read after write: what was put is seen by every later call of every process.
 * - A failing backend throws `StorageError`; a call that failed may have happened nevertheless, and
 *   repeating it with the same bytes is always right. An aborted call throws the signal's reason.
 * - Calls may run at the same time; how many is the caller's affair.
 * - Bytes that are passed in are borrowed until the call ends; bytes returned belong to the caller.
 */

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

export interface GetOptions extends CallOptions {
  /** A larger object is a `CorruptionError`, found before anything is read. */
  readonly sizeMax?: number | undefined;
}

export interface GetRangeOptions extends CallOptions {
  /**
   * Memory for the answer, at least as long as the range. A backend that can fills it and returns a
   * view of it, any other one returns memory of its own.
   */
  readonly into?: Uint8Array | undefined;
}

export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

export interface ObjectStat {
  readonly size: number;
  /** When the object was written, by the clock of the storage. */
  readonly modifiedMs: number;
}

export interface ListedObject extends ObjectStat {
  readonly name: string;
}

export interface Storage {
  /** Where the objects are, for messages. */
  readonly location: string;
  /**
   * `weak` as soon as the backend is known to be unable to say when a new name survives a power cut
   * (no directory fsync): what `sync()` promises is then only likely. Never goes back to `strong`.
   */
  readonly durability: 'strong' | 'weak';

  /**
   * Stores an object whose name contains its hash. An existing name is success and keeps its bytes;
   * it is `CorruptionError` if it is not even of the same size. Durable only after `sync()`.
   */
  put(name: string, bytes: Uint8Array, options?: CallOptions): Promise<void>;

  /**
   * Stores an object unless the name is taken; exactly one of several racing writers, in whatever
   * processes, gets `created`. In both cases the object of that name is durable on return. After a
   * failed call the same caller can get `exists` for its own object: compare the bytes.
   */
  putIfAbsent(
    name: string,
    bytes: Uint8Array,
    options?: CallOptions,
  ): Promise<'created' | 'exists'>;

  /** All bytes of an object. @throws NotFoundError, CorruptionError above `sizeMax` */
  get(name: string, options?: GetOptions): Promise<Uint8Array>;

  /**
   * Exactly the bytes of the range. @throws NotFoundError, CorruptionError where the object ends
   * before the range does (objects never change, so somebody cut it, or the record that gave the
   * range is wrong)
   */
  getRange(name: string, range: ByteRange, options?: GetRangeOptions): Promise<Uint8Array>;

  /** Undefined when there is no such object. */
  stat(name: string, options?: CallOptions): Promise<ObjectStat | undefined>;

  /**
   * Every object below the prefix, in no particular order: all whose put was acknowledged before
   * the listing began and that are not deleted meanwhile, perhaps some that are put meanwhile.
   * Files that others left there are listed too (`isObjectName` tells), `tmp/` only by its own
   * prefix. A listing that cannot be completed throws; it never just ends.
   */
  list(prefix: string, options?: CallOptions): AsyncIterable<ListedObject>;

  /** Deletes an object, durably after `sync()`; success when there is none. */
  delete(name: string, options?: CallOptions): Promise<void>;

  /**
   * Takes an object that another writer put as if it had been put here: durable after `sync()`.
   * @throws NotFoundError
   */
  adopt(name: string, options?: CallOptions): Promise<void>;

  /**
   * On return every put, adoption and deletion that was acknowledged before the call is durable.
   * After a failure it stays unknown what is: every later `sync()` and `putIfAbsent()` may fail
   * too, until the storage is opened again.
   */
  sync(): Promise<void>;

  close(): Promise<void>;
}
