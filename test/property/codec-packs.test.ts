/** Any blobs, packed in any grouping, come back from packs that keep to their lengths and targets. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BLOB_TYPE, type BlobType } from '../../src/blob/blob-type.ts';
import type { EncodedFrame } from '../../src/frame/frame-builder.ts';
import type { FinishedPack, PackBuilder } from '../../src/pack/pack-builder.ts';
import { directoryOf } from '../../src/pack/pack-record.ts';
import { OBJECT_KIND, type PackKind } from '../../src/record/object-kind.ts';
import { toHex } from '../../src/util/bytes.ts';
import { padme } from '../../src/util/padme.ts';
import { openUnderOwnName, readEveryBlob } from '../helpers/hostile-pack.ts';
import { makeFrame, newPackBuilder, type TestBlob } from '../helpers/pack-making.ts';
import { seededRandom, testSeed } from '../helpers/seeded-random.ts';

/** A blob by its size and look; random bytes do not compress, the others do. */
function plaintextOf(shape: { size: number; look: string; salt: number }): Uint8Array {
  const { size, look, salt } = shape;
  if (look === 'random') return seededRandom(salt).bytes(size);
  if (look === 'same') return new Uint8Array(size).fill(salt);
  return Uint8Array.from({ length: size }, (_, i) => (i * (salt + 1)) >> 3);
}

const anySize = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 1, max: 3000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 8 }) },
  { weight: 1, arbitrary: fc.integer({ min: 30_000, max: 80_000 }) },
);
const anyShape = fc.record({
  size: anySize,
  look: fc.constantFrom('random', 'same', 'steps'),
  salt: fc.integer({ min: 0, max: 250 }),
});
const metadataTypes = [BLOB_TYPE.treePage, BLOB_TYPE.chunkList, BLOB_TYPE.attributes];

/** Frames of one to several blobs of one class. */
function anyFrame(types: BlobType[]): fc.Arbitrary<TestBlob[]> {
  const blob = fc.record({ type: fc.constantFrom(...types), shape: anyShape });
  return fc
    .array(blob, { minLength: 1, maxLength: 12 })
    .map((blobs) => blobs.map(({ type, shape }) => ({ type, plaintext: plaintextOf(shape) })));
}
const anyDataFrame = anyFrame([BLOB_TYPE.data]);
const anyMixedFrame = fc.oneof(anyDataFrame, anyFrame(metadataTypes));
const anySizeTarget = fc.constantFrom(2 ** 12, 2 ** 14, 2 ** 16, 2 ** 20);

/** Packs frames as a writer does: a full pack is finished before the next frame. */
function packAll(
  frames: EncodedFrame[],
  options: { kind: PackKind; sizeTarget: number },
): { packs: FinishedPack[]; frameCounts: number[] } {
  const packs: FinishedPack[] = [];
  const frameCounts: number[] = [];
  let builder: PackBuilder | undefined;
  let frameCount = 0;
  const close = (): void => {
    if (builder === undefined) return;
    packs.push(builder.finish());
    frameCounts.push(frameCount);
    builder = undefined;
  };
  for (const frame of frames) {
    if (builder !== undefined && !builder.hasRoomFor(frame)) close();
    if (builder === undefined) {
      builder = newPackBuilder(options);
      frameCount = 0;
    }
    builder.append(frame);
    frameCount += 1;
  }
  close();
  return { packs, frameCounts };
}

function checkRoundTrip(frames: TestBlob[][], options: { kind: PackKind; sizeTarget: number }) {
  const encoded = frames.map((blobs) => makeFrame(blobs));
  const { packs, frameCounts } = packAll(encoded, options);

  const found: [string, string][] = [];
  for (const [i, { bytes, record }] of packs.entries()) {
    assert.equal(padme(bytes.length), bytes.length, 'length of the Padmé set (F07)');
    assert(bytes.length <= options.sizeTarget || frameCounts[i] === 1, 'within its target');
    const { directory } = openUnderOwnName(bytes, options);
    assert.deepEqual(directoryOf(record), directory);
    const plaintexts = readEveryBlob(bytes, options);
    for (const { id } of directory.blobs) {
      found.push([toHex(id), toHex(plaintexts.get(toHex(id)) as Uint8Array)]);
    }
  }
  const ids = encoded.flatMap(({ blobs }) => blobs.map(({ id }) => toHex(id)));
  const plaintexts = frames.flat().map(({ plaintext }) => toHex(plaintext));
  assert.deepEqual(
    found,
    ids.map((id, i) => [id, plaintexts[i]]),
  );
}

test('blobs of every type and size come back from metadata packs', () => {
  fc.assert(
    fc.property(
      fc.array(anyMixedFrame, { minLength: 1, maxLength: 20 }),
      anySizeTarget,
      (frames, sizeTarget) =>
        checkRoundTrip(frames, { kind: OBJECT_KIND.metadataPack, sizeTarget }),
    ),
    { seed: testSeed, numRuns: 60 },
  );
});

test('blobs of data come back from data packs', () => {
  fc.assert(
    fc.property(
      fc.array(anyDataFrame, { minLength: 1, maxLength: 20 }),
      anySizeTarget,
      (frames, sizeTarget) => checkRoundTrip(frames, { kind: OBJECT_KIND.dataPack, sizeTarget }),
    ),
    { seed: testSeed, numRuns: 40 },
  );
});

test('packs of different content have few different lengths (F03, F07)', () => {
  const lengths = new Set<number>();
  for (let size = 60_000; size < 64_000; size += 10) {
    const plaintext = seededRandom(size).bytes(size);
    const builder = newPackBuilder();
    builder.append(makeFrame([{ type: BLOB_TYPE.data, plaintext }]));
    lengths.add(builder.finish().bytes.length);
  }

  // 400 sizes within 4,000 bytes; at 64 KiB the Padmé step is 1,024.
  assert(lengths.size <= 5, `${lengths.size} lengths`);
});
