/** Pack records with any blobs, made without sealing anything: what the index sees of a pack. */
import { createHash } from 'node:crypto';
import { BLOB_TYPE, type BlobType } from '../../src/blob/blob-type.ts';
import type { BlobRecord } from '../../src/frame/frame-builder.ts';
import { FRAME_KIND, type FrameRecord } from '../../src/frame/frame-record.ts';
import type { BlobId, PackName, RepositoryId, SegmentName } from '../../src/id.ts';
import type { Segment } from '../../src/index/segment.ts';
import { KEY_CLASS } from '../../src/keys/key-hierarchy.ts';
import { encodeBlobRecords, encodeDirectory } from '../../src/pack/directory.ts';
import { type PackRecord, sealedDirectorySize, TRAILER_SIZE } from '../../src/pack/pack-record.ts';
import { OBJECT_KIND } from '../../src/record/object-kind.ts';
import { toHex } from '../../src/util/bytes.ts';
import { padme } from '../../src/util/padme.ts';
import type { SeededRandom } from './seeded-random.ts';

const HEADER_SIZE = 64;
const TAG_SIZE = 16;
const SESSION_ID = '80'.repeat(16);
const WRITER_ID = '90'.repeat(16);
const CREATED_MS = 1_700_000_000_000;

/** A blob to be: a delta when it has a base. */
export interface BlobPlan {
  id: BlobId;
  base?: BlobId;
  depth?: number;
  features?: Uint8Array;
  /** Data unless said otherwise. */
  type?: BlobType;
}

/** The same 32 bytes for the same text. */
export function idOf(text: string): BlobId {
  return new Uint8Array(createHash('sha256').update(text).digest()) as BlobId;
}

export const testRepositoryId: RepositoryId = idOf('repository') as Uint8Array as RepositoryId;

export function segmentName(text: string): SegmentName {
  return toHex(idOf(text)) as SegmentName;
}

/** A pack with these blobs in one frame each; its name follows from `text`. */
export function packOf(text: string, blobs: readonly BlobPlan[]): PackRecord {
  const frames: FrameRecord[] = [];
  const records: BlobRecord[] = [];
  for (const { id, base, depth = 1, features, type = BLOB_TYPE.data } of blobs) {
    const rawSize = 1 + ((id[0] ?? 0) & 63);
    const encodedSize = 9 + ((id[1] ?? 0) & 31);
    const isDelta = base !== undefined;
    const storedSize = TAG_SIZE + (isDelta ? encodedSize : rawSize);
    const kind = isDelta ? FRAME_KIND.delta : FRAME_KIND.stored;
    const frameClass = type === BLOB_TYPE.data ? KEY_CLASS.data : KEY_CLASS.metadata;
    frames.push({ storedSize, rawSize, blobCount: 1, kind, class: frameClass });
    const record: BlobRecord = { id, rawSize, type };
    if (isDelta) record.delta = { encodedSize, base, depth };
    if (features !== undefined) record.features = features;
    records.push(record);
  }
  return finishPack(text, frames, records);
}

/** A data pack of many small whole blobs in one frame per 1,000; `features` are 24 bytes for each. */
export function bigPackOf(text: string, ids: readonly BlobId[], features?: Uint8Array): PackRecord {
  const frames: FrameRecord[] = [];
  for (let start = 0; start < ids.length; start += 1000) {
    const blobCount = Math.min(1000, ids.length - start);
    const rawSize = 64 * blobCount;
    const kind = FRAME_KIND.stored;
    frames.push({ storedSize: rawSize + TAG_SIZE, rawSize, blobCount, kind, class: 0 });
  }
  const records: BlobRecord[] = ids.map((id, i) => {
    const record: BlobRecord = { id, rawSize: 64, type: 1 };
    if (features !== undefined) record.features = features.subarray(24 * i, 24 * i + 24);
    return record;
  });
  return finishPack(text, frames, records);
}

function finishPack(text: string, frames: FrameRecord[], blobs: BlobRecord[]): PackRecord {
  const header = { sessionId: SESSION_ID, writerId: WRITER_ID, createdMs: CREATED_MS };
  const described = { ...header, blobCount: blobs.length, blobRecords: [encodeBlobRecords(blobs)] };
  const pad: FrameRecord = { storedSize: TAG_SIZE, rawSize: 0, blobCount: 0, kind: 3, class: 0 };
  const bodySize = encodeDirectory({ ...described, frames: [...frames, pad] }).length;
  let unpadded = HEADER_SIZE + TAG_SIZE + sealedDirectorySize(bodySize) + TRAILER_SIZE;
  for (const frame of frames) unpadded += frame.storedSize;
  const length = padme(unpadded);
  pad.rawSize = length - unpadded;
  pad.storedSize = pad.rawSize + TAG_SIZE;
  const body = encodeDirectory({ ...described, frames: [...frames, pad] });
  const name = toHex(idOf(`pack ${text}`)) as PackName;
  const isData = frames.every((frame) => frame.class === KEY_CLASS.data);
  const kind = isData ? OBJECT_KIND.dataPack : OBJECT_KIND.metadataPack;
  return { name, kind, length, generation: 0, salt: idOf(`salt ${text}`), body };
}

export function segmentOf(packs: PackRecord[], superseded: SegmentName[] = []): Segment {
  return {
    level: superseded.length === 0 ? 0 : 1,
    sessionId: SESSION_ID,
    writerId: WRITER_ID,
    createdMs: CREATED_MS,
    applied: 0,
    superseded,
    packs,
  };
}

/** Listed sizes of packs, as a complete listing shows them. */
export function listingOf(packs: readonly PackRecord[]): Map<PackName, number> {
  return new Map(packs.map((pack) => [pack.name, pack.length]));
}

/** New ids that repeat with the seed. */
export function randomIds(random: SeededRandom, count: number): BlobId[] {
  const bytes = random.bytes(32 * count);
  return Array.from({ length: count }, (_, i) => bytes.subarray(32 * i, 32 * i + 32) as BlobId);
}
