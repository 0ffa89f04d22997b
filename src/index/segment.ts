/**
 * Index segments: sealed objects of the repository that hold the directories of many packs, so that
 * a client learns what is stored by reading a few objects instead of every pack
 * (docs/repository-format.md section 9). This is the payload; `record/sealed-object.ts` seals it.
 *
 *   "VIX1" | level u8 | 0 x 3 | session id 16 | writer id 16 | created ms u64 | applied u64
 *   | P u32 | S u32 | blob count u64 | 0 x 24
 *   S x superseded segment name 32
 *   P x pack record, strictly ascending by name:
 *       name 32 | salt 32 | pack length u64 | key generation u32 | body u32 | D u32 | kind u8
 *       | flags u8 | 0 x 10 | directory body
 *
 * Every directory is checked as if it had been read from its pack, so whoever holds a parsed
 * segment can rely on the records in it.
 */
import type { PackName, SegmentName } from '../id.ts';
import { blobCountOf } from '../pack/directory.ts';
import { directoryHeadOf, type PackRecord, sealedDirectorySize } from '../pack/pack-record.ts';
import { OBJECT_KIND, type PackKind, SEGMENT_SIZE_MAX } from '../record/object-kind.ts';
import { assert } from '../util/assert.ts';
import { ByteReader, demand } from '../util/byte-reader.ts';
import { equalBytes, fromAscii, fromHex, toHex, viewOf } from '../util/bytes.ts';

const SEGMENT_LEVEL_MAX = 3;

const SEGMENT_MAGIC = fromAscii('VIX1');
const SEGMENT_HEADER_SIZE = 96;
const NAME_SIZE = 32;
const PACK_RECORD_SIZE = 96;

export interface Segment {
  /** 0 as sessions write them; compaction merges segments of one level into the next, at most 3. */
  level: number;
  sessionId: string;
  writerId: string;
  createdMs: number;
  /** Every sweep up to this generation has been taken out of `packs`. */
  applied: number;
  /** Segments whose content is in this one: they no longer count where this one is present. */
  superseded: SegmentName[];
  packs: PackRecord[];
}

/** The payload of a segment; packs are put in the order of their names. */
export function encodeSegment(segment: Segment): Uint8Array {
  const packs = segment.packs.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const payload = new Uint8Array(segmentSize(segment));
  assert(payload.length <= SEGMENT_SIZE_MAX, 'index segment too large');
  const view = viewOf(payload);
  payload.set(SEGMENT_MAGIC, 0);
  payload[4] = segment.level;
  payload.set(fromHex(segment.sessionId), 8);
  payload.set(fromHex(segment.writerId), 24);
  view.setBigUint64(40, BigInt(segment.createdMs), true);
  view.setBigUint64(48, BigInt(segment.applied), true);
  view.setUint32(56, packs.length, true);
  view.setUint32(60, segment.superseded.length, true);
  let blobCount = 0;
  let offset = SEGMENT_HEADER_SIZE;
  for (const name of segment.superseded) {
    payload.set(fromHex(name), offset);
    offset += NAME_SIZE;
  }
  for (const pack of packs) {
    writePackRecord(payload, view, { pack, offset });
    blobCount += blobCountOf(pack.body);
    offset += PACK_RECORD_SIZE + pack.body.length;
  }
  view.setBigUint64(64, BigInt(blobCount), true);
  return payload;
}

/** Bytes of the payload of a segment; a writer closes one before it passes its target. */
export function segmentSize(segment: Pick<Segment, 'superseded' | 'packs'>): number {
  let size = SEGMENT_HEADER_SIZE + NAME_SIZE * segment.superseded.length;
  for (const pack of segment.packs) size += PACK_RECORD_SIZE + pack.body.length;
  return size;
}

function writePackRecord(
  payload: Uint8Array,
  view: DataView,
  place: { pack: PackRecord; offset: number },
): void {
  const { pack, offset } = place;
  payload.set(fromHex(pack.name), offset);
  payload.set(pack.salt, offset + 32);
  view.setBigUint64(offset + 64, BigInt(pack.length), true);
  view.setUint32(offset + 72, pack.generation, true);
  view.setUint32(offset + 76, pack.body.length, true);
  view.setUint32(offset + 80, sealedDirectorySize(pack.body.length), true);
  payload[offset + 84] = pack.kind;
  payload.set(pack.body, offset + PACK_RECORD_SIZE);
}

/**
 * Parses a payload. Salts and directory bodies of the result are views of it.
 * @throws Malformed unless every rule of the format holds, for each directory too.
 */
export function parseSegment(payload: Uint8Array): Segment {
  demand(payload.length <= SEGMENT_SIZE_MAX, 'index segment too large');
  const reader = new ByteReader(payload);
  demand(equalBytes(reader.take(4), SEGMENT_MAGIC), 'index segment magic');
  const level = reader.u8();
  demand(level <= SEGMENT_LEVEL_MAX, 'index segment level');
  reader.zeros(3);
  const sessionId = toHex(reader.take(16));
  const writerId = toHex(reader.take(16));
  const createdMs = reader.size();
  const applied = reader.size();
  const packCount = reader.u32();
  const supersededCount = reader.u32();
  const blobCount = reader.size();
  reader.zeros(24);
  const sizeMin = NAME_SIZE * supersededCount + PACK_RECORD_SIZE * packCount;
  demand(sizeMin <= reader.left, 'index segment too short for its counts');
  const superseded: SegmentName[] = [];
  for (let i = 0; i < supersededCount; i++) {
    superseded.push(toHex(reader.take(NAME_SIZE)) as SegmentName);
  }
  const packs = readPackRecords(reader, { packCount, blobCount });
  reader.end();
  return { level, sessionId, writerId, createdMs, applied, superseded, packs };
}

function readPackRecords(
  reader: ByteReader,
  expected: { packCount: number; blobCount: number },
): PackRecord[] {
  const packs: PackRecord[] = [];
  let blobCount = 0;
  let previousName = '';
  for (let i = 0; i < expected.packCount; i++) {
    const pack = readPackRecord(reader);
    demand(pack.name > previousName, 'packs out of order');
    previousName = pack.name;
    blobCount += directoryHeadOf(pack).blobCount;
    packs.push(pack);
  }
  demand(blobCount === expected.blobCount, 'number of blobs differs');
  return packs;
}

function readPackRecord(reader: ByteReader): PackRecord {
  const name = toHex(reader.take(32)) as PackName;
  const salt = reader.take(32);
  const length = reader.size();
  const generation = reader.u32();
  const bodySize = reader.u32();
  demand(reader.u32() === sealedDirectorySize(bodySize), 'length of a sealed directory');
  const kind = reader.u8();
  demand(kind === OBJECT_KIND.dataPack || kind === OBJECT_KIND.metadataPack, 'pack kind');
  reader.zeros(11);
  return { name, kind: kind as PackKind, length, generation, salt, body: reader.take(bodySize) };
}
