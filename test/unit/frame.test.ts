/** Frame records, the frame builder, and the frame codec that binds content to record and offset. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createBlobIdentifier } from '../../src/blob/blob-ids.ts';
import { BLOB_SIZE_MAX, BLOB_TYPE } from '../../src/blob/blob-type.ts';
import { FrameBuilder } from '../../src/frame/frame-builder.ts';
import { decodeWholeFrame, openFrame, sealFrame } from '../../src/frame/frame-codec.ts';
import {
  decodeFrameRecord,
  encodeFrameRecord,
  FRAME_KIND,
  FRAME_RAW_SIZE_MAX,
  type FrameRecord,
} from '../../src/frame/frame-record.ts';
import { KEY_CLASS } from '../../src/keys/key-hierarchy.ts';
import { concatBytes, fromHex, toHex } from '../../src/util/bytes.ts';
import { ZstdCodec } from '../../src/util/zstd.ts';
import { assertRefused, forEachBitFlip, forEachCut } from '../helpers/damaged-bytes.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { counting, testKeys } from '../helpers/test-keys.ts';

const codec = new ZstdCodec();
const identify = createBlobIdentifier(testKeys.blobId);
const record: FrameRecord = {
  storedSize: 0x01020304,
  rawSize: 0x00030201,
  blobCount: 0x0605,
  kind: FRAME_KIND.zstd,
  class: KEY_CLASS.metadata,
};

test('encodeFrameRecord() writes 16 little-endian bytes (I12)', () => {
  const encoded = fromHex('04030201' + '01020300' + '05060000' + '01' + '01' + '0000');

  assert.equal(toHex(encodeFrameRecord(record)), toHex(encoded));
  assert.throws(() => decodeFrameRecord(encoded), /stored length/);
  const possible = { ...record, storedSize: 0x00020304 };
  assert.deepEqual(decodeFrameRecord(encodeFrameRecord(possible)), possible);
});

test('decodeFrameRecord() takes the limits and nothing beyond', () => {
  const one = { ...record, storedSize: 100, rawSize: 500, blobCount: 1 };
  const pad = { storedSize: 16, rawSize: 0, blobCount: 0, kind: FRAME_KIND.pad, class: 0 } as const;
  const stored = { ...one, kind: FRAME_KIND.stored, storedSize: 516 };
  const allowed: FrameRecord[] = [
    { ...one, rawSize: BLOB_SIZE_MAX },
    { ...one, rawSize: FRAME_RAW_SIZE_MAX, blobCount: 2 },
    { ...one, storedSize: 2 ** 24 + 2 ** 17 + 16 },
    { ...one, kind: FRAME_KIND.delta, rawSize: FRAME_RAW_SIZE_MAX, blobCount: 2 ** 20 },
    stored,
    { ...stored, rawSize: BLOB_SIZE_MAX, storedSize: BLOB_SIZE_MAX + 16 },
    pad,
    { ...pad, rawSize: 2 ** 26, storedSize: 2 ** 26 + 16 },
  ];
  const refused: [RegExp, FrameRecord][] = [
    [/raw length/, { ...one, rawSize: BLOB_SIZE_MAX + 1 }],
    [/raw length/, { ...one, rawSize: FRAME_RAW_SIZE_MAX + 1, blobCount: 2 }],
    [/raw length/, { ...one, rawSize: 0 }],
    [/stored length/, { ...one, storedSize: 2 ** 24 + 2 ** 17 + 17 }],
    [/shorter than its tag/, { ...one, storedSize: 15 }],
    [/without blobs/, { ...one, blobCount: 0 }],
    [/stored frame/, { ...stored, storedSize: 515 }],
    [/stored frame/, { ...stored, storedSize: 517 }],
    [/blobs in a pad/, { ...pad, blobCount: 1 }],
    [/class of a pad/, { ...pad, class: KEY_CLASS.metadata }],
    [/length of a pad/, { ...pad, rawSize: 1 }],
    [/frame kind/, { ...one, kind: 4 as FrameRecord['kind'] }],
    [/frame class/, { ...one, class: 2 as FrameRecord['class'] }],
  ];

  for (const frame of allowed) assert.deepEqual(decodeFrameRecord(encodeFrameRecord(frame)), frame);
  for (const [message, frame] of refused) {
    assertRefused(() => decodeFrameRecord(encodeFrameRecord(frame)), message);
  }
  const bytes = encodeFrameRecord(one);
  for (const offset of [14, 15]) {
    const reserved = new Uint8Array(bytes);
    reserved[offset] = 1;
    assertRefused(() => decodeFrameRecord(reserved), /reserved/);
  }
  forEachCut(bytes, (cut) => assertRefused(() => decodeFrameRecord(cut), /passes the end/));
  const longer = concatBytes(bytes, new Uint8Array(1));
  assertRefused(() => decodeFrameRecord(longer), /bytes after the end/);
});

function addBlob(builder: FrameBuilder, plaintext: Uint8Array): void {
  const id = identify(BLOB_TYPE.data, plaintext);
  builder.add({ id, rawSize: plaintext.length, type: BLOB_TYPE.data }, plaintext);
}

test('FrameBuilder compresses what gets smaller and stores what does not', () => {
  const builder = new FrameBuilder(KEY_CLASS.data);
  const text = new Uint8Array(5000).fill(65);
  const noise = seededRandom().bytes(5000);

  addBlob(builder, text);
  const packed = builder.finish(codec, 3);
  assert.equal(packed.record.kind, FRAME_KIND.zstd);
  assert.deepEqual(decodeWholeFrame(codec, packed.record, packed.content), text);
  addBlob(builder, noise);
  const stored = builder.finish(codec, 3);
  assert.deepEqual(stored.record, {
    storedSize: 5016,
    rawSize: 5000,
    blobCount: 1,
    kind: FRAME_KIND.stored,
    class: KEY_CLASS.data,
  });
  assert.deepEqual(stored.content, noise);
  assert.deepEqual(decodeWholeFrame(codec, stored.record, stored.content), noise);
});

test('FrameBuilder never makes a stored frame larger than its blobs', () => {
  const builder = new FrameBuilder(KEY_CLASS.data);
  for (let size = 1; size < 40; size++) {
    addBlob(builder, seededRandom(size).bytes(size));
    assert.equal(builder.finish(codec, 19).record.storedSize, size + 16);
  }
});

test('FrameBuilder is full at 1 MiB and begins anew after finish()', () => {
  const builder = new FrameBuilder(KEY_CLASS.data);
  const blob = new Uint8Array(2 ** 18);

  assert.equal(builder.isEmpty, true);
  for (let i = 0; i < 4; i++) {
    assert.equal(builder.isFull, false);
    addBlob(builder, blob);
  }
  assert.equal(builder.isFull, true);
  assert.throws(() => addBlob(builder, blob), /frame is full/);
  const { record, blobs } = builder.finish(codec, 3);
  assert.deepEqual([record.rawSize, record.blobCount, blobs.length], [2 ** 20, 4, 4]);
  assert.equal(builder.isEmpty, true);
  assert.equal(builder.isFull, false);
});

test('FrameBuilder takes the largest blob alone, and several up to 4 MiB', () => {
  const alone = new FrameBuilder(KEY_CLASS.data);
  const several = new FrameBuilder(KEY_CLASS.data);
  const largest = new Uint8Array(BLOB_SIZE_MAX);
  const rest = new Uint8Array(FRAME_RAW_SIZE_MAX - 1);

  assert.equal(alone.hasRoomFor(BLOB_SIZE_MAX), true);
  addBlob(alone, largest);
  const one = alone.finish(codec, 1);
  addBlob(several, Uint8Array.of(1));
  assert.equal(several.hasRoomFor(rest.length), true);
  assert.equal(several.hasRoomFor(rest.length + 1), false);
  assert.throws(() => addBlob(several, new Uint8Array(rest.length + 1)), /frame is full/);
  addBlob(several, rest);
  const two = several.finish(codec, 1);

  assert.deepEqual(decodeFrameRecord(encodeFrameRecord(one.record)), one.record);
  assert.deepEqual(decodeFrameRecord(encodeFrameRecord(two.record)), two.record);
  assert.equal(two.record.rawSize, FRAME_RAW_SIZE_MAX);
  const raw = decodeWholeFrame(codec, two.record, Uint8Array.from(two.content));
  assert.deepEqual([raw.length, raw[0], raw[1]], [FRAME_RAW_SIZE_MAX, 1, 0]);
});

test('FrameBuilder refuses empty and oversized blobs', () => {
  const builder = new FrameBuilder(KEY_CLASS.data);

  assert.throws(() => addBlob(builder, new Uint8Array(0)), /blob size/);
  assert.throws(() => addBlob(builder, new Uint8Array(BLOB_SIZE_MAX + 1)), /blob size/);
});

test('FrameBuilder copies what it is given', () => {
  const builder = new FrameBuilder(KEY_CLASS.data);
  const plaintext = seededRandom().bytes(100);
  const before = Uint8Array.from(plaintext);

  addBlob(builder, plaintext);
  plaintext.fill(0);

  assert.deepEqual(builder.finish(codec, 3).content, before);
});

test('openFrame() opens a frame only at its offset, with its record and key', () => {
  const key = counting(0x10);
  const content = seededRandom().bytes(100);
  const frame = { ...record, storedSize: 116, rawSize: 400, blobCount: 3 };
  const offset = 2 ** 29 + 5;
  const sealed = concatBytes(...sealFrame(key, { record: frame, offset }, content));

  assert.equal(sealed.length, frame.storedSize);
  assert.deepEqual(openFrame(key, { record: frame, offset }, sealed), content);
  for (const wrong of [0, offset - 1, offset + 1, offset + 2 ** 32]) {
    const place = { record: frame, offset: wrong };
    assertRefused(() => openFrame(key, place, sealed), /authentication tag/);
  }
  for (const change of [
    { storedSize: 117 },
    { rawSize: 401 },
    { blobCount: 2 },
    { kind: FRAME_KIND.delta },
    { class: KEY_CLASS.data },
  ]) {
    const place = { record: { ...frame, ...change }, offset };
    assertRefused(() => openFrame(key, place, sealed), /authentication tag/);
  }
  const otherKey = counting(0x11);
  assertRefused(() => openFrame(otherKey, { record: frame, offset }, sealed), /authentication tag/);
  forEachBitFlip(sealed, (flipped) => {
    assertRefused(() => openFrame(key, { record: frame, offset }, flipped), /authentication tag/);
  });
});

test('openFrame() refuses a pad frame that hides something', () => {
  const key = counting(0x10);
  const pad: FrameRecord = {
    storedSize: 116,
    rawSize: 100,
    blobCount: 0,
    kind: FRAME_KIND.pad,
    class: KEY_CLASS.data,
  };
  const place = { record: pad, offset: 64 };
  const hidden = new Uint8Array(100);
  hidden[99] = 1;

  assert.equal(
    openFrame(key, place, concatBytes(...sealFrame(key, place, new Uint8Array(100)))).length,
    100,
  );
  const sealed = concatBytes(...sealFrame(key, place, hidden));
  assertRefused(() => openFrame(key, place, sealed), /pad frame is not zero/);
});

test('decodeWholeFrame() has nothing to decode in pad and delta frames', () => {
  for (const kind of [FRAME_KIND.pad, FRAME_KIND.delta]) {
    assertRefused(() => decodeWholeFrame(codec, { ...record, kind }, new Uint8Array(9)), /kind/);
  }
});
