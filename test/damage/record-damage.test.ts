/** Damaged, renamed and rearranged sealed objects, of one part and of several: all are refused. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { keyedHash } from '../../src/keys/blake3.ts';
import type { RepositoryKeys } from '../../src/keys/key-hierarchy.ts';
import { OBJECT_KIND, type ObjectKind, RECORD_SIZE_MAX } from '../../src/record/object-kind.ts';
import { openObject, sealObject, sealParts } from '../../src/record/sealed-object.ts';
import {
  concatBytes,
  encodeU32,
  encodeU64,
  encodeUtf8,
  fromHex,
  toHex,
} from '../../src/util/bytes.ts';
import { ZstdCodec } from '../../src/util/zstd.ts';
import {
  assertRefused,
  assertTooNew,
  forEachBitFlip,
  forEachCut,
} from '../helpers/damaged-bytes.ts';
import { counting, deriveTestKeys, testKeys, testSalt } from '../helpers/test-keys.ts';
import { readVectors } from '../helpers/vectors.ts';

interface ObjectVector {
  kind: ObjectKind;
  name: string;
  file: string;
}
const objectVectors = readVectors('object-vectors.json') as {
  part_size: number;
  plain: ObjectVector & { payload: string };
  zstd: ObjectVector & { payload_sha256: string; payload_size: number; compressed: string };
};
const formatVectors = readVectors('format-vectors.json') as {
  snapshot: { name: string; file: string };
  fence: { name: string; file: string };
};
const { plain, zstd, part_size: partSizeMax } = objectVectors;
const { snapshot, fence } = formatVectors;

const fenceObject: ObjectVector = { ...fence, kind: OBJECT_KIND.fence };

/** One object of each make: several parts, compressed, one part, and the smallest there is. */
const goldenObjects: Record<string, ObjectVector> = {
  plain,
  zstd,
  snapshot: { ...snapshot, kind: OBJECT_KIND.snapshot },
  fence: fenceObject,
};

function open(
  file: Uint8Array,
  { kind, name, keys = testKeys }: { kind: ObjectKind; name: string; keys?: RepositoryKeys },
): Uint8Array {
  return openObject(keys, file, { kinds: [kind], name }).payload;
}

/** Seals any joined plaintext as a snapshot in parts of any size. */
function sealRaw(plaintext: Uint8Array, size = 2 ** 20): Uint8Array {
  const { name } = zstd;
  return sealParts(
    testKeys,
    { kind: OBJECT_KIND.snapshot, name },
    { salt: testSalt, plaintext, partSizeMax: size },
  );
}

function joinedPlaintext(compression: number, length: number | bigint, payload: Uint8Array) {
  return concatBytes(Uint8Array.of(compression), encodeU64(length), payload);
}

test('sealParts() and openObject() agree with the vectors of several parts', () => {
  const payload = fromHex(plain.payload);
  const compressed = fromHex(zstd.compressed);

  const plainFile = sealParts(testKeys, plain, {
    salt: testSalt,
    plaintext: joinedPlaintext(0, payload.length, payload),
    partSizeMax,
  });
  const zstdFile = sealRaw(joinedPlaintext(1, zstd.payload_size, compressed), partSizeMax);
  const text = open(fromHex(zstd.file), zstd);

  assert.equal(toHex(plainFile), plain.file);
  assert.equal(toHex(zstdFile), zstd.file);
  assert.equal(toHex(open(fromHex(plain.file), plain)), plain.payload);
  assert.equal(text.length, zstd.payload_size);
  assert.equal(createHash('sha256').update(text).digest('hex'), zstd.payload_sha256);
});

for (const [label, golden] of Object.entries(goldenObjects)) {
  const file = fromHex(golden.file);

  test(`openObject() refuses every flipped bit of the object "${label}"`, () => {
    forEachBitFlip(file, (flipped, { offset, bit }) => {
      const where = `byte ${offset} bit ${bit}`;
      const isLaterMajor = offset === 8 && bit > 0;
      if (isLaterMajor) assertTooNew(() => open(flipped, golden), where);
      else assertRefused(() => open(flipped, golden), where);
    });
  });

  test(`openObject() refuses every cut and extension of the object "${label}"`, () => {
    forEachCut(file, (cut) => assertRefused(() => open(cut, golden), `cut to ${cut.length}`));
    const extensions = [Uint8Array.of(0), new Uint8Array(4), file.subarray(64), file];
    for (const extra of extensions) {
      assertRefused(() => open(concatBytes(file, extra), golden), `${extra.length} bytes behind`);
    }
  });
}

