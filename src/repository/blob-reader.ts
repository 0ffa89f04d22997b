/**
 * From a blob id to its verified plaintext. The index only hints: the full id is compared with the
 * pack's directory, and whatever the bytes decode to must hash to the id that was asked for. Of
 * several copies the first that verifies is good; a failed one is reported, never hidden.
 *
 * Deltas are resolved through their bases, at most 32 deep; an id that is being decoded already is a
 * circle and fails that copy alone.
 */
import type { BlobIdentifier } from '../blob/blob-ids.ts';
import { BLOB_TYPE_NAMES, type BlobType } from '../blob/blob-type.ts';
import { CorruptionError, NotFoundError, VarveError } from '../errors.ts';
import { decodeWholeFrame } from '../frame/frame-codec.ts';
import { FRAME_KIND } from '../frame/frame-record.ts';
import { type BlobId, blobKey } from '../id.ts';
import type { LocalIndex } from '../index/local-index.ts';
import { type Location, locate } from '../index/presence.ts';
import { type BlobEntry, DELTA_DEPTH_MAX } from '../pack/directory.ts';
import { encodedDelta } from '../pack/pack-reader.ts';
import { packStorageName } from '../pack/pack-record.ts';
import { demand } from '../util/byte-reader.ts';
import { equalBytes, toHex } from '../util/bytes.ts';
import { release } from '../util/release.ts';
import { WeightedCache } from '../util/weighted-cache.ts';
import { ZstdCodec } from '../util/zstd.ts';
import { FrameSource } from './pack-access.ts';
import type { Repository } from './repository.ts';
import { decodeStored } from './stored-records.ts';

/** Decoded frames kept, in bytes; neighbours of a blob are usually wanted next. */
const frameCacheSizeDefault = 2 ** 25;
/** Copies tried for one blob that was asked for, bases included: bounds a hostile delta graph. */
const COPIES_TRIED_MAX = 1024;

/** Told of every copy that could not be used though another one may have been. */
export type OnBadCopy = (id: BlobId, pack: string, error: VarveError) => void;

export interface BlobReaderOptions {
  onBadCopy?: OnBadCopy | undefined;
  /** Bytes of decoded frames to keep; default: 32 MiB. */
  frameCacheSize?: number | undefined;
}

/** The error of a blob whose content has another id. */
export function otherContent({ id, type }: BlobEntry): CorruptionError {
  const object = { kind: BLOB_TYPE_NAMES[type], which: toHex(id) };
  return new CorruptionError({ ...object, found: 'content with another id', expected: 'its own' });
}

/** A copy of a blob in a pack. */
export type FoundCopy = Pick<Location, 'pack' | 'frame' | 'blob'>;

interface Attempt {
  /** Ids being decoded, from the one asked for down to this base. */
  busy: Set<string>;
  copiesLeft: number;
  signal: AbortSignal | undefined;
}

export class BlobReader {
  readonly #index: LocalIndex;
  readonly #identify: BlobIdentifier;
  readonly #codec = new ZstdCodec();
  readonly #source: FrameSource;
  readonly #frames: WeightedCache<string, Uint8Array>;
  readonly #onBadCopy: OnBadCopy;

  constructor(
    repository: Repository,
    index: LocalIndex,
    { onBadCopy = () => {}, frameCacheSize = frameCacheSizeDefault }: BlobReaderOptions = {},
  ) {
    this.#index = index;
    this.#frames = new WeightedCache(frameCacheSize);
    this.#identify = repository.identify;
    this.#source = new FrameSource(repository);
    this.#onBadCopy = onBadCopy;
  }

  /**
   * The plaintext of a blob, a view that must not be changed.
   * @throws NotFoundError when no copy is known, CorruptionError when none verifies, StorageError.
   */
  async read(
    id: BlobId,
    type: BlobType,
    options: { signal?: AbortSignal | undefined } = {},
  ): Promise<Uint8Array> {
    const attempt = { busy: new Set<string>(), copiesLeft: COPIES_TRIED_MAX, ...options };
    return await this.#resolve(id, type, { signal: undefined, ...attempt });
  }

