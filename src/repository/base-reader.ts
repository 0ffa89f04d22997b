/**
 * Plaintexts of bases by their place in a plan. Needs no index, so that a worker can do it. Frames
 * and the plaintexts of deltas are kept, each in memory of a fixed size, because neighbouring deltas
 * have neighbouring bases: so a base frame is read and decoded once for all of them.
 *
 * The plan says where the whole chain of a base lies before anything is read. So all frames of the
 * chain are read at once, and with them those of the bases that will be asked for next, as far as
 * memory goes.
 *
 * That memory is used over again, so one base is read after the other.
 *
 * What comes is not compared with its id: what is decoded with a wrong base has another id, and whoever
 * asked compares what he makes of it, or the base itself if that is what he wants. A base that is a delta
 * is compared for those who verify deltas, so that they need not decode it again.
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
import { FrameRound, type PackWindow } from './frame-round.ts';
import { openSealed, rangeOnGrid } from './pack-access.ts';
import type { WorkerCore } from './repository.ts';
import { decodeStored } from './stored-records.ts';

/** Sealed windows, decoded frames and plaintexts of deltas kept, in bytes. */
const windowsSize = 2 ** 23;
const framesSize = 2 ** 22;
const plaintextsSize = 2 ** 21;
/** Bytes read at once. The windows of the round before stay as far as there is room for them. */
const roundSize = 2 ** 22;

/** Rows of a plan in the order in which they will be read; those before `next` are over. */
interface Expected {
  readonly rows: readonly number[];
  next: number;
}

export interface ReadOptions {
  /** Of the base and all below it. */
  readonly type: BlobType;
  readonly signal: AbortSignal | undefined;
  /** Told of every row whose delta was decoded and has its id; undefined where no id is compared. */
  readonly onVerified: ((row: number) => void) | undefined;
}

export class BaseReader {
  readonly #core: WorkerCore;
  readonly #windows = new RingCache<string, PackWindow>(windowsSize);
  readonly #frames = new RingCache<string, RingValue>(framesSize);
  readonly #plaintexts = new RingCache<string, RingValue>(plaintextsSize);
  #decoded = new Uint8Array(0);
  readonly #expected = new WeakMap<BasePlan, Expected>();

  constructor(core: WorkerCore) {
    this.#core = core;
  }

  /** Which rows of a plan will be read next, about in that order; any of them may be left out. */
  expect(plan: BasePlan, rows: readonly number[]): void {
    this.#expected.set(plan, { rows, next: 0 });
  }

  /**
   * The plaintext of a base, a view that must not be changed and is valid until the next call, which
   * is not to be made before this one has ended.
   * @throws CorruptionError, NotFoundError, StorageError
   */
  async read(plan: BasePlan, row: number, options: ReadOptions): Promise<Uint8Array> {
    const next = this.#pass(plan, row);
    if (this.#missingFrames(plan, row).length > 0) {
      await this.#readRound(plan, { row, next }, options.signal);
      // What came may have taken the place of what was there.
      if (this.#missingFrames(plan, row).length > 0) {
        await this.#readRound(plan, { row, next: [] }, options.signal);
      }
    }
    return await this.#decodeRow(plan, row, options);
  }

