/**
 * One frame between its sealed form in a pack and the plaintexts of its blobs. The AEAD binds the
 * ciphertext to its offset (nonce) and record (associated data); the caller checks each blob's id,
 * which is the last word.
 */
import { NONCE_DOMAIN, openAead, sealAeadParts } from '../keys/aead.ts';
import { demand } from '../util/byte-reader.ts';
import { isZero } from '../util/bytes.ts';
import type { ZstdCodec } from '../util/zstd.ts';
import { encodeFrameRecord, FRAME_KIND, type FrameRecord } from './frame-record.ts';

interface FramePlace {
  record: FrameRecord;
  /** Bytes from the start of the pack. */
  offset: number;
}

/**
 * The sealed frame, in two parts that lie one behind the other.
 * @param key `K(frame)` of the frame's class in its pack.
 */
export function sealFrame(
  key: Uint8Array,
  place: FramePlace,
  content: Uint8Array,
): [ciphertext: Uint8Array, tag: Uint8Array] {
  const aad = encodeFrameRecord(place.record);
  return sealAeadParts(key, frameNonce(place), { aad, plaintext: content });
}

/** @throws Malformed when the tag does not match or a pad frame holds anything but zeros. */
export function openFrame(key: Uint8Array, place: FramePlace, sealed: Uint8Array): Uint8Array {
  const aad = encodeFrameRecord(place.record);
  const content = openAead(key, frameNonce(place), { aad, sealed });
  if (place.record.kind === FRAME_KIND.pad) demand(isZero(content), 'pad frame is not zero');
  return content;
}

/**
 * The concatenated plaintexts of a stored or zstd frame, `record.rawSize` bytes.
 * @param into memory of that size that may be used for them.
 * @throws Malformed when it does not decompress to exactly that.
 */
export function decodeWholeFrame(
  codec: ZstdCodec,
  record: FrameRecord,
  content: Uint8Array,
  into?: Uint8Array,
): Uint8Array {
  demand(record.kind === FRAME_KIND.stored || record.kind === FRAME_KIND.zstd, 'frame kind');
  if (record.kind === FRAME_KIND.stored) return content;
  return into === undefined
    ? codec.decompress(content, record.rawSize)
    : codec.decompressInto(into, content);
}

function frameNonce(place: FramePlace): { domain: number; counter: number } {
  return { domain: NONCE_DOMAIN.frame, counter: place.offset };
}
