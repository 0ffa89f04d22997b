/**
 * Gathers new blobs of one class until a frame is full. Whole blobs are compressed together: a frame
 * of 1 MiB saves 20 to 50 % over compressing 64 KiB pieces one by one, and hides their lengths. What
 * compression cannot shorten is kept as it is, and deltas, which are compressed already, lie one after
 * another. Each blob's bytes are copied exactly once: into the frame being filled.
 */
import { BLOB_SIZE_MAX, type BlobType } from '../blob/blob-type.ts';
import type { BlobId } from '../id.ts';
import { TAG_SIZE } from '../keys/aead.ts';
import { assert } from '../util/assert.ts';
import type { ZstdCodec } from '../util/zstd.ts';
import {
  FRAME_KIND,
  FRAME_RAW_SIZE_MAX,
  type FrameClass,
  type FrameKind,
  type FrameRecord,
} from './frame-record.ts';

/** Raw size at which a frame is closed; a reader gets at a blob by decoding about this much. */
const FRAME_RAW_SIZE_TARGET: number = 2 ** 20;

/** A blob as the pack directory will describe it. */
export interface BlobRecord {
  id: BlobId;
  rawSize: number;
  type: BlobType;
  /**
   * Present for a blob kept as its difference from another. The digest is of its encoded bytes when
   * they were found to decode to the blob, and known until the pack is written.
   */
  delta?: { encodedSize: number; base: BlobId; depth: number; digest?: Uint8Array };
  /** Three super-features of 8 bytes each, for blobs that may serve as a base. */
  features?: Uint8Array;
}

/** A frame ready to be sealed into any pack. */
export interface EncodedFrame {
  record: FrameRecord;
  /** What goes under the AEAD: `record.storedSize - 16` bytes. */
  content: Uint8Array;
  blobs: BlobRecord[];
}

/** Told of each frame that is closed, with its plaintexts; gives other memory for the next one. */
export type OnClosed = (raw: Uint8Array, blobs: readonly BlobRecord[]) => Uint8Array;

export class FrameBuilder {
  readonly #class: FrameClass;
  readonly #kind: FrameKind;
  readonly #onClosed: OnClosed | undefined;
  #bytes: Uint8Array = new Uint8Array(FRAME_RAW_SIZE_TARGET);
  #size = 0;
  #rawSize = 0;
  #blobs: BlobRecord[] = [];

  /** @param kind what is done with the blobs; a frame that zstd cannot shorten becomes a stored one */
  constructor(
    frameClass: FrameClass,
    kind:
      | typeof FRAME_KIND.zstd
      | typeof FRAME_KIND.stored
      | typeof FRAME_KIND.delta = FRAME_KIND.zstd,
    onClosed?: OnClosed,
  ) {
    this.#class = frameClass;
    this.#kind = kind;
    this.#onClosed = onClosed;
  }

  get isEmpty(): boolean {
    return this.#blobs.length === 0;
  }

  /** Raw size has reached the target: `finish` it before the next `add`. */
  get isFull(): boolean {
    return this.#rawSize >= FRAME_RAW_SIZE_TARGET;
  }

  /** False when the blob would pass the format's limit of a frame of several blobs. */
  hasRoomFor(rawSize: number): boolean {
    return this.isEmpty || this.#rawSize + rawSize <= FRAME_RAW_SIZE_MAX;
  }

  /** Copies a blob into the frame: its plaintext (1 to 2^24 bytes), or the encoded delta. */
  add(blob: BlobRecord, bytes: Uint8Array): void {
    const { rawSize, delta } = blob;
    assert(rawSize >= 1 && rawSize <= BLOB_SIZE_MAX, 'blob size');
    assert(bytes.length === (delta?.encodedSize ?? rawSize), 'bytes of the blob');
    assert((delta !== undefined) === (this.#kind === FRAME_KIND.delta), 'deltas in delta frames');
    assert(this.hasRoomFor(rawSize) && !this.isFull, 'frame is full');
    const size = this.#size + bytes.length;
    if (size > this.#bytes.length) this.#grow(size);
    this.#bytes.set(bytes, this.#size);
    this.#size = size;
    this.#rawSize += rawSize;
    this.#blobs.push(blob);
  }

  /**
   * Closes the frame and begins the next one. The content is a view into the codec's or this
   * builder's memory, valid until either is used again.
   */
  finish(codec: ZstdCodec, level: number): EncodedFrame {
    const bytes = this.#bytes.subarray(0, this.#size);
    const packed = this.#kind === FRAME_KIND.zstd ? codec.compress(bytes, level) : bytes;
    const isSmaller = packed.length < bytes.length;
    const content = isSmaller ? packed : bytes;
    const kind = isSmaller || this.#kind === FRAME_KIND.delta ? this.#kind : FRAME_KIND.stored;
    const blobs = this.#blobs;
    const record: FrameRecord = {
      storedSize: content.length + TAG_SIZE,
      rawSize: this.#rawSize,
      blobCount: blobs.length,
      kind,
      class: this.#class,
    };
    if (this.#onClosed !== undefined) this.#bytes = this.#onClosed(bytes, blobs);
    this.#blobs = [];
    this.#size = 0;
    this.#rawSize = 0;
    return { record, content, blobs };
  }

  #grow(size: number): void {
    const larger = new Uint8Array(Math.max(size, this.#bytes.length + FRAME_RAW_SIZE_TARGET / 4));
    larger.set(this.#bytes.subarray(0, this.#size));
    this.#bytes = larger;
  }
}
