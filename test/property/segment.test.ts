/** Index segments of any content: they survive the trip, and damage is refused or harmless. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeSegment, parseSegment, type Segment, segmentSize } from '../../src/index/segment.ts';
import { Malformed } from '../../src/util/byte-reader.ts';
import { toHex } from '../../src/util/bytes.ts';
import { type BlobPlan, idOf, packOf, segmentName } from '../helpers/index-packs.ts';
import { testSeed } from '../helpers/seeded-random.ts';

const blobPlan: fc.Arbitrary<BlobPlan> = fc
  .record({ id: fc.nat(50), base: fc.nat(50), isDelta: fc.boolean(), depth: fc.nat(31) })
  .map(({ id, base, isDelta, depth }) => ({
    id: idOf(`blob ${id}`),
    ...(isDelta && id !== base && { base: idOf(`blob ${base}`), depth: depth + 1 }),
  }));

const segments: fc.Arbitrary<Segment> = fc
  .record({
    level: fc.nat(3),
    applied: fc.nat(),
    createdMs: fc.nat(Number.MAX_SAFE_INTEGER),
    superseded: fc.array(fc.nat(1000), { maxLength: 4 }),
    packs: fc.uniqueArray(fc.record({ name: fc.nat(1000), blobs: fc.array(blobPlan) }), {
      maxLength: 5,
      selector: ({ name }) => name,
    }),
  })
  .map(({ superseded, packs, ...header }) => ({
    ...header,
    sessionId: '11'.repeat(16),
    writerId: '22'.repeat(16),
    superseded: superseded.map((n) => segmentName(`${n}`)),
    packs: packs.map(({ name, blobs }) => packOf(`${name}`, blobs)),
  }));

test('parseSegment() gives back any segment that encodeSegment() was given', () => {
  const property = fc.property(segments, (segment) => {
    const payload = encodeSegment(segment);

    const parsed = parseSegment(payload);

    assert.equal(payload.length, segmentSize(segment));
    assert.equal(toHex(encodeSegment(parsed)), toHex(payload));
    const { packs, ...header } = segment;
    const { packs: parsedPacks, ...parsedHeader } = parsed;
    assert.deepEqual(parsedHeader, header);
    assert.deepEqual(
      parsedPacks.map((pack) => [pack.name, toHex(pack.body), toHex(pack.salt), pack.length]),
      packs
        .toSorted((a, b) => (a.name < b.name ? -1 : 1))
        .map((pack) => [pack.name, toHex(pack.body), toHex(pack.salt), pack.length]),
    );
  });
  fc.assert(property, { seed: testSeed, numRuns: 200 });
});

test('parseSegment() refuses changed bytes, or they encode to themselves', () => {
  const changes = fc.array(fc.record({ at: fc.nat(), bits: fc.integer({ min: 1, max: 255 }) }), {
    minLength: 1,
    maxLength: 3,
  });
  let refusedCount = 0;
  const property = fc.property(segments, changes, (segment, flips) => {
    const payload = encodeSegment(segment);
    for (const { at, bits } of flips) {
      const offset = at % payload.length;
      payload[offset] = (payload[offset] as number) ^ bits;
    }

    let parsed: Segment;
    try {
      parsed = parseSegment(payload);
    } catch (error) {
      assert.ok(error instanceof Malformed);
      refusedCount++;
      return;
    }
    assert.equal(toHex(encodeSegment(parsed)), toHex(payload));
  });
  fc.assert(property, { seed: testSeed, numRuns: 2000 });
  assert.ok(refusedCount > 500);
});

test('parseSegment() refuses every truncation', () => {
  const payload = encodeSegment({
    level: 1,
    sessionId: '11'.repeat(16),
    writerId: '22'.repeat(16),
    createdMs: 1,
    applied: 1,
    superseded: [segmentName('old')],
    packs: [packOf('1', [{ id: idOf('a') }]), packOf('2', [{ id: idOf('b'), base: idOf('a') }])],
  });
  for (let length = 0; length < payload.length; length++) {
    assert.throws(() => parseSegment(payload.subarray(0, length)), Malformed, `length ${length}`);
  }
});
