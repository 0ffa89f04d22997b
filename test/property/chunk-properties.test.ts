import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { createReferenceScanner } from '../../src/chunk/scan-reference.ts';
import { createSimdScanner } from '../../src/chunk/scan-simd.ts';
import { concatBytes } from '../../src/util/bytes.ts';
import { cutAtOnce, cutStream, minuteProfile } from '../helpers/chunk-cut.ts';
import { type ChunkInput, chunkInput, xorshiftBytes } from '../helpers/chunk-input.ts';
import { testSeed } from '../helpers/seeded-random.ts';

const { minimum, maximum } = minuteProfile;
const options = { seed: testSeed, numRuns: 300 };
const chunkerKey = xorshiftBytes(9, 32);

const seed = fc.integer({ min: 1, max: 2 ** 31 - 1 });
const length = fc.integer({ min: 0, max: 5_000 });
const piece: fc.Arbitrary<ChunkInput> = fc.oneof(
  fc.record({ kind: fc.constant('random' as const), seed, length }),
  fc.record({ kind: fc.constant('words' as const), seed, length }),
  fc.record({ kind: fc.constant('fill' as const), value: fc.nat(255), length }),
  fc.record({
    kind: fc.constant('periodic' as const),
    seed,
    length,
    period: fc.integer({ min: 1, max: 300 }),
  }),
);
const stream = fc
  .array(piece, { maxLength: 5 })
  .map((pieces) => concatBytes(...pieces.map(chunkInput)));

for (const create of [createSimdScanner, createReferenceScanner]) {
  describe(`chunks of ${create.name}()`, () => {
    const small = create(chunkerKey, minuteProfile, { capacity: maximum + 1000 });
    const whole = create(chunkerKey, minuteProfile, { capacity: 2 ** 16 });

    test('joined are the stream', () => {
      const joins = fc.property(stream, fc.integer({ min: 1, max: 3_000 }), (bytes, readSize) => {
        const chunks = cutStream(small, bytes, () => readSize);
        assert.deepEqual(concatBytes(...chunks), bytes);
      });
      fc.assert(joins, options);
    });

    test('keep minimum and maximum, except that the last may be short', () => {
      const keepsSizes = fc.property(stream, (bytes) => {
        const sizes = cutStream(small, bytes).map((chunk) => chunk.length);
        const last = sizes.pop() ?? 1;
        assert.ok(last >= 1 && last <= maximum, `last ${last}`);
        for (const size of sizes) assert.ok(size >= minimum && size <= maximum, `${size}`);
      });
      fc.assert(keepsSizes, options);
    });

    test('do not change before an edit, nor after the first cut both streams share', () => {
      const edit = fc.record({ at: fc.nat(20_000), removed: fc.nat(2_000), inserted: piece });
      const isStable = fc.property(stream, edit, (before, { at, removed, inserted }) => {
        const head = before.subarray(0, at);
        const tail = before.subarray(at + removed);
        const after = concatBytes(head, chunkInput(inserted), tail);

        const beforeCuts = cutAtOnce(whole, before);
        const afterCuts = cutAtOnce(whole, after);

        // A chunk sees at most maximum bytes and whether the stream ends there.
        const isUntouched = (_cut: number, i: number, cuts: number[]): boolean =>
          (cuts[i - 1] ?? 0) + maximum < head.length;
        assert.deepEqual(beforeCuts.filter(isUntouched), afterCuts.filter(isUntouched));

        // What is left counts from the end, where the two streams are equal.
        const beforeLeft = beforeCuts.map((cut) => before.length - cut);
        const afterLeft = afterCuts.map((cut) => after.length - cut);
        const shared = beforeLeft.find((left) => left <= tail.length && afterLeft.includes(left));
        assert.ok(shared !== undefined || before.length === 0 || after.length === 0);
        const rest = (left: number): boolean => left <= (shared ?? -1);
        assert.deepEqual(beforeLeft.filter(rest), afterLeft.filter(rest));
      });
      fc.assert(isStable, options);
    });
  });
}
