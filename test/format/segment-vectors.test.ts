/**
 * Index segments against frozen bytes: the vector of the format itself, and `segment-vectors.json`
 * for what that one does not have (several packs, superseded segments). To add a case, run this file
 * with WRITE_VECTORS=1, read the difference, and never change a case that has been released.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import type { RepositoryId, SegmentName } from '../../src/id.ts';
import { encodeSegment, parseSegment, type Segment } from '../../src/index/segment.ts';
import { deriveKeys, type RepositoryKeys } from '../../src/keys/key-hierarchy.ts';
import { directoryOf } from '../../src/pack/pack-record.ts';
import { OBJECT_KIND } from '../../src/record/object-kind.ts';
import { openObject, sealParts } from '../../src/record/sealed-object.ts';
import { Malformed } from '../../src/util/byte-reader.ts';
import { concatBytes, encodeU64, fromHex, toHex } from '../../src/util/bytes.ts';
import { idOf, packOf, segmentName, segmentOf } from '../helpers/index-packs.ts';
import { readVectors } from '../helpers/vectors.ts';

interface SegmentVector {
  payload: string;
  file: string;
  name: string;
}

const identity = { kind: OBJECT_KIND.segment, name: '' };
const salt = counting(0x60);

function counting(first: number): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, i) => first + i);
}

function vectorKeys(): RepositoryKeys {
  return deriveKeys({
    repositoryId: counting(0x40) as RepositoryId,
    dedupSecret: counting(0x20),
    generations: [{ number: 0, rootSecret: counting(0x00) }],
    current: 0,
  });
}

/** Vectors are sealed uncompressed, so that they do not depend on a compressor. */
function sealSegment(payload: Uint8Array): Uint8Array {
  const plaintext = concatBytes(Uint8Array.of(0), encodeU64(payload.length), payload);
  return sealParts(vectorKeys(), identity, { salt, plaintext, partSizeMax: 2 ** 20 });
}

function segmentCases(): Record<string, Segment> {
  const base = packOf('base', [{ id: idOf('a') }, { id: idOf('b') }]);
  const delta = packOf('delta', [
    { id: idOf('c'), base: idOf('a') },
    { id: idOf('d'), base: idOf('c'), depth: 2 },
  ]);
  const superseded = [segmentName('old one'), segmentName('old two')];
  return {
    empty: segmentOf([]),
    several_packs: segmentOf([base, delta, packOf('no blobs', [])]),
    superseding: { ...segmentOf([base, delta], superseded), level: 3, applied: 7 },
  };
}

test('parseSegment() and encodeSegment() agree with the vector of the format', () => {
  const vectors = readVectors('format-vectors.json') as {
    index_segment: SegmentVector;
    pack_kind2: { name: string; directory: string; length: number };
  };
  const { payload, file, name } = vectors.index_segment;

  const opened = openObject(vectorKeys(), fromHex(file), { kinds: [identity.kind], name: '' });
  const segment = parseSegment(opened.payload);

  assert.equal(toHex(opened.payload), payload);
  assert.equal(toHex(encodeSegment(segment)), payload);
  assert.equal(toHex(sealSegment(fromHex(payload))), file);
  assert.equal(createHash('sha256').update(fromHex(file)).digest('hex'), name);
  assert.equal(segment.level, 0);
  assert.equal(segment.sessionId, '808182838485868788898a8b8c8d8e8f');
  assert.equal(segment.writerId, '909192939495969798999a9b9c9d9e9f');
  assert.equal(segment.createdMs, 1_700_000_000_000);
  assert.equal(segment.applied, 0);
  assert.deepEqual(segment.superseded, []);
  assert.equal(segment.packs.length, 1);
  const [pack] = segment.packs;
  assert.equal(pack?.name, vectors.pack_kind2.name);
  assert.equal(pack?.length, vectors.pack_kind2.length);
  assert.equal(toHex(pack?.body ?? salt), vectors.pack_kind2.directory);
  assert.equal(directoryOf(pack as NonNullable<typeof pack>).blobs.length, 9);
});