test('openObject() refuses parts that were dropped, swapped, repeated or joined', () => {
  const file = fromHex(plain.file);
  const partSize = 4 + partSizeMax + 16;
  const header = file.subarray(0, 64);
  const first = file.subarray(64, 64 + partSize);
  const second = file.subarray(64 + partSize, 64 + 2 * partSize);
  const last = file.subarray(64 + 2 * partSize);
  const joined = concatBytes(encodeU32(2 * partSize - 4), first.subarray(4), second);
  const rearranged: Record<string, Uint8Array[]> = {
    none: [],
    'only the first': [first],
    'only the last': [last],
    'last dropped': [first, second],
    'first dropped': [second, last],
    'middle dropped': [first, last],
    swapped: [second, first, last],
    'last moved up': [first, last, second],
    'first repeated': [first, first, second, last],
    'last repeated': [first, second, last, last],
    joined: [joined, last],
  };

  assert.equal(toHex(concatBytes(header, first, second, last)), plain.file);
  for (const [label, parts] of Object.entries(rearranged)) {
    assertRefused(() => open(concatBytes(header, ...parts), plain), label);
  }
});

test('openObject() refuses parts of another object of equal shape', () => {
  const seal = (salt: Uint8Array) =>
    sealParts(testKeys, plain, { salt, plaintext: fromHex(`00${plain.payload}`), partSizeMax });
  const file = seal(testSalt);
  const other = seal(counting(0x61));

  const spliced = concatBytes(file.subarray(0, 64), other.subarray(64));

  assert.equal(file.length, other.length);
  assertRefused(() => open(spliced, plain), /authentication tag/);
});

test('openObject() opens an object only as its own kind, under its own name, with its own keys', () => {
  const kinds = Object.values(OBJECT_KIND).filter((kind) => kind >= OBJECT_KIND.segment);
  const names = ['', 'config', `snapshots/${'0'.repeat(32)}`, `snapshots/${'1'.repeat(32)}`];
  const identities = kinds.flatMap((kind) => names.map((name) => ({ kind, name })));
  const payload = Uint8Array.of(1, 2, 3);

  for (const identity of identities) {
    const file = sealObject(testKeys, identity, { payload, salt: testSalt });
    for (const as of identities) {
      if (as === identity) assert.deepEqual([...open(file, as)], [1, 2, 3]);
      else assertRefused(() => open(file, as), `${identity.kind} as ${as.kind}`);
      // Listing the kind as allowed is not enough for another name.
      if (as.name === identity.name) continue;
      const expected = { kinds, name: as.name };
      assertRefused(() => openObject(testKeys, file, expected), /header authentication/);
    }
    for (const keys of [
      deriveTestKeys({ repositoryId: 0x41 }),
      deriveTestKeys({ rootSecret: 1 }),
    ]) {
      assertRefused(() => open(file, { ...identity, keys }), /header authentication/);
    }
  }
});

test('openObject() tells which of several allowed kinds it found', () => {
  const { name } = fence;
  const kinds = [OBJECT_KIND.snapshot, OBJECT_KIND.fence];

  assert.equal(openObject(testKeys, fromHex(fence.file), { kinds, name }).kind, OBJECT_KIND.fence);
  assert.equal(openObject(testKeys, fromHex(snapshot.file), { kinds, name }).kind, 4);
});

test('openObject() refuses a key generation that the ring does not hold', () => {
  const file = fromHex(fence.file);
  file[12] = 1;

  assertRefused(() => open(file, fenceObject), /key generation 1/);
});

