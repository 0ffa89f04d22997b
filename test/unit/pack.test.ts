/** The pack builder and reader: limits, lengths, and reading a pack by its end alone. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { createBlobIdentifier } from '../../src/blob/blob-ids.ts';
import { BLOB_TYPE } from '../../src/blob/blob-type.ts';
import type { EncodedFrame } from '../../src/frame/frame-builder.ts';
import { FRAME_KIND } from '../../src/frame/frame-record.ts';
import type { BlobId, PackName, RepositoryId } from '../../src/id.ts';
import { deriveKeys, KEY_CLASS } from '../../src/keys/key-hierarchy.ts';
import {
  directoryBodySize,
  encodeBlobRecords,
  encodeDirectory,
  FRAME_COUNT_MAX,
  parseDirectory,
} from '../../src/pack/directory.ts';
import {
  encodedDelta,
  openDirectory,
  packKeysOf,
  parseTrailer,
  verifyPack,
} from '../../src/pack/pack-reader.ts';
import {
  directoryOf,
  PACK_SIZE_MAX,
  packStorageName,
  sealedDirectorySize,
  TRAILER_SIZE,
} from '../../src/pack/pack-record.ts';
import { OBJECT_KIND } from '../../src/record/object-kind.ts';
import { encodeUtf8, toHex } from '../../src/util/bytes.ts';
import { padme } from '../../src/util/padme.ts';
import { ZstdCodec } from '../../src/util/zstd.ts';
import { assertRefused } from '../helpers/damaged-bytes.ts';
import { goldenPackBytes, openGoldenPack } from '../helpers/golden-pack.ts';
import { openUnderOwnName, readEveryBlob } from '../helpers/hostile-pack.ts';
import { makeFrame, newPackBuilder } from '../helpers/pack-making.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { counting, testKeys, testSalt, testSession, testWriter } from '../helpers/test-keys.ts';

const hello = encodeUtf8('hello world');
const helloFrame = makeFrame([{ type: BLOB_TYPE.data, plaintext: hello }]);

/** The rule of the format in whole numbers. */
function padmeOf(length: bigint): bigint {
  const bitLength = (value: bigint): bigint => BigInt(value.toString(2).length);
  if (length < 2n) return length;
  const exponent = bitLength(length) - 1n;
  const zeroBits = exponent - bitLength(exponent);
  if (zeroBits <= 0n) return length;
  const step = 1n << zeroBits;
  return ((length + step - 1n) / step) * step;
}

test('padme() follows the rule, also next to powers of two', () => {
  const lengths = [...Array(5000).keys()];
  for (let power = 0; power < 53; power++) {
    for (const step of [-2, -1, 0, 1, 2]) lengths.push(2 ** power + step);
  }
  const random = seededRandom();
  for (let i = 0; i < 2000; i++) lengths.push(random.below(2 ** (1 + random.below(52))));

  for (const length of lengths.filter((each) => each >= 0 && Number.isSafeInteger(each))) {
    const padded = padme(length);
    assert.equal(BigInt(padded), padmeOf(BigInt(length)), `${length}`);
    assert(padded >= length && padded <= length * 1.12 + 1);
    assert.equal(padme(padded), padded);
  }
});

test('a pack of one small blob is read back', () => {
  const builder = newPackBuilder();

  assert.equal(builder.isEmpty, true);
  builder.append(helloFrame);
  assert.equal(builder.isEmpty, false);
  const { bytes, record } = builder.finish();

  assert.equal(record.name, createHash('sha256').update(bytes).digest('hex'));
  assert.equal(record.length, bytes.length);
  assert.deepEqual(record.salt, testSalt);
  assert.deepEqual([...readEveryBlob(bytes).values()], [hello]);
  const { directory } = openUnderOwnName(bytes);
  assert.deepEqual(directoryOf(record), directory);
  assert.equal(directory.sessionId, testSession);
  assert.equal(directory.writerId, testWriter);
  assert.equal(directory.createdMs, 1_700_000_000_000);
});

test('a pack without frames cannot be finished', () => {
  assert.throws(() => newPackBuilder().finish(), /pack without frames/);
  assert.throws(() => newPackBuilder({ sizeTarget: PACK_SIZE_MAX + 1 }), /pack size target/);
});

