/**
 * Directories and frames that a key holder could write: sealed with the right keys, wrong inside.
 * Each is refused by a rule of the directory, by the frame it disagrees with, or by a blob id.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createBlobIdentifier } from '../../src/blob/blob-ids.ts';
import { BLOB_TYPE, type BlobType } from '../../src/blob/blob-type.ts';
import type { BlobRecord, EncodedFrame } from '../../src/frame/frame-builder.ts';
import {
  FRAME_KIND,
  FRAME_RECORD_SIZE,
  type FrameKind,
  type FrameRecord,
} from '../../src/frame/frame-record.ts';
import type { BlobId } from '../../src/id.ts';
import { KEY_CLASS } from '../../src/keys/key-hierarchy.ts';
import {
  BLOB_COUNT_MAX,
  blobRecordSize,
  DIRECTORY_SIZE_MAX,
  FRAME_COUNT_MAX,
  parseDirectory,
} from '../../src/pack/directory.ts';
import { directoryOf } from '../../src/pack/pack-record.ts';
import { OBJECT_KIND } from '../../src/record/object-kind.ts';
import { concatBytes, encodeU32, encodeUtf8, fromHex, toHex } from '../../src/util/bytes.ts';
import { assertRefused, forEachBitFlip } from '../helpers/damaged-bytes.ts';
import { goldenFrames, goldenPlaintexts, openGoldenPack } from '../helpers/golden-pack.ts';
import { makeHostilePack, readEveryBlob } from '../helpers/hostile-pack.ts';
import { testKeys } from '../helpers/test-keys.ts';

const identify = createBlobIdentifier(testKeys.blobId);
const hello = encodeUtf8('hello world');
const emptyLeaf = fromHex('0001000000000000');
const [stored, solid, deltas, tree] = goldenFrames() as [
  EncodedFrame,
  EncodedFrame,
  EncodedFrame,
  EncodedFrame,
];

function blobOf(plaintext: Uint8Array, type: BlobType = BLOB_TYPE.data): BlobRecord {
  return { id: identify(type, plaintext), rawSize: plaintext.length, type };
}

/** A frame whose record follows from its blobs, unless `record` says otherwise. */
function frameOf(
  kind: FrameKind,
  content: Uint8Array,
  blobs: BlobRecord[],
  record: Partial<FrameRecord> = {},
): EncodedFrame {
  const rawSize = blobs.reduce((sum, blob) => sum + blob.rawSize, 0);
  return {
    content,
    blobs,
    record: {
      storedSize: content.length + 16,
      rawSize,
      blobCount: blobs.length,
      kind,
      class: KEY_CLASS.data,
      ...record,
    },
  };
}

function storedFrame(plaintext: Uint8Array, record?: Partial<FrameRecord>): EncodedFrame {
  return frameOf(FRAME_KIND.stored, plaintext, [blobOf(plaintext)], record);
}

function readFrames(...frames: EncodedFrame[]): Map<string, Uint8Array> {
  return readEveryBlob(makeHostilePack({ frames }));
}

/** Reads the golden pack after a change of its directory plaintext. */
function readEdited(edit: (plaintext: Uint8Array) => void): Map<string, Uint8Array> {
  return readEveryBlob(makeHostilePack({ frames: goldenFrames(), editDirectory: edit }));
}

const FRAME_COUNT = 5;
const golden = openGoldenPack();

/** Where each blob record of the golden directory begins, and where the padding does. */
const recordOffsets: number[] = [64 + FRAME_RECORD_SIZE * FRAME_COUNT];
for (const blob of golden.directory.blobs) {
  recordOffsets.push((recordOffsets.at(-1) as number) + blobRecordSize(blob));
}

/** Bits of the directory that say nothing a reader could check. */
function isFreeBit(offset: number, bit: number): boolean {
  if (offset >= 16 && offset < 48) return true; // session and writer
  if (offset >= 48 && offset < 56) return 8 * (offset - 48) + bit < 53; // time, below 2^53
  for (const [slot, blob] of golden.directory.blobs.entries()) {
    const at = offset - (recordOffsets[slot] as number);
    if (blob.features !== undefined && at >= 40 && at < 64) return true;
    if (blob.delta !== undefined && at === 38) {
      const depth = blob.delta.depth ^ (1 << bit);
      return depth >= 1 && depth <= 32;
    }
  }
  return false;
}