  /** Goes on to what is expected after this row, and gives it. */
  #pass(plan: BasePlan, row: number): Iterable<number> {
    const expected = this.#expected.get(plan);
    if (expected === undefined) return [];
    const { rows } = expected;
    const at = rows.indexOf(row, expected.next);
    if (at >= 0) expected.next = at + 1;
    return rowsFrom(rows, expected.next);
  }

  /** Frames that the row and the chain below it lie in, as far as they are not at hand. */
  #missingFrames(plan: BasePlan, row: number): BaseFrame[] {
    const missing: BaseFrame[] = [];
    for (let next = row; next >= 0; ) {
      const place = basePlace(plan, next);
      const held = plan.frames[place.frame] as BaseFrame;
      const key = frameKey(held);
      if (place.base >= 0 && this.#plaintexts.get(plaintextKey(key, place)) !== undefined) break;
      if (this.#frames.get(key) === undefined && this.#sealedOf(held) === undefined) {
        missing.push(held);
      }
      next = place.base;
    }
    return missing;
  }

  /**
   * Reads what is missing of the row's chain, and of those of the next rows while there is room. What
   * cannot be read is read by itself when its turn comes, and its failure told then.
   */
  async #readRound(
    plan: BasePlan,
    { row, next }: { row: number; next: Iterable<number> },
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const round = new FrameRound(roundSize);
    const add = (wanted: number): boolean =>
      this.#missingFrames(plan, wanted).every((held) => round.add(held));
    let hasRoom = add(row);
    for (const wanted of next) {
      if (!hasRoom) break;
      hasRoom = add(wanted);
    }
    const memory = this.#windows.take(round.size);
    for (const window of await round.read(this.#core, { memory, signal })) {
      this.#windows.set(`${window.pack}:${window.offset}`, window);
    }
  }

  async #decodeRow(plan: BasePlan, row: number, options: ReadOptions): Promise<Uint8Array> {
    const place = basePlace(plan, row);
    const { rawOffset, rawSize } = place;
    const held = plan.frames[place.frame] as BaseFrame;
    if (place.base < 0) {
      const frame = await this.#frameOf(held, options.signal);
      return frame.subarray(rawOffset, rawOffset + rawSize);
    }
    const key = plaintextKey(frameKey(held), place);
    const known = this.#plaintexts.get(key);
    if (known !== undefined) return known.bytes;
    const frame = await this.#frameOf(held, options.signal);
    // Its frame may be gone when the base has been read.
    const encoded = encodedIn(frame, place).slice();
    const base = await this.#decodeRow(plan, place.base, options);
    if (this.#decoded.length < rawSize) this.#decoded = new Uint8Array(rawSize);
    const into = this.#decoded.subarray(0, rawSize);
    const decoded = decodeHeld(held, () => {
      this.#core.codec.decompressInto(into, encoded, base);
      if (options.onVerified === undefined) return into;
      const id = plan.ids.subarray(row * 32, row * 32 + 32);
      demand(equalBytes(this.#core.identify(options.type, into), id), 'delta of another id');
      options.onVerified(row);
      return into;
    });
    // Not sooner: the base may lie in the place that this takes.
    const plaintext = this.#plaintexts.take(rawSize);
    plaintext.set(decoded);
    this.#plaintexts.set(key, { bytes: plaintext });
    return plaintext;
  }

  /** Plaintexts of a whole frame, or the still encoded deltas of a delta frame. */
  async #frameOf(held: BaseFrame, signal: AbortSignal | undefined): Promise<Uint8Array> {
    const known = this.#frames.get(frameKey(held));
    if (known !== undefined) return known.bytes;
    const { pack, frame } = held;
    const sealed = this.#sealedOf(held) ?? (await readSealed(this.#core, held, signal));
    const content = openSealed(this.#core.keys, pack, { frame, sealed });
    const isWhole = frame.kind !== FRAME_KIND.delta;
    const bytes = this.#frames.take(isWhole ? frame.rawSize : content.length);
    const decoded = isWhole
      ? decodeHeld(held, () => decodeWholeFrame(this.#core.codec, frame, content, bytes))
      : content;
    if (decoded !== bytes) bytes.set(decoded);
    release(content);
    this.#frames.set(frameKey(held), { bytes });
    return bytes;
  }

  /** A view of it in one of the windows. */
  #sealedOf({ pack, frame }: BaseFrame): Uint8Array | undefined {
    for (const window of this.#windows.values()) {
      const start = frame.offset - window.offset;
      const end = start + frame.storedSize;
      if (window.pack !== pack.name || start < 0 || end > window.bytes.length) continue;
      return window.bytes.subarray(start, end);
    }
    return undefined;
  }
}

function* rowsFrom(rows: readonly number[], first: number): Generator<number, void, undefined> {
  for (let i = first; i < rows.length; i++) yield rows[i] as number;
}

async function readSealed(
  { storage }: WorkerCore,
  { pack, frame }: BaseFrame,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const end = frame.offset + frame.storedSize;
  const range = rangeOnGrid(pack.length, frame.offset, end);
  const bytes = await storage.getRange(packStorageName(pack), range, { signal });
  return bytes.subarray(frame.offset - range.offset, end - range.offset);
}

function decodeHeld({ pack }: BaseFrame, decode: () => Uint8Array): Uint8Array {
  return decodeStored({ kind: 'pack', which: packStorageName(pack) }, decode);
}

function encodedIn(frame: Uint8Array, { encodedOffset, encodedSize }: BasePlace): Uint8Array {
  return frame.subarray(encodedOffset, encodedOffset + encodedSize);
}

function plaintextKey(frame: string, { encodedOffset }: BasePlace): string {
  return `${frame}:${encodedOffset}`;
}
