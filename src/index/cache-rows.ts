/**
 * The bytes of the rows in the local index. The cache is private to this program and disposable, so
 * its layout may change with `CACHE_SCHEMA`; a cache of another schema is thrown away.
 *
 *   database  key                     value
 *   base      side, page u32          sorted blob entries, 24 bytes each | crc u32 (`base-rows.ts`)
 *   packs     packNo u32 big-endian   name 32 | salt 32 | length u64 | generation u32 | D u32
 *                                     | kind u8 | directory body | crc u32
 *   packid    pack name 32            packNo u32 | length u32 | blobs u32 | kind u8 | state u8
 *                                     | indexed u8 | 0 u8 | crc u32
 *   features  page u32 big-endian     page of the feature table | crc u32 (`feature-pages.ts`)
 *   segments  segment name 32         level u8 | packs u32 | blobs u64 | created ms u64 | crc u32
 *   meta      text                    text | crc u32
 *
 * The state of a pack stands in `packid`, not beside its directory: listings change it, and at 10 TB
 * reading all states means 10 MB this way and 10 GB the other. A CRC-32 covers key and value; LMDB
 * itself answers from a damaged file without noticing.
 */
import { crc32 } from 'node:zlib';
import type { PackName } from '../id.ts';
import { type PackRecord, sealedDirectorySize } from '../pack/pack-record.ts';
import { OBJECT_KIND, type PackKind } from '../record/object-kind.ts';
import { ByteReader, demand } from '../util/byte-reader.ts';
import {
  concatBytes,
  encodeU32,
  encodeU64,
  fromHex,
  plainBytes,
  toHex,
  viewOf,
} from '../util/bytes.ts';

export const CACHE_SCHEMA = 'varve.index/2';
export const BLOB_KEY_SIZE = 16;
export const BLOB_VALUE_SIZE = 8;
const CRC_SIZE = 4;
/** What stands before the directory body in a row of `packs`. */
const PACK_HEAD_SIZE = 81;

/** What the last view said of a pack. */
export const PACK_STATE = {
  /** Durable, but no index segment names it yet. */
  unindexed: 0,
  /** Named by a segment, listed with the right size, not dead. */
  live: 1,
  /** Swept, or condemned by a mark that has no sweep yet. */
  dead: 2,
  /** Not seen in a complete listing, or with another size. */
  missing: 3,
} as const;
export type PackState = (typeof PACK_STATE)[keyof typeof PACK_STATE];

/** One copy of a blob, as the local index knows it. */
export interface BlobCopy {
  packNo: number;
  /** Position of the blob in the pack's directory. */
  slot: number;
  /** Deltas up to a whole copy; 0 for a whole copy. */
  depth: number;
}

export interface PackRow {
  packNo: number;
  length: number;
  blobCount: number;
  kind: PackKind;
  state: PackState;
  /** Whether a segment named it; a pack in none is no part of the repository's view. */
  isIndexed: boolean;
}

/** Instead of a level: another segment takes the place of this one, which need not be read. */
export const supersededLevel = 255;

export interface SegmentRow {
  level: number;
  packCount: number;
  blobCount: number;
  createdMs: number;
}

/** Also of a page of the feature table. */
export function packKey(packNo: number): Uint8Array {
  const key = new Uint8Array(4);
  viewOf(key).setUint32(0, packNo);
  return key;
}

export function encodePack(key: Uint8Array, pack: PackRecord): Uint8Array {
  return withCrc(
    key,
    fromHex(pack.name),
    pack.salt,
    encodeU64(pack.length),
    encodeU32(pack.generation),
    encodeU32(sealedDirectorySize(pack.body.length)),
    Uint8Array.of(pack.kind),
    pack.body,
  );
}

/** The record is a view of `value`. */
export function decodePack(key: Uint8Array, value: Uint8Array): PackRecord {
  const reader = checkCrc(key, value);
  const name = toHex(reader.take(32)) as PackName;
  const salt = reader.take(32);
  const length = reader.size();
  const generation = reader.u32();
  const directorySize = reader.u32();
  const kind = readPackKind(reader);
  const body = reader.rest();
  demand(directorySize === sealedDirectorySize(body.length), 'length of a sealed directory');
  return { name, kind, length, generation, salt, body };
}

/**
 * The directory body alone, a view of `value`.
 * @throws Malformed when the check sum differs.
 */
export function packBody(key: Uint8Array, value: Uint8Array): Uint8Array {
  const reader = checkCrc(key, value);
  reader.take(PACK_HEAD_SIZE);
  return reader.rest();
}

/** Numbers are given in order, without gaps, and never again. 0 while there is no pack. */
export function lastPackNo(packs: {
  getKeys(options: { reverse: boolean; limit: number }): Iterable<Uint8Array>;
}): number {
  const [last] = packs.getKeys({ reverse: true, limit: 1 });
  return last === undefined ? 0 : viewOf(last).getUint32(0);
}

export function encodePackRow(key: Uint8Array, row: PackRow): Uint8Array {
  const numbers = concatBytes(
    encodeU32(row.packNo),
    encodeU32(row.length),
    encodeU32(row.blobCount),
  );
  return withCrc(key, numbers, Uint8Array.of(row.kind, row.state, row.isIndexed ? 1 : 0, 0));
}

export function decodePackRow(key: Uint8Array, value: Uint8Array): PackRow {
  const reader = checkCrc(key, value);
  const packNo = reader.u32();
  const length = reader.u32();
  const blobCount = reader.u32();
  const kind = readPackKind(reader);
  const state = reader.u8();
  demand(state <= PACK_STATE.missing, 'pack state');
  const isIndexed = reader.u8() === 1;
  reader.zeros(1);
  reader.end();
  return { packNo, length, blobCount, kind, state: state as PackState, isIndexed };
}

export function encodeSegmentRow(key: Uint8Array, row: SegmentRow): Uint8Array {
  return withCrc(
    key,
    Uint8Array.of(row.level),
    encodeU32(row.packCount),
    encodeU64(row.blobCount),
    encodeU64(row.createdMs),
  );
}

export function decodeSegmentRow(key: Uint8Array, value: Uint8Array): SegmentRow {
  const reader = checkCrc(key, value);
  const level = reader.u8();
  const packCount = reader.u32();
  const row = { level, packCount, blobCount: reader.size(), createdMs: reader.size() };
  reader.end();
  return row;
}

/** `content` followed by its check sum: values of `meta` and `features`. */
export function withCrc(key: Uint8Array, ...content: Uint8Array[]): Uint8Array {
  const value = concatBytes(...content, new Uint8Array(CRC_SIZE));
  const size = value.length - CRC_SIZE;
  viewOf(value).setUint32(size, crc32(value.subarray(0, size), crc32(key)), true);
  return value;
}

/**
 * The content before the check sum.
 * @throws Malformed when the check sum differs.
 */
export function checkCrc(key: Uint8Array, value: Uint8Array): ByteReader {
  demand(value.length > CRC_SIZE, 'row shorter than its check sum');
  const size = value.length - CRC_SIZE;
  // LMDB gives a `Buffer`, of which a `slice` would be a view of the whole row.
  const content = plainBytes(value).subarray(0, size);
  demand(viewOf(value).getUint32(size, true) === crc32(content, crc32(key)), 'row check sum');
  return new ByteReader(content);
}

function readPackKind(reader: ByteReader): PackKind {
  const kind = reader.u8();
  demand(kind === OBJECT_KIND.dataPack || kind === OBJECT_KIND.metadataPack, 'pack kind');
  return kind as PackKind;
}