  async #resolve(id: BlobId, type: BlobType, attempt: Attempt): Promise<Uint8Array> {
    const kind = BLOB_TYPE_NAMES[type];
    let failure: VarveError | undefined;
    for (const location of locate(this.#index, id)) {
      attempt.copiesLeft -= 1;
      if (attempt.copiesLeft < 0) break;
      try {
        return await this.#readCopy(id, type, { location, attempt });
      } catch (error) {
        if (!(error instanceof VarveError)) throw error;
        failure = error;
        this.#onBadCopy(id, packStorageName(location.pack), error);
      }
    }
    throw failure ?? new NotFoundError(kind, toHex(id));
  }

  async #readCopy(
    id: BlobId,
    type: BlobType,
    { location, attempt }: { location: Location; attempt: Attempt },
  ): Promise<Uint8Array> {
    const { blob } = location;
    const object = { kind: BLOB_TYPE_NAMES[type], which: toHex(id) };
    decodeStored(object, () => demand(blob.type === type, `blob of type ${blob.type}`));
    const frame = await this.#readFrame(location, attempt.signal);
    return await this.#decodeCopy(blob, frame, attempt);
  }

  /**
   * Reads one copy, whatever others there are, and checks its id. Of a base any copy will do.
   * @throws CorruptionError, NotFoundError, StorageError
   */
  async verifyCopy(copy: FoundCopy, signal: AbortSignal | undefined): Promise<void> {
    const attempt = { busy: new Set<string>(), copiesLeft: COPIES_TRIED_MAX, signal };
    await this.#decodeCopy(copy.blob, await this.#readFrame(copy, signal), attempt);
  }

  /** @param frame decoded plaintexts, or the encoded deltas of a delta frame. */
  async #decodeCopy(blob: BlobEntry, frame: Uint8Array, attempt: Attempt): Promise<Uint8Array> {
    const { id, type, delta } = blob;
    const object = { kind: BLOB_TYPE_NAMES[type], which: toHex(id) };
    const base = delta === undefined ? undefined : await this.#readBase(blob, attempt);
    const plaintext = decodeStored(object, () =>
      base === undefined
        ? frame.subarray(blob.rawOffset, blob.rawOffset + blob.rawSize)
        : this.#codec.decompress(encodedDelta(blob, frame), blob.rawSize, base),
    );
    if (equalBytes(this.#identify(type, plaintext), id)) return plaintext;
    throw otherContent(blob);
  }

  async #readBase(blob: BlobEntry, attempt: Attempt): Promise<Uint8Array> {
    const { id } = blob;
    const object = { kind: 'delta chain', which: toHex(id) };
    const base = blob.delta?.base as BlobId;
    const key = blobKey(id);
    decodeStored(object, () => {
      demand(attempt.busy.size < DELTA_DEPTH_MAX, 'delta chain too long');
      demand(blobKey(base) !== key && !attempt.busy.has(blobKey(base)), 'delta circle');
    });
    attempt.busy.add(key);
    try {
      return await this.#resolve(base, blob.type, attempt);
    } catch (error) {
      const isNamed = error instanceof CorruptionError && error.kind === object.kind;
      const isToName = error instanceof NotFoundError || error instanceof CorruptionError;
      if (isNamed || !isToName) throw error;
      // The blob that was asked for has a copy, so it is not missing but unreadable.
      const what = error instanceof NotFoundError ? 'missing base' : 'damaged base';
      const found = `${what} ${toHex(base)} (${error.message})`;
      throw new CorruptionError({ ...object, found, expected: 'a base that can be read' }, error);
    } finally {
      attempt.busy.delete(key);
    }
  }

  /** Plaintexts of a whole frame, or the still encoded deltas of a delta frame. */
  async #readFrame(
    { pack, frame }: Pick<Location, 'pack' | 'frame'>,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array> {
    const key = `${pack.name}:${frame.offset}`;
    const cached = this.#frames.get(key);
    if (cached !== undefined) return cached;
    const content = await this.#source.read(pack, frame, { signal });
    const object = { kind: 'pack', which: packStorageName(pack) };
    const decoded =
      frame.kind === FRAME_KIND.delta
        ? content
        : decodeStored(object, () => decodeWholeFrame(this.#codec, frame, content));
    if (decoded !== content) release(content);
    this.#frames.set(key, decoded, decoded.length);
    return decoded;
  }
}