test('every bit of a sealed directory is either free or refused', () => {
  const plaintext = new Uint8Array(636);
  let freeCount = 0;

  readEdited((directory) => plaintext.set(directory.subarray(0, plaintext.length)));
  assert.equal(golden.record.body.length, recordOffsets.at(-1));
  forEachBitFlip(plaintext.subarray(0, golden.record.body.length), (flipped, { offset, bit }) => {
    const read = () => readEdited((directory) => directory.set(flipped));
    if (!isFreeBit(offset, bit)) return assertRefused(read, `byte ${offset} bit ${bit}`);
    assert.deepEqual(read(), new Map(goldenPlaintexts));
    freeCount += 1;
  });

  assert.equal(freeCount, 32 * 8 + 53 + 24 * 8 + 12);
});

test('the directory of a pack: padding, order and sums', () => {
  const frameAt = (i: number): number => 64 + FRAME_RECORD_SIZE * i;
  const swap = (bytes: Uint8Array, [a, b, size]: [number, number, number]): void => {
    const first = bytes.slice(a, a + size);
    bytes.copyWithin(a, b, b + size);
    bytes.set(first, b);
  };
  const edits: [RegExp, (plaintext: Uint8Array) => void][] = [
    [/reserved/, (d) => d.set([1], d.length - 1)],
    [/reserved/, (d) => d.set([1], golden.record.body.length)],
    [/number of frames/, (d) => d.set(encodeU32(0), 4)],
    [/number of frames/, (d) => d.set(encodeU32(FRAME_COUNT_MAX + 1), 4)],
    [/number of frames/, (d) => d.set(encodeU32(2 ** 32 - 1), 4)],
    [/too short for its counts/, (d) => d.set(encodeU32(FRAME_COUNT_MAX), 4)],
    [/too short for its counts/, (d) => d.set(encodeU32(BLOB_COUNT_MAX), 8)],
    [/number of blobs/, (d) => d.set(encodeU32(BLOB_COUNT_MAX + 1), 8)],
    [/number of blobs/, (d) => d.set(encodeU32(2 ** 32 - 1), 8)],
    [/body length/, (d) => d.set(encodeU32(2 ** 32 - 1), 12)],
    [/body length/, (d) => d.set(encodeU32(d.length + 1), 12)],
    [/body length differs/, (d) => d.set(encodeU32(golden.record.body.length + 1), 12)],
    [/pad frame is not last/, (d) => swap(d, [frameAt(3), frameAt(4), 16])],
    [/pad frame is not last/, (d) => d.set([0, 0, 0, 0, FRAME_KIND.pad], frameAt(0) + 8)],
    [/pad frame is not last/, (d) => d.set([1, 0, 0, 0, FRAME_KIND.stored], frameAt(4) + 8)],
    [/frame kind/, (d) => d.set([4], frameAt(0) + 12)],
    [/frame class/, (d) => d.set([2], frameAt(0) + 13)],
    [/shorter than its tag/, (d) => d.set(encodeU32(15), frameAt(0))],
    [/frame without blobs/, (d) => d.set(encodeU32(0), frameAt(0) + 8)],
    [/number of blobs differs/, (d) => d.set(encodeU32(2 ** 32 - 1), frameAt(1) + 8)],
    [/number of blobs differs/, (d) => d.set(encodeU32(10), 8)],
    [/blobs in a pad frame/, (d) => d.set(encodeU32(1), frameAt(4) + 8)],
    [/class of a pad frame/, (d) => d.set([KEY_CLASS.metadata], frameAt(4) + 13)],
    [/length of a pad frame/, (d) => d.set(encodeU32(1), frameAt(4) + 4)],
    [/do not end at the directory/, (d) => d.set(encodeU32(481), frameAt(1))],
    [/does not fit the frame class/, (d) => d.set([KEY_CLASS.metadata], frameAt(0) + 13)],
    [/sum of raw lengths/, (d) => d.set(encodeU32(1335), frameAt(1) + 4)],
  ];

  for (const [message, edit] of edits) assertRefused(() => readEdited(edit), message);
});

