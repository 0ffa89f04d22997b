/**
 * The directory of a pack: which frames it has and which blobs they hold
 * (docs/repository-format.md section 8).
 *
 *   "VDR1" | F u32 | N u32 | body length u32 | session id 16 | writer id 16 | created ms u64 | 0 u64
 *   F x frame record 16, in file order
 *   N x blob record 40..100, in frame order:
 *       id 32 | raw_len u32 | type u8 | flags u8 | depth u8 | 0 u8
 *       | enc_len u32, base id 32 (flag bit 0) | super-features u64 x 3 (flag bit 1)
 *
 * No offsets are stored: frame 0 begins at 64, each next one where the last ends, a blob where its
 * predecessor in the frame ends. All counts and sums are exact, so a directory that disagrees with
 * itself is refused before anything is allocated for it.
 */
import { BLOB_SIZE_MAX, BLOB_TYPE, type BlobType } from '../blob/blob-type.ts';
import type { BlobRecord } from '../frame/frame-builder.ts';
import {
  decodeFrameRecord,
  encodeFrameRecord,
  FRAME_KIND,
  FRAME_RECORD_SIZE,
  type FrameRecord,
} from '../frame/frame-record.ts';
import type { BlobId } from '../id.ts';
import { TAG_SIZE } from '../keys/aead.ts';
import { KEY_CLASS } from '../keys/key-hierarchy.ts';
import { HEADER_SIZE } from '../record/header.ts';
import { OBJECT_KIND, type PackKind } from '../record/object-kind.ts';
import { ByteReader, demand } from '../util/byte-reader.ts';
import { equalBytes, fromAscii, fromHex, toHex, viewOf } from '../util/bytes.ts';

export const FRAME_COUNT_MAX = 65_536;
export const BLOB_COUNT_MAX: number = 2 ** 20;
export const DIRECTORY_SIZE_MAX: number = 2 ** 27;
export const DELTA_DEPTH_MAX = 32;

const DIRECTORY_MAGIC = fromAscii('VDR1');
const DIRECTORY_HEADER_SIZE = 64;
const BLOB_RECORD_SIZE = 40;
const DELTA_PART_SIZE = 36;
const FEATURES_PART_SIZE = 24;
const FLAG_DELTA = 1;
const FLAG_FEATURES = 2;
const ENCODED_SIZE_MIN = 9;

/** A frame with its place in the pack. */
export interface FrameEntry extends FrameRecord {
  offset: number;
}

/** A blob with its place in its frame. */
export interface BlobEntry extends BlobRecord {
  /** Position of its frame in the directory. */
  frame: number;
  /** Bytes before it in the frame's plaintext, and in a delta frame's content. */
  rawOffset: number;
  encodedOffset: number;
}

/** What a directory says beside its blobs. */
export interface DirectoryHead {
  sessionId: string;
  writerId: string;
  createdMs: number;
  /** Bytes of the directory without padding. */
  bodySize: number;
  /** In file order; the last one is the pad frame. */
  frames: FrameEntry[];
  blobCount: number;
}

export interface PackDirectory extends DirectoryHead {
  /** In order; the position of a blob here is its *slot*. */
  blobs: BlobEntry[];
}

export interface DirectoryInput {
  sessionId: string;
  writerId: string;
  createdMs: number;
  frames: readonly FrameRecord[];
  blobCount: number;
  /** The records of all blobs, in order, as `encodeBlobRecords` gives them. */
  blobRecords: readonly Uint8Array[];
}

/** Size of the directory body, before padding, with so many bytes of blob records. */
export function directoryBodySize(frameCount: number, blobRecordsSize: number): number {
  return DIRECTORY_HEADER_SIZE + FRAME_RECORD_SIZE * frameCount + blobRecordsSize;
}

export function blobRecordsSize(blobs: readonly BlobRecord[]): number {
  let size = 0;
  for (const blob of blobs) size += blobRecordSize(blob);
  return size;
}

export function blobRecordSize(blob: BlobRecord): number {
  return (
    BLOB_RECORD_SIZE +
    (blob.delta === undefined ? 0 : DELTA_PART_SIZE) +
    (blob.features === undefined ? 0 : FEATURES_PART_SIZE)
  );
}

