/**
 * Blobs for whoever has no index: a place says where a copy of a blob lies, and so do the places of
 * its bases, down to a whole copy. The main thread makes places of what the index knows; they are
 * plain data, and a worker reads by them.
 */
import { BLOB_TYPE } from '../blob/blob-type.ts';
import { CorruptionError } from '../errors.ts';
import { decodeWholeFrame } from '../frame/frame-codec.ts';
import { FRAME_KIND } from '../frame/frame-record.ts';
import type { BlobId } from '../id.ts';
import type { Location } from '../index/presence.ts';
import type { FrameEntry } from '../pack/directory.ts';
import { packStorageName } from '../pack/pack-record.ts';
import { equalBytes, toHex } from '../util/bytes.ts';
import { WeightedCache } from '../util/weighted-cache.ts';
import { FrameSource } from './pack-access.ts';
import type { PackHead } from './range-reader.ts';
import type { WorkerCore } from './repository.ts';
import { decodeStored } from './stored-records.ts';

/** A copy of a data chunk. */
export interface BlobPlace {
  readonly pack: PackHead;
  readonly frame: FrameEntry;
  readonly rawOffset: number;
  readonly rawSize: number;
  /** Where in the content of a delta frame it lies; no bytes for a whole blob. */
  readonly encodedOffset: number;
  readonly encodedSize: number;
  /** Present exactly for a delta. */
  readonly base: BlobPlace | undefined;
}

/** @param chain a copy, that of its base, and so on down to a whole one (`usableChain`) */
export function placeOf(chain: readonly Location[]): BlobPlace {
  let place: BlobPlace | undefined;
  for (let i = chain.length - 1; i >= 0; i--) {
    const { pack, frame, blob } = chain[i] as Location;
    place = {
      pack: headOf(pack),
      frame,
      rawOffset: blob.rawOffset,
      rawSize: blob.rawSize,
      encodedOffset: blob.encodedOffset,
      encodedSize: blob.delta?.encodedSize ?? 0,
      base: place,
    };
  }
  return place as BlobPlace;
}

/** What is known of packs, without memory of the index, which a message would carry along. */
const heads = new WeakMap<PackHead, PackHead>();

function headOf(pack: PackHead): PackHead {
  let head = heads.get(pack);
  if (head === undefined) {
    const { name, kind, length, generation, salt } = pack;
    head = { name, kind, length, generation, salt: salt.slice() };
    heads.set(pack, head);
  }
  return head;
}

/** Sealed bytes kept while their frames are opened; decoded frames have a cache of their own. */
const windowsSizeMax = 2 ** 22;

export class PlaceReader {
  readonly #core: WorkerCore;
  readonly #source: FrameSource;
  /** Frames, decoded or as deltas lie in them, and plaintexts of deltas. */
  readonly #cache: WeightedCache<string, Uint8Array>;

  /** @param cacheSize bytes of decoded frames and blobs to keep */
  constructor(core: WorkerCore, cacheSize: number) {
    this.#core = core;
    this.#source = new FrameSource(core, windowsSizeMax);
    this.#cache = new WeightedCache(cacheSize);
  }

  /**
   * The plaintext of the chunk, which has that id; a view that must not be changed.
   * @throws CorruptionError, NotFoundError, StorageError
   */
  async read(place: BlobPlace, id: BlobId): Promise<Uint8Array> {
    const plaintext = await this.#decode(place);
    if (equalBytes(this.#core.identify(BLOB_TYPE.data, plaintext), id)) return plaintext;
    const object = { kind: 'chunk', which: toHex(id) };
    throw new CorruptionError({ ...object, found: 'content with another id', expected: 'its own' });
  }

  /** Only the last plaintext is compared with an id: a wrong base cannot give the right one. */
  async #decode(place: BlobPlace): Promise<Uint8Array> {
    const { pack, rawOffset, rawSize, base } = place;
    if (base === undefined) {
      const frame = await this.#readFrame(place);
      return frame.subarray(rawOffset, rawOffset + rawSize);
    }
    const key = `${frameKey(place)}:${rawOffset}`;
    const cached = this.#cache.get(key);
    if (cached !== undefined) return cached;
    const dictionary = await this.#decode(base);
    const content = await this.#readFrame(place);
    const { encodedOffset, encodedSize } = place;
    const encoded = content.subarray(encodedOffset, encodedOffset + encodedSize);
    const object = { kind: 'pack', which: packStorageName(pack) };
    const plaintext = decodeStored(object, () =>
      this.#core.codec.decompress(encoded, rawSize, dictionary),
    );
    this.#cache.set(key, plaintext, plaintext.length);
    return plaintext;
  }

  async #readFrame(place: BlobPlace): Promise<Uint8Array> {
    const { pack, frame } = place;
    const key = frameKey(place);
    const cached = this.#cache.get(key);
    if (cached !== undefined) return cached;
    const content = await this.#source.read(pack, frame);
    const object = { kind: 'pack', which: packStorageName(pack) };
    const decoded =
      frame.kind === FRAME_KIND.delta
        ? content
        : decodeStored(object, () => decodeWholeFrame(this.#core.codec, frame, content));
    this.#cache.set(key, decoded, decoded.length);
    return decoded;
  }
}

function frameKey({ pack, frame }: BlobPlace): string {
  return `${pack.name}:${frame.offset}`;
}