test('blob records of a pack', () => {
  const at = (slot: number, field: number): number => (recordOffsets[slot] as number) + field;
  const edits: [RegExp, (plaintext: Uint8Array) => void][] = [
    [/raw length of a blob/, (d) => d.set(encodeU32(0), at(0, 32))],
    [/raw length of a blob/, (d) => d.set(encodeU32(2 ** 24 + 1), at(0, 32))],
    [/blob type/, (d) => d.set([0], at(0, 36))],
    [/blob type/, (d) => d.set([5], at(8, 36))],
    [/blob type/, (d) => d.set([BLOB_TYPE.treePage], at(0, 36))],
    [/blob type/, (d) => d.set([BLOB_TYPE.data], at(8, 36))],
    [/blob flags/, (d) => d.set([4], at(0, 37))],
    [/delta flag/, (d) => d.set([1], at(0, 37))],
    [/delta flag/, (d) => d.set([0], at(5, 37))],
    [/depth of a whole blob/, (d) => d.set([1], at(0, 38))],
    [/delta depth/, (d) => d.set([0], at(5, 38))],
    [/delta depth/, (d) => d.set([33], at(5, 38))],
    [/reserved/, (d) => d.set([1], at(0, 39))],
    [/encoded length of a delta/, (d) => d.set(encodeU32(8), at(5, 40))],
    [/sum of encoded lengths/, (d) => d.set(encodeU32(54), at(5, 40))],
    [/delta on itself/, (d) => d.copyWithin(at(5, 44), at(5, 0), at(5, 32))],
    [/base is missing/, (d) => d.fill(1, at(5, 44), at(5, 76))],
    // The decompressor does not know the base; the id does.
    [/another id|^zstd/, (d) => d.copyWithin(at(5, 44), at(0, 0), at(0, 32))],
  ];

  for (const [message, edit] of edits) assertRefused(() => readEdited(edit), message);
});

test('a metadata frame in a data pack is refused (F06)', () => {
  const kind = OBJECT_KIND.dataPack;
  const bytes = makeHostilePack({ frames: goldenFrames(), kind });

  assertRefused(() => readEveryBlob(bytes, { kind }), /metadata frame in a data pack/);
});

test('blobs of the wrong class are refused (F06)', () => {
  const asTree = frameOf(FRAME_KIND.stored, hello, [blobOf(hello, BLOB_TYPE.treePage)]);
  const asData = frameOf(FRAME_KIND.stored, hello, [blobOf(hello)], { class: KEY_CLASS.metadata });

  assertRefused(() => readFrames(asTree), /blob type/);
  assertRefused(() => readFrames(asData), /blob type/);
});

test('file content offered as tree page, list or attributes has another id (F01)', () => {
  const types = [BLOB_TYPE.treePage, BLOB_TYPE.chunkList, BLOB_TYPE.attributes];
  const metadata = { class: KEY_CLASS.metadata };

  assert.equal(readFrames(tree).size, 1);
  for (const type of types) {
    const planted = { ...blobOf(emptyLeaf), type };
    const frame = frameOf(FRAME_KIND.stored, emptyLeaf, [planted], metadata);
    assertRefused(() => readFrames(frame), /another id/);
    for (const other of types.filter((each) => each !== type)) {
      const moved = { ...blobOf(emptyLeaf, other), type };
      assertRefused(() => readFrames(frameOf(0, emptyLeaf, [moved], metadata)), /another id/);
    }
  }
});

test('wrong bytes under a good id are refused', () => {
  const wrong = { ...blobOf(hello), id: blobOf(encodeUtf8('hello, word')).id };

  assertRefused(() => readFrames(frameOf(FRAME_KIND.stored, hello, [wrong])), /another id/);
});

test('blobs that share a frame cannot trade their bytes', () => {
  const pair = concatBytes(hello, emptyLeaf);
  const blobs = [blobOf(hello), blobOf(emptyLeaf)];
  const moved = blobs.map((blob, i) => ({ ...blob, rawSize: blob.rawSize + (i === 0 ? 1 : -1) }));

  assert.equal(readFrames(frameOf(FRAME_KIND.stored, pair, blobs)).size, 2);
  assertRefused(() => readFrames(frameOf(FRAME_KIND.stored, pair, moved)), /another id/);
  assertRefused(() => readFrames(frameOf(FRAME_KIND.stored, pair, blobs.toReversed())), /another/);
});

test('a zstd frame must be exactly one frame of exactly the stated content (I21)', () => {
  const { content, blobs } = solid;
  const [first, second] = blobs as [BlobRecord, BlobRecord];
  const shorter = [{ ...first, rawSize: first.rawSize - 1 }, second];
  const contents: [RegExp, Uint8Array, BlobRecord[]][] = [
    [/exactly one/, concatBytes(content, content), blobs],
    [/exactly one/, concatBytes(content, Uint8Array.of(0)), blobs],
    [/cut short|exactly one/, content.subarray(0, -1), blobs],
    [/content size/, content, shorter],
    [/content size/, content, [first]],
    [/magic/, new Uint8Array(0), blobs],
    [/magic/, concatBytes(...[...goldenPlaintexts.values()].slice(3, 5)), blobs],
  ];

  assert.equal(readFrames(solid).size, 2);
  for (const [message, bytes, records] of contents) {
    assertRefused(() => readFrames(frameOf(FRAME_KIND.zstd, bytes, records)), message);
  }
});

