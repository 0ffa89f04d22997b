import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isFlat } from '../../src/similarity/flat.ts';
import { fromAscii } from '../../src/util/bytes.ts';
import { chunkInput } from '../helpers/chunk-input.ts';
import { seededRandom } from '../helpers/seeded-random.ts';

const sizes = [4_096, 4_097, 5_000, 65_536, 131_072, 1_000_003];

test('isFlat() tells random bytes from base64, text, numbers and constant bytes', () => {
  const random = seededRandom(1);

  for (const length of sizes) {
    const bytes = random.bytes(length);
    const base64 = fromAscii(Buffer.from(bytes).toString('base64')).subarray(0, length);
    const text = chunkInput({ kind: 'words', seed: 2, length });
    const numbers = chunkInput({ kind: 'counter32le', step: 3, length });

    assert.equal(isFlat(bytes), true, `random, ${length}`);
    assert.equal(isFlat(base64), false, `base64, ${length}`);
    assert.equal(isFlat(text), false, `text, ${length}`);
    assert.equal(isFlat(numbers), false, `numbers, ${length}`);
    assert.equal(isFlat(new Uint8Array(length).fill(255)), false, `constant, ${length}`);
  }
});

test('isFlat() is false below 4,096 bytes', () => {
  const bytes = seededRandom(2).bytes(4_096);

  assert.equal(isFlat(bytes), true);
  assert.equal(isFlat(bytes.subarray(0, 4_095)), false);
  assert.equal(isFlat(new Uint8Array(0)), false);
});

test('isFlat() is true for every one of 2,000 random chunks', () => {
  const random = seededRandom(3);

  for (let i = 0; i < 2_000; i++) {
    assert.equal(isFlat(random.bytes(4_096 + random.below(2_000))), true);
  }
});

test('isFlat() looks at 512 bytes at the start of each seventh, and at the last 512', () => {
  const length = 70_512;
  const starts = Array.from({ length: 8 }, (_, run) => run * 10_000);
  const random = seededRandom(4);

  const spread = new Uint8Array(length);
  for (const start of starts) spread.set(random.bytes(512), start);
  assert.equal(isFlat(spread), true);

  for (const start of starts) {
    const pitted = random.bytes(length);
    pitted.fill(0, start, start + 512);
    assert.equal(isFlat(pitted), false, `constant at ${start}`);
    pitted.set(random.bytes(512), start);
    pitted.fill(0, start + 512, start + 10_000);
    assert.equal(isFlat(pitted), true, `constant behind ${start}`);
  }
});

test('isFlat() draws the line at a sum of squares of 75,000', () => {
  // Every value 16 times, but 0 in place of one of each of n others: the sum is 65,536 + n * n + n.
  const withExcess = (excess: number): Uint8Array =>
    Uint8Array.from({ length: 4_096 }, (_, i) => (i % 256 <= excess && i < 256 ? 0 : i));

  assert.equal(sumOfSquares(withExcess(96)), 74_848);
  assert.equal(isFlat(withExcess(96)), true);
  assert.equal(sumOfSquares(withExcess(97)), 75_042);
  assert.equal(isFlat(withExcess(97)), false);
});

function sumOfSquares(bytes: Uint8Array): number {
  const counts = new Map<number, number>();
  for (const byte of bytes) counts.set(byte, (counts.get(byte) ?? 0) + 1);
  return [...counts.values()].reduce((sum, count) => sum + count * count, 0);
}
