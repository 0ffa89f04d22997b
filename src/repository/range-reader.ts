/**
 * Frames of one pack that one request brings, for whoever knows beforehand which blobs are wanted:
 * each frame is opened and decompressed once, into memory that is used again for the next one, and
 * each blob is compared with its id before it is used. Deltas take other packs, and with them a plan
 * where their bases lie. Needs no index, so that a worker can do it.
 */
import { BLOB_TYPE } from '../blob/blob-type.ts';
import { VarveError } from '../errors.ts';
import { decodeWholeFrame, openFrame } from '../frame/frame-codec.ts';
import { FRAME_KIND } from '../frame/frame-record.ts';
import type { FrameEntry } from '../pack/directory.ts';
import { packKeysOf } from '../pack/pack-reader.ts';
import { type PackRecord, packStorageName } from '../pack/pack-record.ts';
import type { ByteRange } from '../storage/storage.ts';
import { equalBytes } from '../util/bytes.ts';
import { release } from '../util/release.ts';
import type { BasePlan } from './base-plan.ts';
import { BaseReader } from './base-reader.ts';
import { rangeOnGrid } from './pack-access.ts';
import type { WorkerCore } from './repository.ts';
import { decodeStored } from './stored-records.ts';

export type { FrameEntry } from '../pack/directory.ts';

/** What must be known of a pack to open its frames. */
export type PackHead = Omit<PackRecord, 'body'>;

export function isDeltaFrame({ kind }: FrameEntry): boolean {
  return kind === FRAME_KIND.delta;
}

/** Opened frames of a range, in any order. */
export interface OpenRange {
  /**
   * The plaintexts of a whole frame: a view that is valid until the next call, of whatever range.
   * @throws CorruptionError
   */
  decode(frame: FrameEntry): Uint8Array;
  /** The content of a delta frame, as it lies there, in new memory. @throws CorruptionError */
  open(frame: FrameEntry): Uint8Array;
  /** Gives the memory of the range back, which is of no use then. */
  close(): void;
}

/** A delta to decode, within its frame. */
export interface DeltaPiece {
  readonly rawOffset: number;
  readonly rawSize: number;
  readonly encodedOffset: number;
  readonly encodedSize: number;
  /** Row of its base in the plan. */
  readonly base: number;
}

const baseOptions = { type: BLOB_TYPE.data, signal: undefined, onVerified: undefined };

export class RangeReader {
  readonly #core: WorkerCore;
  readonly #bases: BaseReader;
  #decoded = new Uint8Array(0);
  /** Those of one frame after those of another, whoever asks for them: bases share memory. */
  #lastDeltas: Promise<void> = Promise.resolve();

  constructor(core: WorkerCore) {
    this.#core = core;
    this.#bases = new BaseReader(core);
  }

  /**
   * Fetches the bytes from `start` to `end` of a pack.
   * @throws CorruptionError, NotFoundError, StorageError
   */
  async open(pack: PackHead, { start, end }: { start: number; end: number }): Promise<OpenRange> {
    const name = packStorageName(pack);
    const range: ByteRange = rangeOnGrid(pack.length, start, end);
    const bytes = await this.#core.storage.getRange(name, range);
    const object = { kind: 'pack', which: name };
    const keys = decodeStored(object, () => packKeysOf(this.#core.keys, pack));
    const open = (frame: FrameEntry): Uint8Array => {
      const offset = frame.offset - range.offset;
      const sealed = bytes.subarray(offset, offset + frame.storedSize);
      const place = { record: frame, offset: frame.offset };
      return openFrame(keys.frame(frame.class), place, sealed);
    };
    return {
      decode: (frame) => decodeStored(object, () => this.#decode(frame, open(frame))),
      open: (frame) => decodeStored(object, () => open(frame)),
      close: () => release(bytes),
    };
  }

  /** Which deltas will be decoded by a plan, in this order. */
  expectDeltas(plan: BasePlan, pieces: readonly DeltaPiece[]): void {
    const rows = pieces.map(({ base }) => base);
    this.#bases.expect(plan, rows);
  }

  /**
   * Decodes deltas of a frame to where they belong among its plaintexts. The place of one that cannot
   * be decoded is left as it is, or holds anything.
   * @param content of the frame, opened
   */
  decodeDeltas(
    content: Uint8Array,
    pieces: readonly DeltaPiece[],
    target: { plan: BasePlan; into: Uint8Array },
  ): Promise<void> {
    const decodeAll = async (): Promise<void> => {
      for (const piece of pieces) {
        try {
          await this.#decodeDelta(content, piece, target);
        } catch (error) {
          if (!(error instanceof VarveError)) throw error;
        }
      }
    };
    const decoded = this.#lastDeltas.then(decodeAll);
    this.#lastDeltas = decoded.catch(() => {});
    return decoded;
  }

  async #decodeDelta(
    content: Uint8Array,
    piece: DeltaPiece,
    { plan, into }: { plan: BasePlan; into: Uint8Array },
  ): Promise<void> {
    const { rawOffset, rawSize, encodedOffset, encodedSize, base: row } = piece;
    const base = await this.#bases.read(plan, row, baseOptions);
    const encoded = content.subarray(encodedOffset, encodedOffset + encodedSize);
    const plaintext = into.subarray(rawOffset, rawOffset + rawSize);
    decodeStored({ kind: 'delta', which: `of ${encodedSize} bytes` }, () =>
      this.#core.codec.decompressInto(plaintext, encoded, base),
    );
  }

  /** Whether this is the data chunk of that id. */
  isChunk(plaintext: Uint8Array, id: Uint8Array): boolean {
    return equalBytes(this.#core.identify(BLOB_TYPE.data, plaintext), id);
  }

  #decode(frame: FrameEntry, content: Uint8Array): Uint8Array {
    if (this.#decoded.length < frame.rawSize) this.#decoded = new Uint8Array(frame.rawSize);
    const into = this.#decoded.subarray(0, frame.rawSize);
    const decoded = decodeWholeFrame(this.#core.codec, frame, content, into);
    if (decoded !== content) release(content);
    return decoded;
  }
}
