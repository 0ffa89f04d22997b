/**
 * Builds one pack in memory (docs/repository-format.md section 8):
 *
 *   | header 64 | frame 0 | frame 1 | ... | pad frame | sealed directory D | trailer 96 |
 *
 * Frames are sealed as they come, since their nonce is their offset. The pad frame makes the length
 * of the file a Padmé number. A pack is produced once and never resumed or rewritten, so no nonce
 * is ever used twice under its key.
 */
import { createHash } from 'node:crypto';
import type { EncodedFrame } from '../frame/frame-builder.ts';
import { sealFrame } from '../frame/frame-codec.ts';
import { FRAME_KIND, FRAME_RECORD_SIZE, type FrameRecord } from '../frame/frame-record.ts';
import type { PackName } from '../id.ts';
import { NONCE_DOMAIN, sealAead, TAG_SIZE } from '../keys/aead.ts';
import { KEY_CLASS, type RepositoryKeys } from '../keys/key-hierarchy.ts';
import type { SaltSource } from '../keys/salt-source.ts';
import { encodeHeader, HEADER_SIZE } from '../record/header.ts';
import type { PackKind } from '../record/object-kind.ts';
import { assert } from '../util/assert.ts';
import { concatBytes, encodeU32, encodeU64, toHex } from '../util/bytes.ts';
import { padme } from '../util/padme.ts';
import { release } from '../util/release.ts';
import {
  blobRecordsSize,
  directoryBodySize,
  encodeBlobRecords,
  encodeDirectory,
  FRAME_COUNT_MAX,
} from './directory.ts';
import { derivePackKeys, type PackKeys } from './pack-keys.ts';
import {
  PACK_SIZE_MAX,
  type PackRecord,
  sealedDirectorySize,
  TRAILER_MAGIC,
  TRAILER_SIZE,
} from './pack-record.ts';

/**
 * Blobs of a full pack, a sixteenth of what a directory may list, because directories are read and
 * kept whole. Only blobs of less than 1 KiB come to as many.
 */
export const BLOB_COUNT_TARGET: number = 2 ** 16;

export interface PackBuilderOptions {
  keys: RepositoryKeys;
  kind: PackKind;
  newSalt: SaltSource;
  sessionId: string;
  writerId: string;
  createdMs: number;
  /** Size the file should not pass, bytes; a single larger frame still gets its pack. */
  sizeTarget: number;
}

export interface FinishedPack {
  record: PackRecord;
  /** What `BlobRecord` tells of the digests of deltas, one after another in the order of their slots. */
  deltaDigests: Uint8Array;
  /** The whole file. */
  bytes: Uint8Array;
  /** The memory it lies in, to be released once it is stored. */
  buffer: Uint8Array;
}

export class PackBuilder {
  readonly #options: PackBuilderOptions;
  readonly #frames: FrameRecord[] = [];
  /** Blob records of each frame: bytes, since objects for as many blobs are ten times larger. */
  readonly #blobRecords: Uint8Array[] = [];
  #blobCount = 0;
  readonly #deltaDigests: Uint8Array[] = [];
  #buffer: Uint8Array;
  /** Bytes used: header and frames so far. */
  #size = HEADER_SIZE;
  #bodySize: number;
  #salt: Uint8Array | undefined;
  #packKeys: PackKeys | undefined;

  constructor(options: PackBuilderOptions) {
    assert(options.sizeTarget <= PACK_SIZE_MAX, 'pack size target');
    this.#options = options;
    // Its pages come as they are written to: a small pack takes little of it.
    this.#buffer = new Uint8Array(options.sizeTarget);
    this.#bodySize = directoryBodySize(1, 0);
  }

  get isEmpty(): boolean {
    return this.#frames.length === 0;
  }