/** Records of blobs that follow each other. */
export function encodeBlobRecords(blobs: readonly BlobRecord[]): Uint8Array {
  const records = new Uint8Array(blobRecordsSize(blobs));
  const view = viewOf(records);
  let offset = 0;
  for (const blob of blobs) {
    writeBlobRecord(records, view, { blob, offset });
    offset += blobRecordSize(blob);
  }
  return records;
}

/** The directory body, without padding. */
export function encodeDirectory(input: DirectoryInput): Uint8Array {
  let recordsSize = 0;
  for (const records of input.blobRecords) recordsSize += records.length;
  const body = new Uint8Array(directoryBodySize(input.frames.length, recordsSize));
  const view = viewOf(body);
  body.set(DIRECTORY_MAGIC, 0);
  view.setUint32(4, input.frames.length, true);
  view.setUint32(8, input.blobCount, true);
  view.setUint32(12, body.length, true);
  body.set(fromHex(input.sessionId), 16);
  body.set(fromHex(input.writerId), 32);
  view.setBigUint64(48, BigInt(input.createdMs), true);
  let offset = DIRECTORY_HEADER_SIZE;
  for (const frame of input.frames) {
    body.set(encodeFrameRecord(frame), offset);
    offset += FRAME_RECORD_SIZE;
  }
  for (const records of input.blobRecords) {
    body.set(records, offset);
    offset += records.length;
  }
  return body;
}

function writeBlobRecord(
  body: Uint8Array,
  view: DataView,
  place: { blob: BlobRecord; offset: number },
): void {
  const { blob, offset } = place;
  const { delta, features } = blob;
  body.set(blob.id, offset);
  view.setUint32(offset + 32, blob.rawSize, true);
  body[offset + 36] = blob.type;
  body[offset + 37] =
    (delta === undefined ? 0 : FLAG_DELTA) | (features === undefined ? 0 : FLAG_FEATURES);
  body[offset + 38] = delta?.depth ?? 0;
  let next = offset + BLOB_RECORD_SIZE;
  if (delta !== undefined) {
    view.setUint32(next, delta.encodedSize, true);
    body.set(delta.base, next + 4);
    next += DELTA_PART_SIZE;
  }
  if (features !== undefined) body.set(features, next);
}

/**
 * Parses a directory: the body alone (as in an index segment) or with its padding of zeros.
 * @param frameEnd where the frames must end: pack length - 96 - D.
 * @throws Malformed unless every rule of the format holds.
 */
export function parseDirectory(
  bytes: Uint8Array,
  pack: { kind: PackKind; frameEnd: number },
): PackDirectory {
  const head = checkDirectory(bytes, pack);
  return { ...head, blobs: readBlobs(bytes, head.frames) };
}

/**
 * The same without the blobs, which are looked at all the same, in a tenth of the time.
 * @throws Malformed unless every rule of the format holds.
 */
export function checkDirectory(
  bytes: Uint8Array,
  pack: { kind: PackKind; frameEnd: number },
): DirectoryHead {
  demand(bytes.length <= DIRECTORY_SIZE_MAX + TAG_SIZE, 'directory too large');
  const reader = new ByteReader(bytes);
  demand(equalBytes(reader.take(4), DIRECTORY_MAGIC), 'directory magic');
  const frameCount = reader.u32();
  const blobCount = reader.u32();
  const bodySize = reader.u32();
  demand(frameCount >= 1 && frameCount <= FRAME_COUNT_MAX, 'number of frames');
  demand(blobCount <= BLOB_COUNT_MAX, 'number of blobs');
  demand(bodySize <= bytes.length && bodySize <= DIRECTORY_SIZE_MAX, 'directory body length');
  const sizeMin =
    DIRECTORY_HEADER_SIZE + FRAME_RECORD_SIZE * frameCount + BLOB_RECORD_SIZE * blobCount;
  demand(sizeMin <= bodySize, 'directory body too short for its counts');
  const sessionId = toHex(reader.take(16));
  const writerId = toHex(reader.take(16));
  const createdMs = reader.size();
  reader.zeros(8);
  const frames = readFrames(reader, frameCount, pack);
  const head = { sessionId, writerId, createdMs, bodySize, frames, blobCount };
  reader.offset = checkBlobs(bytes, head, reader.offset);
  demand(reader.offset === bodySize, 'directory body length differs');
  reader.zeros(reader.left);
  return head;
}

/** Of a body that was parsed before. */
export function blobCountOf(body: Uint8Array): number {
  return viewOf(body).getUint32(8, true);
}

