/**
 * Plaintexts of bases by their place in a plan. Needs no index, so that a worker can do it. Frames
 * and the plaintexts of deltas are kept, each in memory of a fixed size, because neighbouring deltas
 * have neighbouring bases: so a base frame is read and decoded once for all of them.
 *
 * That memory is used over again, so one base is read after the other.
 *
 * A base that is a delta itself is compared with its id, so that whoever verifies deltas need not
 * decode it again. A whole one is not: what is decoded with a wrong one has another id.
 */
import type { BlobType } from '../blob/blob-type.ts';
import { decodeWholeFrame } from '../frame/frame-codec.ts';
import { FRAME_KIND } from '../frame/frame-record.ts';
import { packStorageName } from '../pack/pack-record.ts';
import { demand } from '../util/byte-reader.ts';
import { equalBytes } from '../util/bytes.ts';
import { release } from '../util/release.ts';
import { RingCache, type RingValue } from '../util/ring-cache.ts';
import { type BaseFrame, type BasePlace, type BasePlan, basePlace, frameKey } from './base-plan.ts';
import { FrameSource } from './pack-access.ts';
import type { WorkerCore } from './repository.ts';
import { decodeStored } from './stored-records.ts';

/** Sealed windows, decoded frames and plaintexts of deltas kept, in bytes. */
const windowsSize = 2 ** 22;
const framesSize = 2 ** 23;
const plaintextsSize = 2 ** 21;

export interface ReadOptions {
  /** Of the base and all below it. */
  readonly type: BlobType;
  readonly signal: AbortSignal | undefined;
  /** Told of every row whose delta was decoded and has its id. */
  readonly onVerified: (row: number) => void;
}

export class BaseReader {
  readonly #core: WorkerCore;
  readonly #source: FrameSource;
  readonly #frames = new RingCache<string, RingValue>(framesSize);
  readonly #plaintexts = new RingCache<string, RingValue>(plaintextsSize);
  #decoded = new Uint8Array(0);

  constructor(core: WorkerCore) {
    this.#core = core;
    this.#source = new FrameSource(core, {
      windows: new RingCache(windowsSize),
      isScattered: true,
    });
  }

  /**
   * The plaintext of a base, a view that must not be changed and is valid until the next call, which
   * is not to be made before this one has ended.
   * @throws CorruptionError, NotFoundError, StorageError
   */
  async read(plan: BasePlan, row: number, options: ReadOptions): Promise<Uint8Array> {
    const place = basePlace(plan, row);
    const { rawOffset, rawSize } = place;
    const held = plan.frames[place.frame] as BaseFrame;
    if (place.base < 0) {
      const frame = await this.#readFrame(held, options.signal);
      return frame.subarray(rawOffset, rawOffset + rawSize);
    }
    const key = `${frameKey(held)}:${place.encodedOffset}`;
    const known = this.#plaintexts.get(key);
    if (known !== undefined) return known.bytes;
    const frame = await this.#readFrame(held, options.signal);
    // Its frame may be gone when the base has been read.
    const encoded = encodedIn(frame, place).slice();
    const base = await this.read(plan, place.base, options);
    if (this.#decoded.length < rawSize) this.#decoded = new Uint8Array(rawSize);
    const into = this.#decoded.subarray(0, rawSize);
    const decoded = this.#decode(held, () => {
      this.#core.codec.decompressInto(into, encoded, base);
      const id = plan.ids.subarray(row * 32, row * 32 + 32);
      demand(equalBytes(this.#core.identify(options.type, into), id), 'delta of another id');
      return into;
    });
    options.onVerified(row);
    // Not sooner: the base may lie in the place that this takes.
    const plaintext = this.#plaintexts.take(rawSize);
    plaintext.set(decoded);
    this.#plaintexts.set(key, { bytes: plaintext });
    return plaintext;
  }

  /** Plaintexts of a whole frame, or the still encoded deltas of a delta frame. */
  async #readFrame(held: BaseFrame, signal: AbortSignal | undefined): Promise<Uint8Array> {
    const key = frameKey(held);
    const known = this.#frames.get(key);
    if (known !== undefined) return known.bytes;
    const { pack, frame } = held;
    const content = await this.#source.read(pack, frame, { signal });
    const isWhole = frame.kind !== FRAME_KIND.delta;
    const bytes = this.#frames.take(isWhole ? frame.rawSize : content.length);
    const decoded = isWhole
      ? this.#decode(held, () => decodeWholeFrame(this.#core.codec, frame, content, bytes))
      : content;
    if (decoded !== bytes) bytes.set(decoded);
    release(content);
    this.#frames.set(key, { bytes });
    return bytes;
  }

  #decode({ pack }: BaseFrame, decode: () => Uint8Array): Uint8Array {
    return decodeStored({ kind: 'pack', which: packStorageName(pack) }, decode);
  }
}

function encodedIn(frame: Uint8Array, { encodedOffset, encodedSize }: BasePlace): Uint8Array {
  return frame.subarray(encodedOffset, encodedOffset + encodedSize);
}