  /** Whether the file stays within its target, and the format's limits, with this frame in it. */
  hasRoomFor(frame: EncodedFrame): boolean {
    if (this.isEmpty) return true;
    const bodySize = this.#bodySize + FRAME_RECORD_SIZE + blobRecordsSize(frame.blobs);
    const fixed = TAG_SIZE + sealedDirectorySize(bodySize) + TRAILER_SIZE;
    const length = padme(this.#size + frame.record.storedSize + fixed);
    return (
      length <= this.#options.sizeTarget &&
      this.#frames.length + 2 <= FRAME_COUNT_MAX &&
      this.#blobCount + frame.blobs.length <= BLOB_COUNT_TARGET
    );
  }

  append(frame: EncodedFrame): void {
    if (this.#salt === undefined) this.#salt = this.#options.newSalt(frame.content);
    this.#appendSealed(frame.record, frame.content);
    const records = encodeBlobRecords(frame.blobs);
    this.#blobRecords.push(records);
    this.#blobCount += frame.blobs.length;
    this.#bodySize += FRAME_RECORD_SIZE + records.length;
    const digests = frame.blobs.flatMap(({ delta }) => delta?.digest ?? []);
    if (digests.length > 0) this.#deltaDigests.push(concatBytes(...digests));
  }

  /** Pads, seals the directory and names the pack. The builder is of no use afterwards. */
  finish(): FinishedPack {
    const { keys, kind } = this.#options;
    const salt = this.#salt;
    assert(salt !== undefined && !this.isEmpty, 'pack without frames');
    const directorySize = sealedDirectorySize(this.#bodySize);
    this.#appendPad(directorySize + TRAILER_SIZE);
    const body = encodeDirectory({
      ...this.#options,
      frames: this.#frames,
      blobCount: this.#blobCount,
      blobRecords: this.#blobRecords,
    });
    assert(body.length === this.#bodySize, 'directory size');

    const header = encodeHeader(keys, { kind, generation: keys.current, salt }, '');
    const length = this.#size + directorySize + TRAILER_SIZE;
    const trailerStart = encodeTrailerStart(header, { directorySize, length });
    const plaintext = new Uint8Array(directorySize - TAG_SIZE);
    plaintext.set(body);
    const nonce = { domain: NONCE_DOMAIN.directory, counter: 0 };
    const sealed = sealAead(this.#keys().directory, nonce, { aad: trailerStart, plaintext });

    this.#buffer.set(header, 0);
    this.#write(sealed);
    this.#write(trailerStart);
    this.#write(sha256(trailerStart).subarray(0, 8));
    const bytes = this.#buffer.subarray(0, this.#size);
    assert(bytes.length === length && padme(length) === length, 'pack length');
    const name = toHex(sha256(bytes)) as PackName;
    const generation = keys.current.number;
    const record = { name, kind, length, generation, salt, body };
    const deltaDigests = concatBytes(...this.#deltaDigests);
    return { record, deltaDigests, bytes, buffer: this.#buffer };
  }

  #appendPad(sizeBehind: number): void {
    const unpadded = this.#size + TAG_SIZE + sizeBehind;
    const rawSize = padme(unpadded) - unpadded;
    this.#appendSealed(
      {
        storedSize: rawSize + TAG_SIZE,
        rawSize,
        blobCount: 0,
        kind: FRAME_KIND.pad,
        class: KEY_CLASS.data,
      },
      new Uint8Array(rawSize),
    );
  }

  #appendSealed(record: FrameRecord, content: Uint8Array): void {
    const key = this.#keys().frame(record.class);
    const parts = sealFrame(key, { record, offset: this.#size }, content);
    for (const part of parts) {
      this.#write(part);
      release(part);
    }
    this.#frames.push(record);
  }

  #keys(): PackKeys {
    const { keys, kind } = this.#options;
    assert(this.#salt !== undefined, 'pack without salt');
    this.#packKeys ??= derivePackKeys(keys.repositoryId, keys.current, { kind, salt: this.#salt });
    return this.#packKeys;
  }

  #write(bytes: Uint8Array): void {
    const size = this.#size + bytes.length;
    if (size > this.#buffer.length) this.#grow(size);
    this.#buffer.set(bytes, this.#size);
    this.#size = size;
  }

  #grow(size: number): void {
    const larger = new Uint8Array(size);
    larger.set(this.#buffer.subarray(0, this.#size));
    this.#buffer = larger;
  }
}

/** The trailer without its check sum, which is also the associated data of the directory. */
function encodeTrailerStart(
  header: Uint8Array,
  sizes: { directorySize: number; length: number },
): Uint8Array {
  return concatBytes(
    header,
    encodeU32(sizes.directorySize),
    encodeU32(0),
    encodeU64(sizes.length),
    TRAILER_MAGIC,
  );
}

function sha256(bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(bytes).digest();
}