/** The session that wrote the pack, by a body that was parsed before. */
export function sessionIdOf(body: Uint8Array): string {
  return toHex(body.subarray(16, 32));
}

/**
 * Visits the blobs of a body that was parsed before, in order: where the record, and the id in it,
 * begins, the depth and encoded size of a delta (0 for a whole blob), and the raw size. A tenth of
 * the time of a parse; the index adds millions of blobs so.
 */
export function scanBlobs(
  body: Uint8Array,
  visit: (idOffset: number, depth: number, rawSize: number, encodedSize: number) => void,
): number {
  const view = viewOf(body);
  const blobCount = view.getUint32(8, true);
  let offset = DIRECTORY_HEADER_SIZE + FRAME_RECORD_SIZE * view.getUint32(4, true);
  for (let slot = 0; slot < blobCount; slot++) {
    const flags = body[offset + 37] as number;
    const isDelta = (flags & FLAG_DELTA) !== 0;
    const rawSize = view.getUint32(offset + 32, true);
    const encodedSize = isDelta ? view.getUint32(offset + BLOB_RECORD_SIZE, true) : 0;
    visit(offset, body[offset + 38] as number, rawSize, encodedSize);
    offset += BLOB_RECORD_SIZE;
    if (isDelta) offset += DELTA_PART_SIZE;
    if ((flags & FLAG_FEATURES) !== 0) offset += FEATURES_PART_SIZE;
  }
  return blobCount;
}

/**
 * Visits the super-features in a body that was parsed before, in order; their memory is used again.
 * Answers how many blobs there are.
 */
export function scanFeatures(
  body: Uint8Array,
  visit: (slot: number, features: Uint8Array) => void,
): number {
  const features = new Uint8Array(FEATURES_PART_SIZE);
  let slot = 0;
  return scanBlobs(body, (recordOffset) => {
    const offset = featuresOffset(body, recordOffset);
    if (offset !== undefined) {
      for (let i = 0; i < FEATURES_PART_SIZE; i++) features[i] = body[offset + i] as number;
      visit(slot, features);
    }
    slot++;
  });
}

/** Where the super-features of a blob are, as they stand in its record; undefined when it has none. */
function featuresOffset(body: Uint8Array, recordOffset: number): number | undefined {
  const flags = body[recordOffset + 37] as number;
  if ((flags & FLAG_FEATURES) === 0) return undefined;
  return recordOffset + BLOB_RECORD_SIZE + ((flags & FLAG_DELTA) === 0 ? 0 : DELTA_PART_SIZE);
}

/** The frames of a body that was parsed before. @throws Malformed */
export function framesOf(
  body: Uint8Array,
  pack: { kind: PackKind; frameEnd: number },
): FrameEntry[] {
  const reader = new ByteReader(body);
  reader.offset = 4;
  const frameCount = reader.u32();
  reader.offset = DIRECTORY_HEADER_SIZE;
  return readFrames(reader, frameCount, pack);
}

function readFrames(
  reader: ByteReader,
  frameCount: number,
  pack: { kind: PackKind; frameEnd: number },
): FrameEntry[] {
  const frames: FrameEntry[] = [];
  let offset = HEADER_SIZE;
  for (let i = 0; i < frameCount; i++) {
    const frame = decodeFrameRecord(reader.take(FRAME_RECORD_SIZE));
    demand((frame.kind === FRAME_KIND.pad) === (i === frameCount - 1), 'pad frame is not last');
    const isAllowed = pack.kind === OBJECT_KIND.metadataPack || frame.class === KEY_CLASS.data;
    demand(isAllowed, 'metadata frame in a data pack');
    frames.push({ ...frame, offset });
    offset += frame.storedSize;
  }
  demand(offset === pack.frameEnd, 'frames do not end at the directory');
  return frames;
}

