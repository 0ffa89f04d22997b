import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DEFAULT_PROFILE } from '../../src/chunk/profile.ts';
import { createReferenceScanner } from '../../src/chunk/scan-reference.ts';
import { createSimdScanner } from '../../src/chunk/scan-simd.ts';
import { mapCount } from '../../src/chunk/scanner-contract.ts';
import { deriveSimilarityKeys } from '../../src/similarity/keys.ts';
import { createSuperFeatures } from '../../src/similarity/super-features.ts';
import { toHex } from '../../src/util/bytes.ts';
import { insertBytes, xorshiftBytes } from '../helpers/chunk-input.ts';
import { seededRandom } from '../helpers/seeded-random.ts';

const chunkerKey = xorshiftBytes(5, 32);

test('deriveSimilarityKeys() gives odd factors for every key', () => {
  const random = seededRandom(4);

  for (let i = 0; i < 50; i++) {
    const { factors } = deriveSimilarityKeys(random.bytes(32));
    assert.ok(factors.every((factor) => factor % 2 === 1));
  }
});

test('deriveSimilarityKeys() refuses a key that has not 32 bytes', () => {
  assert.throws(() => deriveSimilarityKeys(new Uint8Array(33)), /32 bytes/);
});

for (const create of [createSimdScanner, createReferenceScanner]) {
  describe(`createSuperFeatures() with ${create.name}()`, () => {
    const scanner = create(chunkerKey, DEFAULT_PROFILE);
    const superFeatures = createSuperFeatures(chunkerKey, scanner);
    const featuresOf = (bytes: Uint8Array): string[] | undefined => {
      scanner.buffer.set(bytes);
      const features = superFeatures(0, bytes.length);
      return features && [0, 8, 16].map((at) => toHex(features.subarray(at, at + 8)));
    };

    test('gives none below 1,024 bytes', () => {
      const bytes = xorshiftBytes(1, 1_024);

      assert.equal(featuresOf(bytes.subarray(0, 1_023)), undefined);
      assert.equal(featuresOf(bytes)?.length, 3);
    });

    test('gives none for bytes that are all equal', () => {
      for (let value = 0; value < 256; value++) {
        assert.equal(featuresOf(new Uint8Array(1_024).fill(value)), undefined);
        assert.equal(featuresOf(new Uint8Array(16_384).fill(value)), undefined);
      }
    });

    test('gives none for fewer than 4 samples', () => {
      const { factors, addends } = deriveSimilarityKeys(chunkerKey);
      const maxima = new Uint32Array(mapCount);
      const countsSeen = new Set<number>();

      for (let island = 0; island < 400; island++) {
        const bytes = new Uint8Array(2_000);
        bytes.set(xorshiftBytes(1, island), 500);
        const features = featuresOf(bytes);
        const count = scanner.sample(0, 2_000, { mask: 31, factors, addends }, maxima);
        assert.equal(features !== undefined, count >= 4, `${count} samples`);
        countsSeen.add(count);
      }

      for (const count of [0, 1, 2, 3, 4, 5]) assert.ok(countsSeen.has(count), `${count}`);
    });

    test('samples chunks below 16,384 bytes more densely', () => {
      const bytes = new Uint8Array(16_384);
      bytes.set(xorshiftBytes(1, 300));

      assert.equal(featuresOf(bytes), undefined);
      assert.equal(featuresOf(bytes.subarray(0, 16_383))?.length, 3);
    });

    test('gives an edited chunk some of the same numbers, and an unrelated chunk none', () => {
      const random = seededRandom(6);
      const isShared = (a: string[] | undefined, b: string[] | undefined): boolean =>
        a?.some((feature, i) => feature === b?.[i]) === true;
      let editedCount = 0;

      for (let i = 0; i < 60; i++) {
        const size = i % 2 === 0 ? 60_000 : 8_000;
        const before = random.bytes(size);
        const edit = { at: random.below(size), inserted: random.bytes(size / 100) };
        const features = featuresOf(before);
        if (isShared(features, featuresOf(insertBytes(before, edit)))) editedCount++;
        assert.ok(!isShared(features, featuresOf(random.bytes(size))));
      }

      assert.ok(editedCount >= 57, `${editedCount} of 60`);
    });

    test('gives other numbers under another key', () => {
      const bytes = xorshiftBytes(3, 50_000);
      const otherKey = xorshiftBytes(4, 32);
      const other = create(otherKey, DEFAULT_PROFILE);
      other.buffer.set(bytes);

      const features = createSuperFeatures(otherKey, other)(0, bytes.length);

      assert.notDeepEqual(features && toHex(features), featuresOf(bytes)?.join(''));
    });
  });
}
