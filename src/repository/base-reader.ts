/**
 * Plaintexts of bases by their place in a plan. Needs no index, so that a worker can do it. Frames
 * and the plaintexts of deltas are kept, each within its bytes, because neighbouring deltas have
 * neighbouring bases: so a base frame is read and decoded once for all of them.
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
import { WeightedCache } from '../util/weighted-cache.ts';
import { type BaseFrame, type BasePlace, type BasePlan, basePlace, frameKey } from './base-plan.ts';
import { FrameSource } from './pack-access.ts';
import type { WorkerCore } from './repository.ts';
import { decodeStored } from './stored-records.ts';

/** Sealed windows, decoded frames and plaintexts of deltas kept, in bytes. */
const windowsSizeMax = 2 ** 23;
const framesSizeMax = 2 ** 24;
const plaintextsSizeMax = 2 ** 22;

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
  readonly #frames = new WeightedCache<string, Uint8Array>(framesSizeMax);
  readonly #plaintexts = new WeightedCache<string, Uint8Array>(plaintextsSizeMax);

  constructor(core: WorkerCore) {
    this.#core = core;
    this.#source = new FrameSource(core, windowsSizeMax);
  }

  /**
   * The plaintext of a base, a view that must not be changed.
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
    if (known !== undefined) return known;
    const base = await this.read(plan, place.base, options);
    const encoded = encodedIn(await this.#readFrame(held, options.signal), place);
    const plaintext = this.#decode(held, () => {
      const decoded = this.#core.codec.decompress(encoded, rawSize, base);
      const id = plan.ids.subarray(row * 32, row * 32 + 32);
      demand(equalBytes(this.#core.identify(options.type, decoded), id), 'delta of another id');
      return decoded;
    });
    options.onVerified(row);
    this.#plaintexts.set(key, plaintext, rawSize);
    return plaintext;
  }

  /** Plaintexts of a whole frame, or the still encoded deltas of a delta frame. */
  async #readFrame(held: BaseFrame, signal: AbortSignal | undefined): Promise<Uint8Array> {
    const key = frameKey(held);
    const known = this.#frames.get(key);
    if (known !== undefined) return known;
    const { pack, frame } = held;
    const content = await this.#source.read(pack, frame, { signal });
    const decoded =
      frame.kind === FRAME_KIND.delta
        ? content
        : this.#decode(held, () => decodeWholeFrame(this.#core.codec, frame, content));
    this.#frames.set(key, decoded, decoded.length);
    return decoded;
  }

  #decode({ pack }: BaseFrame, decode: () => Uint8Array): Uint8Array {
    return decodeStored({ kind: 'pack', which: packStorageName(pack) }, decode);
  }
}

function encodedIn(frame: Uint8Array, { encodedOffset, encodedSize }: BasePlace): Uint8Array {
  return frame.subarray(encodedOffset, encodedOffset + encodedSize);
}
