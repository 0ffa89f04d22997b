import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deriveChunkerKeys } from '../../src/chunk/keys.ts';
import { fromAscii } from '../../src/util/bytes.ts';
import { seededRandom } from '../helpers/seeded-random.ts';

test('deriveChunkerKeys() gives A, C, G and T gears of both parities for every key', () => {
  const random = seededRandom(4);

  for (let i = 0; i < 300; i++) {
    const { tableLow, tableHigh } = deriveChunkerKeys(random.bytes(32));
    const parities = [...fromAscii('ACGT')].map(
      (byte) => (tableLow[byte & 15]! + tableHigh[byte >> 4]!) & 1,
    );
    assert.equal(new Set(parities).size, 2, `key ${i}`);
  }
});

test('deriveChunkerKeys() gives an odd target and odd multipliers for every key', () => {
  const random = seededRandom(5);

  for (let i = 0; i < 50; i++) {
    const { target, multiplier1, multiplier2 } = deriveChunkerKeys(random.bytes(32));
    assert.deepEqual([target % 2, multiplier1 % 2n, multiplier2 % 2n], [1, 1n, 1n]);
  }
});

test('deriveChunkerKeys() refuses a key that has not 32 bytes', () => {
  assert.throws(() => deriveChunkerKeys(new Uint8Array(31)), /32 bytes/);
});
