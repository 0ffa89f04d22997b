/**
 * Reading packs from storage. Ranges are rounded to a grid, so that the storage does not learn where
 * frames begin, and so that neighbouring frames come with one request.
 */

import { openFrame } from '../frame/frame-codec.ts';
import type { PackName } from '../id.ts';
import type { RepositoryKeys } from '../keys/key-hierarchy.ts';
import type { FrameEntry, PackDirectory } from '../pack/directory.ts';
import { openDirectory, packKeysOf, parseTrailer } from '../pack/pack-reader.ts';
import { type PackRecord, packStorageName, TRAILER_SIZE } from '../pack/pack-record.ts';
import { HEADER_SIZE } from '../record/header.ts';
import type { PackKind } from '../record/object-kind.ts';
import type { ByteRange } from '../storage/storage.ts';
import { demand } from '../util/byte-reader.ts';
import { WeightedCache } from '../util/weighted-cache.ts';
import type { RepositoryCore } from './repository.ts';
import { decodeStored } from './stored-records.ts';

/** Requests begin and end on multiples of this, or at the end of the pack. */
export const gridSize: number = 2 ** 18;
/** Smaller packs are fetched whole. */
const WHOLE_PACK_SIZE_MAX = 2 ** 22;
/** Most directories lie within this distance from the end of their pack. */
const TAIL_SIZE = gridSize;
/** What a window reads beyond the frame asked for, where the next frames are usually wanted next. */
const READ_AHEAD_SIZE = 2 ** 20;
/** Sealed windows kept, in bytes. */
const WINDOW_CACHE_SIZE_MAX = 2 ** 23;

interface Window {
  offset: number;
  bytes: Uint8Array;
}

interface CallOptions {
  signal?: AbortSignal | undefined;
}

/** Opens frames of packs that the index knows; keeps the last windows it read. */
export class FrameSource {
  readonly #core: RepositoryCore;
  readonly #windows = new WeightedCache<PackName, Window>(WINDOW_CACHE_SIZE_MAX);

  constructor(core: RepositoryCore) {
    this.#core = core;
  }

  /**
   * The opened content of one frame, still compressed or delta-encoded.
   * @throws CorruptionError, NotFoundError, StorageError
   */
  async read(
    pack: Omit<PackRecord, 'body'>,
    frame: FrameEntry,
    options: CallOptions = {},
  ): Promise<Uint8Array> {
    const sealed = await this.#readSealed(pack, frame, options);
    return openSealed(this.#core.keys, pack, { frame, sealed });
  }

  async #readSealed(
    pack: Omit<PackRecord, 'body'>,
    frame: FrameEntry,
    options: CallOptions,
  ): Promise<Uint8Array> {
    const end = frame.offset + frame.storedSize;
    let window = this.#windows.get(pack.name);
    if (window === undefined || !covers(window, frame.offset, end)) {
      const range = windowFor(pack.length, frame.offset, end);
      const bytes = await this.#core.storage.getRange(packStorageName(pack), range, options);
      window = { offset: range.offset, bytes };
      this.#windows.set(pack.name, window, bytes.length);
    }
    return window.bytes.subarray(frame.offset - window.offset, end - window.offset);
  }
}

/**
 * The content of a sealed frame, still compressed or delta-encoded.
 * @throws CorruptionError
 */
export function openSealed(
  keys: RepositoryKeys,
  pack: Omit<PackRecord, 'body'>,
  { frame, sealed }: { frame: FrameEntry; sealed: Uint8Array },
): Uint8Array {
  return decodeStored({ kind: 'pack', which: packStorageName(pack) }, () => {
    const key = packKeysOf(keys, pack).frame(frame.class);
    return openFrame(key, { record: frame, offset: frame.offset }, sealed);
  });
}

function covers(window: Window, start: number, end: number): boolean {
  return window.offset <= start && end <= window.offset + window.bytes.length;
}

function windowFor(packLength: number, start: number, end: number): ByteRange {
  if (packLength < WHOLE_PACK_SIZE_MAX) return { offset: 0, length: packLength };
  return rangeOnGrid(packLength, start, end + READ_AHEAD_SIZE);
}

/** The smallest request for these bytes of a pack. */
export function rangeOnGrid(packLength: number, start: number, end: number): ByteRange {
  const offset = Math.floor(start / gridSize) * gridSize;
  const rangeEnd = Math.ceil(end / gridSize) * gridSize;
  return { offset, length: Math.min(rangeEnd, packLength) - offset };
}

/** Reads the directory of a pack from the end of its file. */
export async function readPackDirectory(
  core: RepositoryCore,
  pack: { name: PackName; kind: PackKind; size: number },
  options: CallOptions = {},
): Promise<{ record: PackRecord; directory: PackDirectory }> {
  const name = packStorageName(pack);
  const { size: length } = pack;
  const object = { kind: 'pack', which: name };
  decodeStored(object, () => demand(length >= HEADER_SIZE + TRAILER_SIZE, 'pack too short'));
  let tail = await readTail(core, pack, { size: TAIL_SIZE, ...options });
  const trailer = decodeStored(object, () =>
    parseTrailer(core.keys, tail.subarray(-TRAILER_SIZE), { kind: pack.kind, length }),
  );
  const needed = trailer.directorySize + TRAILER_SIZE;
  if (tail.length < needed) tail = await readTail(core, pack, { size: needed, ...options });
  const sealed = tail.subarray(tail.length - needed, tail.length - TRAILER_SIZE);
  return decodeStored(object, () =>
    openDirectory(core.keys, trailer, { name: pack.name, length, sealed }),
  );
}

async function readTail(
  core: RepositoryCore,
  pack: { name: PackName; kind: PackKind; size: number },
  options: CallOptions & { size: number },
): Promise<Uint8Array> {
  const start = Math.max(0, pack.size - options.size);
  const offset = Math.floor(start / gridSize) * gridSize;
  const range = { offset, length: pack.size - offset };
  return await core.storage.getRange(packStorageName(pack), range, options);
}