/** Looks at the record of each blob, the first of which is at `start`. Gives where the last one ends. */
function checkBlobs(
  bytes: Uint8Array,
  { frames, blobCount, bodySize }: DirectoryHead,
  start: number,
): number {
  const view = viewOf(bytes);
  let offset = start;
  let count = 0;
  for (const frame of frames) {
    demand(count + frame.blobCount <= blobCount, 'number of blobs differs');
    let rawSum = 0;
    let encodedSum = 0;
    for (let i = 0; i < frame.blobCount; i++) {
      const part = offset + BLOB_RECORD_SIZE;
      demand(part <= bodySize, 'blob passes the end');
      const rawSize = view.getUint32(offset + 32, true);
      const flags = bytes[offset + 37] as number;
      const depth = bytes[offset + 38] as number;
      demand(bytes[offset + 39] === 0, 'reserved field set');
      demand(rawSize >= 1 && rawSize <= BLOB_SIZE_MAX, 'raw length of a blob');
      const type = bytes[offset + 36] as number;
      demand(isTypeOfClass(type, frame.class), 'blob type does not fit the frame class');
      demand(flags <= (FLAG_DELTA | FLAG_FEATURES), 'blob flags');
      const isDelta = (flags & FLAG_DELTA) !== 0;
      const isFitting = isDelta === (frame.kind === FRAME_KIND.delta);
      demand(isFitting, 'delta flag does not fit the frame kind');
      if (isDelta) {
        demand(part + DELTA_PART_SIZE <= bodySize, 'delta passes the end');
        const encodedSize = view.getUint32(part, true);
        demand(depth >= 1 && depth <= DELTA_DEPTH_MAX, 'delta depth');
        demand(encodedSize >= ENCODED_SIZE_MIN, 'encoded length of a delta');
        demand(!isSameId(bytes, offset, part + 4), 'delta on itself');
        encodedSum += encodedSize;
      } else demand(depth === 0, 'depth of a whole blob');
      rawSum += rawSize;
      offset = part + (isDelta ? DELTA_PART_SIZE : 0);
      if ((flags & FLAG_FEATURES) !== 0) offset += FEATURES_PART_SIZE;
    }
    count += frame.blobCount;
    if (frame.kind === FRAME_KIND.pad) continue;
    demand(rawSum === frame.rawSize, 'sum of raw lengths differs');
    if (frame.kind === FRAME_KIND.delta) {
      demand(encodedSum === frame.storedSize - TAG_SIZE, 'sum of encoded lengths differs');
    }
  }
  demand(count === blobCount, 'number of blobs differs');
  return offset;
}

function isSameId(bytes: Uint8Array, a: number, b: number): boolean {
  for (let i = 0; i < 32; i++) if (bytes[a + i] !== bytes[b + i]) return false;
  return true;
}

/** The blobs of a body that was checked. */
function readBlobs(bytes: Uint8Array, frames: readonly FrameEntry[]): BlobEntry[] {
  const reader = new ByteReader(bytes);
  reader.offset = DIRECTORY_HEADER_SIZE + FRAME_RECORD_SIZE * frames.length;
  const blobs: BlobEntry[] = [];
  for (const [position, { blobCount }] of frames.entries()) {
    let rawOffset = 0;
    let encodedOffset = 0;
    for (let i = 0; i < blobCount; i++) {
      const blob = readBlob(reader, { frame: position, rawOffset, encodedOffset });
      blobs.push(blob);
      rawOffset += blob.rawSize;
      encodedOffset += blob.delta?.encodedSize ?? 0;
    }
  }
  return blobs;
}

/**
 * The blob whose record is next, in a body that was checked. Written out, not spread: V8 gives every
 * object made by a spread a shape of its own.
 */
export function readBlob(
  reader: ByteReader,
  place: Pick<BlobEntry, 'frame' | 'rawOffset' | 'encodedOffset'>,
): BlobEntry {
  const id = reader.take(32) as BlobId;
  const rawSize = reader.u32();
  const type = reader.u8();
  const flags = reader.u8();
  const depth = reader.u8();
  reader.offset += 1;
  const blob: BlobEntry = {
    id,
    rawSize,
    type: type as BlobType,
    frame: place.frame,
    rawOffset: place.rawOffset,
    encodedOffset: place.encodedOffset,
  };
  if ((flags & FLAG_DELTA) !== 0) {
    const encodedSize = reader.u32();
    blob.delta = { encodedSize, base: reader.take(32) as BlobId, depth };
  }
  if ((flags & FLAG_FEATURES) !== 0) blob.features = reader.take(FEATURES_PART_SIZE);
  return blob;
}

function isTypeOfClass(type: number, frameClass: number): boolean {
  if (frameClass === KEY_CLASS.data) return type === BLOB_TYPE.data;
  return type >= BLOB_TYPE.treePage && type <= BLOB_TYPE.attributes;
}
