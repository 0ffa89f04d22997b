/**
 * The blobs of a pack by slot, as flat tables over the body of its directory, which was parsed before.
 * A parsed directory has an object for each blob: that takes ten times the time to make and five times
 * the memory to keep. Here an object is made only for the blob that is asked for.
 */
import { FRAME_KIND } from '../frame/frame-record.ts';
import type { BlobId } from '../id.ts';
import { ByteReader } from '../util/byte-reader.ts';
import { type BlobEntry, type FrameEntry, readBlob, scanBlobs } from './directory.ts';

/** Of one blob: where its record is, its frame, and its two offsets in it. */
const wordsPerBlob = 4;
/** An id, with which the record begins. */
const idSize = 32;
const typeOffset = 36;

export class BlobTable {
  /** In file order; the last one is the pad frame. */
  readonly frames: readonly FrameEntry[];
  readonly #reader: ByteReader;
  readonly #words: Uint32Array;

  constructor(body: Uint8Array, frames: readonly FrameEntry[]) {
    this.frames = frames;
    this.#reader = new ByteReader(body);
    this.#words = readPlaces(body, frames);
  }

  get count(): number {
    return this.#words.length / wordsPerBlob;
  }

  /** Bytes of memory, about. */
  get size(): number {
    return this.#reader.bytes.length + this.#words.byteLength + 200 * this.frames.length;
  }

  /** Whether the blob in that slot is the one with this id. */
  isAt(slot: number, id: BlobId): boolean {
    const offset = this.#words[slot * wordsPerBlob];
    if (offset === undefined) return false;
    const { bytes } = this.#reader;
    for (let i = 0; i < id.length; i++) if (bytes[offset + i] !== id[i]) return false;
    return true;
  }

  /** Bytes of its plaintext. */
  rawSizeAt(slot: number): number {
    this.#reader.offset = (this.#words[slot * wordsPerBlob] as number) + idSize;
    return this.#reader.u32();
  }

  /** Type of the blob, as its record has it. */
  typeAt(slot: number): number {
    const { bytes } = this.#reader;
    return bytes[(this.#words[slot * wordsPerBlob] as number) + typeOffset] as number;
  }

  /** Whether the blob is stored as it is, and not as a delta. */
  isWholeAt(slot: number): boolean {
    const frame = this.#words[slot * wordsPerBlob + 1] as number;
    return this.frames[frame]?.kind !== FRAME_KIND.delta;
  }

  at(slot: number): BlobEntry | undefined {
    const start = slot * wordsPerBlob;
    const recordOffset = this.#words[start];
    if (recordOffset === undefined) return undefined;
    const frame = this.#words[start + 1] as number;
    const rawOffset = this.#words[start + 2] as number;
    const encodedOffset = this.#words[start + 3] as number;
    this.#reader.offset = recordOffset;
    return readBlob(this.#reader, { frame, rawOffset, encodedOffset });
  }
}

function readPlaces(body: Uint8Array, frames: readonly FrameEntry[]): Uint32Array {
  let count = 0;
  for (const { blobCount } of frames) count += blobCount;
  const words = new Uint32Array(wordsPerBlob * count);
  let [next, frame, left] = [0, -1, 0];
  let [rawOffset, encodedOffset] = [0, 0];
  scanBlobs(body, (recordOffset, _depth, rawSize, encodedSize) => {
    while (left === 0) {
      frame += 1;
      left = frames[frame]?.blobCount ?? Number.POSITIVE_INFINITY;
      rawOffset = 0;
      encodedOffset = 0;
    }
    words[next] = recordOffset;
    words[next + 1] = frame;
    words[next + 2] = rawOffset;
    words[next + 3] = encodedOffset;
    next += wordsPerBlob;
    left -= 1;
    rawOffset += rawSize;
    encodedOffset += encodedSize;
  });
  return words;
}