test('limits of frames are refused before anything is opened', () => {
  const one = storedFrame(hello);
  const limits: [RegExp, Partial<FrameRecord>][] = [
    [/raw length of a frame/, { rawSize: 2 ** 24 + 1 }],
    [/raw length of a frame/, { rawSize: 2 ** 22 + 1, blobCount: 2 }],
    [/raw length of a frame/, { rawSize: 0 }],
    [/stored length of a frame/, { storedSize: 2 ** 24 + 2 ** 17 + 17, kind: FRAME_KIND.zstd }],
    [/length of a stored frame/, { rawSize: 12 }],
    [/length of a stored frame/, { storedSize: 28 }],
  ];

  for (const [message, record] of limits) {
    const frame = { ...one, record: { ...one.record, ...record } };
    assertRefused(() => readFrames(frame), message);
  }
});

test('deltas without their base, on the wrong one, or with wrong lengths are refused', () => {
  const [first, second] = deltas.blobs as [BlobRecord, BlobRecord];
  const size = first.delta?.encodedSize as number;
  const firstContent = deltas.content.subarray(0, size);
  const secondContent = deltas.content.subarray(size, size + (second.delta?.encodedSize ?? 0));
  const onto = (blob: BlobRecord, base: BlobId): BlobRecord => ({
    ...blob,
    delta: { encodedSize: blob.delta?.encodedSize as number, base, depth: 1 },
  });
  const base = solid.blobs[1]?.id as BlobId;
  const wrongBase = onto(second, base);

  assert.equal(readFrames(stored, solid, deltas).size, 8);
  assertRefused(() => readFrames(frameOf(FRAME_KIND.delta, firstContent, [first])), /missing/);
  const strayed = frameOf(FRAME_KIND.delta, secondContent, [wrongBase]);
  assertRefused(() => readFrames(solid, strayed), /another id|^zstd/);
  const self = frameOf(FRAME_KIND.delta, firstContent, [onto(first, first.id)]);
  assertRefused(() => readFrames(solid, self), /delta on itself/);
  const longer = frameOf(FRAME_KIND.delta, concatBytes(firstContent, hello), [first]);
  assertRefused(() => readFrames(solid, longer), /sum of encoded lengths/);
});

test('a pad frame that holds anything, or a length outside the Padmé set, is refused', () => {
  const frames = goldenFrames();

  assertRefused(() => readEveryBlob(makeHostilePack({ frames, padByte: 1 })), /not zero/);
  for (const padExtra of [-1, 1, 32]) {
    assertRefused(() => readEveryBlob(makeHostilePack({ frames, padExtra })), /pack length/);
  }
});

test('parseDirectory() takes a directory with and without its padding, for its own pack only', () => {
  const { body, kind, length } = golden.record;
  const frameEnd = golden.directory.frames.reduce((end, frame) => end + frame.storedSize, 64);
  const padded = concatBytes(body, new Uint8Array(4));

  assert.equal(toHex(parseDirectory(body, { kind, frameEnd }).blobs[0]?.id as BlobId).length, 64);
  assert.equal(parseDirectory(padded, { kind, frameEnd }).bodySize, body.length);
  assert.equal(directoryOf(golden.record).frames.length, FRAME_COUNT);
  for (let size = 0; size < body.length; size++) {
    const cut = body.subarray(0, size);
    assertRefused(() => parseDirectory(cut, { kind, frameEnd }), `cut to ${size}`);
  }
  for (const wrong of [frameEnd - 1, frameEnd + 1]) {
    assertRefused(() => parseDirectory(body, { kind, frameEnd: wrong }), /end at the directory/);
  }
  assertRefused(
    () => directoryOf({ ...golden.record, length: length + 128 }),
    /end at the directory/,
  );
  assertRefused(() => directoryOf({ ...golden.record, length: length + 1 }), /pack length/);
  assertRefused(() => directoryOf({ ...golden.record, length: 2 ** 31 }), /pack length/);
  assertRefused(() => directoryOf({ ...golden.record, body: padded }), /body length/);
});

test('parseDirectory() refuses the largest counts without allocating for them (I22)', () => {
  const header = new Uint8Array(64);
  const tooLarge = new Uint8Array(DIRECTORY_SIZE_MAX + 17);
  header.set(golden.record.body.subarray(0, 64));
  header.set(encodeU32(FRAME_COUNT_MAX), 4);
  header.set(encodeU32(BLOB_COUNT_MAX), 8);
  header.set(encodeU32(64), 12);
  const pack = { kind: OBJECT_KIND.metadataPack, frameEnd: 2 ** 30 };

  assertRefused(() => parseDirectory(header, pack), /too short for its counts/);
  assertRefused(() => parseDirectory(tooLarge, pack), /directory too large/);
});
