/**
 * Trying to keep a chunk as its difference from another. What is accepted has been decoded again and
 * compared with the chunk, byte by byte; until its pack is written it is known by its digest, so that
 * bases are not read twice (docs/repository-format.md section 8).
 */
import { BLOB_TYPE } from '../blob/blob-type.ts';
import type { BlobRecord } from '../frame/frame-builder.ts';
import type { BlobId } from '../id.ts';
import type { Acceptance } from '../similarity/acceptance.ts';
import { Malformed } from '../util/byte-reader.ts';
import { equalBytes } from '../util/bytes.ts';
import type { WorkerCore } from './repository.ts';

const levelMin = 3;
const levelMax = 9;
/** A delta is compressed a little harder than whole blobs: there is so little of it. */
const levelAbove = 3;

/** What came of looking for bases. */
export interface DeltaCounts {
  /** Chunks kept as deltas, bytes of their plaintexts, and of what is kept of them. */
  readonly blobs: number;
  readonly rawSize: number;
  readonly encodedSize: number;
  /** Bases that could not be read, and deltas that did not decode: both point to damage. */
  readonly unreadBases: number;
  readonly wrongDeltas: number;
}

export interface Base {
  readonly id: BlobId;
  /** Of the copy that was read: 0 for a whole one. */
  readonly depth: number;
  readonly plaintext: Uint8Array;
}

export interface NewDelta {
  readonly delta: NonNullable<BlobRecord['delta']>;
  /** A view of the codec's memory, valid until its next use. */
  readonly encoded: Uint8Array;
}

export class DeltaEncoder {
  readonly #core: WorkerCore;
  readonly #level: number;
  #decoded = new Uint8Array(0);
  /** Deltas that did not decode to the chunk: a fault of this machine or of zstd. */
  wrongCount = 0;

  constructor(core: WorkerCore) {
    this.#core = core;
    const level = core.config.compressionLevel + levelAbove;
    this.#level = Math.min(levelMax, Math.max(levelMin, level));
  }

  /** The chunk as a delta against the base, if that is small enough. */
  encode(plaintext: Uint8Array, base: Base, acceptance: Acceptance): NewDelta | undefined {
    const { codec, identify } = this.#core;
    const encoded = codec.compress(plaintext, this.#level, base.plaintext);
    const encodedSize = encoded.length;
    if (!acceptance.accepts(encodedSize, plaintext.length)) return undefined;
    if (!this.#decodesTo(plaintext, encoded, base.plaintext)) {
      this.wrongCount += 1;
      return undefined;
    }
    const digest = identify(BLOB_TYPE.data, encoded);
    const delta = { encodedSize, base: base.id, depth: base.depth + 1, digest };
    return { delta, encoded };
  }

  #decodesTo(plaintext: Uint8Array, encoded: Uint8Array, base: Uint8Array): boolean {
    const { length } = plaintext;
    if (this.#decoded.length < length) this.#decoded = new Uint8Array(length);
    const decoded = this.#decoded.subarray(0, length);
    try {
      return equalBytes(this.#core.codec.decompressInto(decoded, encoded, base), plaintext);
    } catch (error) {
      if (error instanceof Malformed) return false;
      throw error;
    }
  }
}