test('the salt of a pack is drawn once, for its first content', () => {
  const drawnFor: string[] = [];
  const builder = newPackBuilder({
    newSalt: (content) => {
      drawnFor.push(toHex(content));
      return testSalt;
    },
  });

  for (let i = 0; i < 5; i++) builder.append(helloFrame);
  builder.finish();

  assert.deepEqual(drawnFor, [toHex(helloFrame.content)]);
});

test('packs are sealed with the current generation and read with theirs', () => {
  const material = {
    repositoryId: counting(0x40) as RepositoryId,
    dedupSecret: counting(0x20),
    generations: [
      { number: 0, rootSecret: counting(0) },
      { number: 3, rootSecret: counting(1) },
    ],
  };
  const before = deriveKeys({ ...material, current: 0 });
  const after = deriveKeys({ ...material, current: 3 });
  const oldBuilder = newPackBuilder({ keys: before });
  const newBuilder = newPackBuilder({ keys: after });
  oldBuilder.append(helloFrame);
  newBuilder.append(helloFrame);
  const oldPack = oldBuilder.finish();
  const newPack = newBuilder.finish();

  assert.equal(oldPack.record.generation, 0);
  assert.equal(newPack.record.generation, 3);
  assert.equal(readEveryBlob(oldPack.bytes, { keys: after }).size, 1);
  assert.equal(readEveryBlob(newPack.bytes, { keys: before }).size, 1);
  assertRefused(() => readEveryBlob(newPack.bytes), /key generation 3/);
  assertRefused(() => packKeysOf(testKeys, newPack.record), /key generation 3/);
});

test('hasRoomFor() keeps a pack within its target, to the byte', () => {
  const sizeTarget = 2 ** 16;
  const noise = seededRandom().bytes(2 ** 16);
  const builder = newPackBuilder({ sizeTarget });
  builder.append(makeFrame([{ type: BLOB_TYPE.data, plaintext: noise.subarray(0, 30_000) }]));

  let largest = 0;
  for (let size = 30_000; size < 40_000; size++) {
    const blob = { type: BLOB_TYPE.data, plaintext: noise.subarray(0, size) };
    const record = { ...helloFrame.record, storedSize: size + 16, rawSize: size };
    const frame = { record, content: blob.plaintext, blobs: helloFrame.blobs };
    if (!builder.hasRoomFor(frame)) break;
    largest = size;
  }
  builder.append(makeFrame([{ type: BLOB_TYPE.data, plaintext: noise.subarray(0, largest) }]));
  const { bytes } = builder.finish();
  const pad = openUnderOwnName(bytes).directory.frames.at(-1);

  assert.equal(bytes.length, sizeTarget);
  assert.equal(pad?.rawSize, 0, 'one byte more would not have fitted');
});

test('a frame larger than the target gets a pack of its own', () => {
  const builder = newPackBuilder({ sizeTarget: 2 ** 12 });
  const plaintext = seededRandom().bytes(2 ** 14);
  const frame = makeFrame([{ type: BLOB_TYPE.data, plaintext }]);

  assert.equal(builder.hasRoomFor(frame), true);
  builder.append(frame);
  assert.equal(builder.hasRoomFor(helloFrame), false);
  assert.deepEqual([...readEveryBlob(builder.finish().bytes).values()], [plaintext]);
});

test('hasRoomFor() stops at the number of frames', () => {
  const builder = newPackBuilder({ sizeTarget: PACK_SIZE_MAX });

  let count = 0;
  for (; builder.hasRoomFor(helloFrame); count++) builder.append(helloFrame);
  const { directory } = openUnderOwnName(builder.finish().bytes);

  assert.equal(count, FRAME_COUNT_MAX - 1);
  assert.equal(directory.frames.length, FRAME_COUNT_MAX);
});

test('hasRoomFor() stops at 65,536 blobs', () => {
  const builder = newPackBuilder({ sizeTarget: PACK_SIZE_MAX });
  const quarter: EncodedFrame = {
    record: { ...helloFrame.record, rawSize: 2 ** 14, blobCount: 2 ** 14 },
    content: hello,
    blobs: new Array(2 ** 14).fill({ ...helloFrame.blobs[0], rawSize: 1 }),
  };

  for (let i = 0; i < 3; i++) builder.append(quarter);
  assert.equal(builder.hasRoomFor(quarter), true);
  builder.append(helloFrame);
  assert.equal(builder.hasRoomFor(quarter), false);
});