test('encodeSegment() gives the frozen bytes of several packs and of superseded segments', () => {
  const made: Record<string, SegmentVector> = {};
  for (const [name, segment] of Object.entries(segmentCases())) {
    const payload = encodeSegment(segment);
    const file = sealSegment(payload);
    const hash = createHash('sha256').update(file).digest('hex');
    made[name] = { payload: toHex(payload), file: toHex(file), name: hash };
  }
  if (process.env['WRITE_VECTORS'] === '1') {
    const target = new URL('../../../test/vectors/segment-vectors.json', import.meta.url);
    writeFileSync(target, `${JSON.stringify(made, null, 1)}\n`);
  }

  assert.deepEqual(made, readVectors('segment-vectors.json'));
});

test('parseSegment() gives back what the frozen bytes were made of', () => {
  const vectors = readVectors('segment-vectors.json') as Record<string, SegmentVector>;
  for (const [name, segment] of Object.entries(segmentCases())) {
    const parsed = parseSegment(fromHex((vectors[name] as SegmentVector).payload));

    const packs = segment.packs.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    assert.deepEqual(plain(parsed), plain({ ...segment, packs }), name);
  }
});

test('parseSegment() refuses the empty segment with any field out of its range', () => {
  const payload = encodeSegment(segmentOf([], ['ab'.repeat(32) as SegmentName]));
  const changes: [string, (bytes: Uint8Array) => Uint8Array][] = [
    ['magic', (bytes) => bytes.with(0, 0x57)],
    ['level 4', (bytes) => bytes.with(4, 4)],
    ['reserved after the level', (bytes) => bytes.with(6, 1)],
    ['created beyond 2^53', (bytes) => bytes.with(47, 0x40)],
    ['applied beyond 2^53', (bytes) => bytes.with(55, 0x40)],
    ['a pack more than there is', (bytes) => bytes.with(56, 1)],
    ['four thousand million packs', (bytes) => bytes.fill(0xff, 56, 60)],
    ['a superseded name more', (bytes) => bytes.with(60, 2)],
    ['a superseded name less', (bytes) => bytes.with(60, 0)],
    ['blob count', (bytes) => bytes.with(64, 1)],
    ['reserved at the end of the header', (bytes) => bytes.with(95, 1)],
    ['cut in the header', (bytes) => bytes.subarray(0, 95)],
    ['cut in a name', (bytes) => bytes.subarray(0, bytes.length - 1)],
    ['a byte more', (bytes) => concatBytes(bytes, Uint8Array.of(0))],
  ];
  for (const [what, change] of changes) {
    assert.throws(() => parseSegment(change(payload.slice())), Malformed, what);
  }
});

test('parseSegment() refuses packs out of order, repeated, padded or of another shape', () => {
  const packs = [packOf('1', [{ id: idOf('a') }]), packOf('2', [{ id: idOf('b') }])];
  const payload = encodeSegment(segmentOf(packs));
  const size = (payload.length - 96) / 2;
  const [header, one, two] = [
    payload.subarray(0, 96),
    payload.subarray(96, 96 + size),
    payload.subarray(96 + size),
  ];
  const changes: [string, Uint8Array][] = [
    ['order', concatBytes(header, two, one)],
    ['repetition', concatBytes(header, one, one)],
    ['pack length', change(payload, 96 + 64)],
    ['body length', change(payload, 96 + 76)],
    ['D', change(payload, 96 + 80)],
    ['kind 3', payload.with(96 + 84, 3)],
    ['kind 0', payload.with(96 + 84, 0)],
    ['flags', change(payload, 96 + 85)],
    ['reserved', change(payload, 96 + 95)],
    ['directory magic', change(payload, 96 + 96)],
    ['directory frame', change(payload, 96 + 96 + 64)],
  ];
  for (const [what, changed] of changes) {
    assert.throws(() => parseSegment(changed), Malformed, what);
  }
});

function change(bytes: Uint8Array, offset: number): Uint8Array {
  return bytes.with(offset, (bytes[offset] as number) ^ 1);
}

function plain(segment: Segment): unknown {
  const packs = segment.packs.map((pack) => ({
    ...pack,
    salt: toHex(pack.salt),
    body: toHex(pack.body),
  }));
  return { ...segment, packs };
}
