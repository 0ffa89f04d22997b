/**
 * Frame records: the 16 bytes that describe a frame in the pack directory, and that its ciphertext
 * is bound to as associated data (docs/repository-format.md sections 7 and 8).
 *
 *   stored_len u32 (with tag) | raw_len u32 | blob count u32 | kind u8 | class u8 | 0 u16
 */
import { BLOB_SIZE_MAX } from '../blob/blob-type.ts';
import { TAG_SIZE } from '../keys/aead.ts';
import { KEY_CLASS } from '../keys/key-hierarchy.ts';
import { ByteReader, demand } from '../util/byte-reader.ts';
import { viewOf } from '../util/bytes.ts';

export const FRAME_KIND = { stored: 0, zstd: 1, delta: 2, pad: 3 } as const;
export type FrameKind = (typeof FRAME_KIND)[keyof typeof FRAME_KIND];
export type FrameClass = typeof KEY_CLASS.data | typeof KEY_CLASS.metadata;

export const FRAME_RECORD_SIZE = 16;
/** Largest sum of plaintexts in a frame of several blobs. */
export const FRAME_RAW_SIZE_MAX: number = 2 ** 22;
/** Largest content (compressed, without tag) of a frame that is no padding. */
export const FRAME_CONTENT_SIZE_MAX: number = 2 ** 24 + 2 ** 17;

export interface FrameRecord {
  /** Bytes in the pack, with the tag. */
  storedSize: number;
  /** Sum of the plaintext sizes of its blobs. */
  rawSize: number;
  blobCount: number;
  kind: FrameKind;
  class: FrameClass;
}

export function encodeFrameRecord(frame: FrameRecord): Uint8Array {
  const bytes = new Uint8Array(FRAME_RECORD_SIZE);
  const view = viewOf(bytes);
  view.setUint32(0, frame.storedSize, true);
  view.setUint32(4, frame.rawSize, true);
  view.setUint32(8, frame.blobCount, true);
  view.setUint8(12, frame.kind);
  view.setUint8(13, frame.class);
  return bytes;
}

/** @throws Malformed when no frame can have this record, wherever it stands. */
export function decodeFrameRecord(bytes: Uint8Array): FrameRecord {
  const reader = new ByteReader(bytes);
  const storedSize = reader.u32();
  const rawSize = reader.u32();
  const blobCount = reader.u32();
  const kind = reader.u8();
  const frameClass = reader.u8();
  reader.zeros(2);
  reader.end();
  demand(kind <= FRAME_KIND.pad, 'frame kind');
  demand(frameClass === KEY_CLASS.data || frameClass === KEY_CLASS.metadata, 'frame class');
  demand(storedSize >= TAG_SIZE, 'frame shorter than its tag');
  const frame = { storedSize, rawSize, blobCount, kind: kind as FrameKind, class: frameClass };
  if (kind === FRAME_KIND.pad) checkPad(frame);
  else checkContentFrame(frame);
  return frame;
}

function checkPad(frame: FrameRecord): void {
  demand(frame.blobCount === 0, 'blobs in a pad frame');
  demand(frame.class === KEY_CLASS.data, 'class of a pad frame');
  demand(frame.rawSize === frame.storedSize - TAG_SIZE, 'length of a pad frame');
}

function checkContentFrame(frame: FrameRecord): void {
  demand(frame.blobCount >= 1, 'frame without blobs');
  const rawSizeMax = frame.blobCount === 1 ? BLOB_SIZE_MAX : FRAME_RAW_SIZE_MAX;
  demand(frame.rawSize >= 1 && frame.rawSize <= rawSizeMax, 'raw length of a frame');
  demand(frame.storedSize - TAG_SIZE <= FRAME_CONTENT_SIZE_MAX, 'stored length of a frame');
  if (frame.kind === FRAME_KIND.stored) {
    demand(frame.storedSize === frame.rawSize + TAG_SIZE, 'length of a stored frame');
  }
}