test('openObject() refuses flags that a key holder set', () => {
  const file = fromHex(fence.file);
  for (const [offset, message] of [
    [10, /^flags$/],
    [11, /^flags$/],
    [9, /object kind 4/],
  ] as const) {
    const header = file.slice(0, 48);
    header[offset] = (header[offset] as number) ^ 1;
    const mac = keyedHash(
      testKeys.current.headerMac,
      testKeys.repositoryId,
      Uint8Array.of(fence.name.length, 0),
      encodeUtf8(fence.name),
      header,
    );
    const forged = concatBytes(header, mac.subarray(0, 16), file.subarray(64));
    assertRefused(() => open(forged, fenceObject), message);
  }
});

test('openObject() refuses absurd part lengths before it reads a part', () => {
  const file = fromHex(fence.file);

  for (const length of [0, 1, 16, 2 ** 20 + 17, 2 ** 31, 2 ** 32 - 1]) {
    file.set(encodeU32(length), 64);
    assertRefused(() => open(file, fenceObject), /part length/);
  }
  file.set(encodeU32(2 ** 20 + 16), 64);
  assertRefused(() => open(file, fenceObject), /passes the end/);
});

test('openObject() refuses a joined plaintext that is not what it states', () => {
  const codec = new ZstdCodec();
  const payload = new Uint8Array(600).fill(7);
  const packed = codec.compress(payload, 3).slice();
  const badFrames: [string, Uint8Array][] = [
    ['cut', packed.subarray(0, -1)],
    ['extended', concatBytes(packed, Uint8Array.of(0))],
    ['two frames', concatBytes(packed, packed)],
    ['no frame', payload],
    ['empty', new Uint8Array(0)],
  ];

  assert.deepEqual(open(sealRaw(joinedPlaintext(1, 600, packed)), zstd), payload);
  assert.deepEqual(open(sealRaw(joinedPlaintext(0, 600, payload)), zstd), payload);
  assert.equal(open(sealRaw(joinedPlaintext(0, 0, new Uint8Array(0))), zstd).length, 0);
  for (const compression of [2, 3, 255]) {
    const plaintext = joinedPlaintext(compression, 600, payload);
    assertRefused(() => open(sealRaw(plaintext), zstd), /^compression$/);
  }
  for (const length of [0, 599, 601, RECORD_SIZE_MAX]) {
    assertRefused(() => open(sealRaw(joinedPlaintext(0, length, payload)), zstd), /payload length/);
    assertRefused(() => open(sealRaw(joinedPlaintext(1, length, packed)), zstd), /content size/);
  }
  for (const length of [RECORD_SIZE_MAX + 1, 2 ** 32, 2n ** 53n - 1n]) {
    assertRefused(() => open(sealRaw(joinedPlaintext(0, length, payload)), zstd), /too large/);
    assertRefused(() => open(sealRaw(joinedPlaintext(1, length, packed)), zstd), /too large/);
  }
  for (const length of [2n ** 53n, 2n ** 64n - 1n]) {
    assertRefused(() => open(sealRaw(joinedPlaintext(0, length, payload)), zstd), /2\^53/);
  }
  for (const [label, frame] of badFrames) {
    assertRefused(() => open(sealRaw(joinedPlaintext(1, 600, frame)), zstd), label);
  }
  for (let size = 1; size < 9; size++) {
    const stump = joinedPlaintext(0, 600, payload).subarray(0, size);
    assertRefused(() => open(sealRaw(stump), zstd), /passes the end/);
  }
});

test('openObject() stops at the largest record, and allows segments more', () => {
  const large = new Uint8Array(RECORD_SIZE_MAX + 1).fill(5);
  const stored = joinedPlaintext(0, large.length, large);

  const segment = sealParts(
    testKeys,
    { kind: OBJECT_KIND.segment, name: '' },
    { salt: testSalt, plaintext: stored, partSizeMax: 2 ** 20 },
  );
  const largest = sealRaw(joinedPlaintext(0, RECORD_SIZE_MAX, large.subarray(1)));

  assertRefused(() => open(sealRaw(stored), zstd), /object too large/);
  assert.equal(open(largest, zstd).length, RECORD_SIZE_MAX);
  assert.equal(open(segment, { kind: OBJECT_KIND.segment, name: '' }).length, large.length);
});