test('parseTrailer() and openDirectory() read a pack by its last bytes', () => {
  const { name, length, body } = openGoldenPack().record;
  const kind = OBJECT_KIND.metadataPack;
  const tail = goldenPackBytes.subarray(-TRAILER_SIZE);
  const trailer = parseTrailer(testKeys, tail, { kind, length });
  const start = length - TRAILER_SIZE - trailer.directorySize;
  const sealed = goldenPackBytes.subarray(start, length - TRAILER_SIZE);

  const { record, directory } = openDirectory(testKeys, trailer, { name, length, sealed });

  assert.equal(trailer.directorySize, sealedDirectorySize(body.length));
  assert.equal(toHex(record.body), toHex(body));
  assert.deepEqual(directory, openGoldenPack().directory);
  for (const wrong of [length - 1, length + 1, 2 * length, 128 * 18]) {
    assertRefused(() => parseTrailer(testKeys, tail, { kind, length: wrong }), /pack length/);
  }
  const dataPack = { kind: OBJECT_KIND.dataPack, length };
  assertRefused(() => parseTrailer(testKeys, tail, dataPack), /object kind/);
  assertRefused(() => parseTrailer(testKeys, tail.subarray(1), { kind, length }), /trailer/);
  for (const cut of [sealed.subarray(1), sealed.subarray(0, -1), new Uint8Array(0)]) {
    const pack = { name, length, sealed: cut };
    assertRefused(() => openDirectory(testKeys, trailer, pack), /authentication tag/);
  }
});

test('verifyPack() hands out every delta with its encoded bytes', () => {
  const pack = openGoldenPack();
  const tools = { codec: new ZstdCodec(), identify: createBlobIdentifier(testKeys.blobId) };
  const sizes: number[] = [];

  verifyPack(pack, tools, (blob, encoded) => {
    assert.equal(encoded.length, blob.delta?.encodedSize);
    assert.equal(toHex(encoded.subarray(0, 4)), '28b52ffd');
    sizes.push(encoded.length);
  });

  assert.deepEqual(sizes, [53, 54, 23]);
  const [whole] = pack.directory.blobs;
  assert(whole);
  assert.equal(encodedDelta(whole, hello).length, 0);
});

test('encodeDirectory() and parseDirectory() agree on every optional part', () => {
  const id = (first: number): BlobId => counting(first) as BlobId;
  const type = BLOB_TYPE.data;
  const delta = { encodedSize: 9, base: id(9), depth: 32 };
  const features = counting(7, 24);
  const blobs = [
    { id: id(1), rawSize: 7, type },
    { id: id(2), rawSize: 5, type, features },
    { id: id(3), rawSize: 6, type, delta },
    { id: id(4), rawSize: 2 ** 22 - 6, type, delta: { ...delta, depth: 1 }, features },
  ];
  const frames = [
    { storedSize: 28, rawSize: 12, blobCount: 2, kind: FRAME_KIND.stored, class: KEY_CLASS.data },
    {
      storedSize: 34,
      rawSize: 2 ** 22,
      blobCount: 2,
      kind: FRAME_KIND.delta,
      class: KEY_CLASS.data,
    },
    { storedSize: 16, rawSize: 0, blobCount: 0, kind: FRAME_KIND.pad, class: KEY_CLASS.data },
  ];
  const identity = { sessionId: testSession, writerId: testWriter, createdMs: 0 };
  const blobRecords = encodeBlobRecords(blobs);
  const described = { blobCount: blobs.length, blobRecords: [blobRecords] };
  const body = encodeDirectory({ ...identity, frames, ...described });

  const parsed = parseDirectory(body, { kind: OBJECT_KIND.dataPack, frameEnd: 64 + 78 });

  assert.equal(body.length, directoryBodySize(3, blobRecords.length));
  assert.equal(body.length, 64 + 3 * 16 + 40 + 64 + 76 + 100);
  assert.deepEqual(parsed, {
    ...identity,
    bodySize: body.length,
    blobCount: blobs.length,
    frames: frames.map((frame, i) => ({ ...frame, offset: [64, 92, 126][i] })),
    blobs: blobs.map((blob, i) => ({
      ...blob,
      frame: i >> 1,
      rawOffset: [0, 7, 0, 6][i],
      encodedOffset: [0, 0, 0, 9][i],
    })),
  });
});

test('packStorageName() shards by kind and first byte', () => {
  const name = 'ab'.repeat(32) as PackName;

  assert.equal(packStorageName({ name, kind: OBJECT_KIND.dataPack }), `data/ab/${name}`);
  assert.equal(packStorageName({ name, kind: OBJECT_KIND.metadataPack }), `meta/ab/${name}`);
});
