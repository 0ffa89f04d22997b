import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_PROFILE } from '../../src/chunk/profile.ts';
import { createReferenceScanner } from '../../src/chunk/scan-reference.ts';
import { createSimdScanner } from '../../src/chunk/scan-simd.ts';
import { mapCount, type Scanner } from '../../src/chunk/scanner-contract.ts';
import { deriveSimilarityKeys } from '../../src/similarity/keys.ts';
import { createSuperFeatures } from '../../src/similarity/super-features.ts';
import { mixture } from '../helpers/chunk-cut.ts';
import { xorshiftBytes } from '../helpers/chunk-input.ts';
import { seededRandom, testSeed } from '../helpers/seeded-random.ts';

const chunkerKeys = [1, 2, 3, 4].map((seed) => xorshiftBytes(seed, 32));
const both = chunkerKeys.map((chunkerKey) =>
  [createSimdScanner, createReferenceScanner].map((create) => ({
    scanner: create(chunkerKey, DEFAULT_PROFILE),
    chunkerKey,
  })),
);

const key = fc.nat(chunkerKeys.length - 1);
const mask = fc.constantFrom(0, 1, 31, 255);
const seed = fc.nat();
const alignment = fc.nat(40);
const size = fc.oneof(
  fc.nat(100),
  fc.integer({ min: 1_000, max: 1_100 }),
  fc.integer({ min: 16_300, max: 16_450 }),
  fc.nat(70_000),
);

interface Sampled {
  count: number;
  maxima: number[];
}

function sampleBytes(
  { scanner, chunkerKey }: { scanner: Scanner; chunkerKey: Uint8Array },
  sampled: { start: number; end: number; mask: number },
): Sampled {
  const { factors, addends } = deriveSimilarityKeys(chunkerKey);
  const maxima = new Uint32Array(mapCount).fill(7);
  const { start, end, mask } = sampled;
  const count = scanner.sample(start, end, { mask, factors, addends }, maxima);
  return { count, maxima: [...maxima] };
}

test('sample() of both scanners gives the same samples and maxima', () => {
  const isSame = fc.property(key, mask, seed, alignment, size, (key, mask, seed, start, size) => {
    const bytes = mixture(seededRandom(seed), size);
    const [simd, plain] = both[key]!.map((each, i) => {
      each.scanner.buffer.fill(i + 1).set(bytes, start);
      return sampleBytes(each, { start, end: start + size, mask });
    });

    assert.deepEqual(simd, plain);
    if (mask === 0) assert.equal(simd?.count, Math.max(0, size - 15));
  });
  fc.assert(isSame, { seed: testSeed, numRuns: 250 });
});

test('sample() of two parts that share 15 bytes samples every window of the whole once', () => {
  const isSum = fc.property(key, mask, seed, size, fc.nat(), (key, mask, seed, size, cut) => {
    const [simd] = both[key]!;
    const bytes = mixture(seededRandom(seed), size);
    const middle = Math.min(size, 15 + (cut % Math.max(1, size)));
    simd!.scanner.buffer.set(bytes);

    const whole = sampleBytes(simd!, { start: 0, end: size, mask });
    const head = sampleBytes(simd!, { start: 0, end: middle, mask });
    const tail = sampleBytes(simd!, { start: Math.max(0, middle - 15), end: size, mask });

    assert.equal(head.count + tail.count, whole.count);
    const larger = head.maxima.map((value, k) => Math.max(value, tail.maxima[k]!));
    assert.deepEqual(larger, whole.maxima);
  });
  fc.assert(isSum, { seed: testSeed, numRuns: 250 });
});

test('createSuperFeatures() gives the same by both scanners, wherever the chunk lies', () => {
  const isSame = fc.property(key, seed, alignment, size, (key, seed, start, size) => {
    const bytes = mixture(seededRandom(seed), size);
    const [simd, plain] = both[key]!.map(({ scanner, chunkerKey }, i) => {
      const at = i * start;
      scanner.buffer.fill(i + 1).set(bytes, at);
      return createSuperFeatures(chunkerKey, scanner)(at, at + size);
    });

    assert.deepEqual(simd, plain);
  });
  fc.assert(isSame, { seed: testSeed, numRuns: 250 });
});
