/** The clear part of `config`: what an old program may do with a repository of a later one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RepositoryId } from '../../src/id.ts';
import { encodeConfigClear, parseConfigClear } from '../../src/record/config.ts';
import { encodeU32, fromHex, toHex } from '../../src/util/bytes.ts';
import {
  assertRefused,
  assertTooNew,
  forEachBitFlip,
  forEachCut,
} from '../helpers/damaged-bytes.ts';
import { counting } from '../helpers/test-keys.ts';
import { readVectors } from '../helpers/vectors.ts';

const { config } = readVectors('format-vectors.json') as { config: { file: string } };
const golden = fromHex(config.file).subarray(0, 128);
const repositoryId = counting(0x40) as RepositoryId;

/** CRC-32C by table, apart from the bitwise one under test. */
function crc32c(bytes: Uint8Array): number {
  let remainder = 0xffffffff;
  for (const byte of bytes) {
    let entry = (remainder ^ byte) & 255;
    for (let i = 0; i < 8; i++)
      entry = (entry & 1) === 1 ? (entry >>> 1) ^ 0x82f63b78 : entry >>> 1;
    remainder = (remainder >>> 8) ^ entry;
  }
  return (remainder ^ 0xffffffff) >>> 0;
}

/** The clear part with some bytes changed and its check sum mended. */
function changed(offset: number, ...bytes: number[]): Uint8Array {
  const clear = new Uint8Array(golden);
  clear.set(bytes, offset);
  clear.set(encodeU32(crc32c(clear.subarray(0, 124))), 124);
  return clear;
}

test('encodeConfigClear() writes the clear part of the vectors', () => {
  assert.equal(crc32c(new TextEncoder().encode('123456789')), 0xe3069283);
  assert.equal(toHex(encodeConfigClear(repositoryId)), toHex(golden));
  assert.deepEqual(parseConfigClear(golden), {
    repositoryId,
    canWrite: true,
    canCollect: true,
  });
});

test('parseConfigClear() refuses every flipped bit and every cut', () => {
  forEachBitFlip(golden, (flipped, { offset }) => {
    const message = offset < 8 ? /magic/ : /check sum/;
    assertRefused(() => parseConfigClear(flipped), message);
  });
  forEachCut(golden, (cut) => assertRefused(() => parseConfigClear(cut), /clear part/));
});

test('parseConfigClear() says what an older program may do', () => {
  const rights = (clear: Uint8Array): boolean[] => {
    const { canWrite, canCollect } = parseConfigClear(clear);
    return [canWrite, canCollect];
  };

  assert.deepEqual(rights(changed(8, 2)), [true, true]);
  assert.deepEqual(rights(changed(8, 2, 1, 2)), [false, true]);
  assert.deepEqual(rights(changed(8, 2, 1, 1, 2)), [true, false]);
  assert.deepEqual(rights(changed(20, 1)), [false, true]);
  assert.deepEqual(rights(changed(27, 0x80)), [false, true]);
  assert.deepEqual(rights(changed(28, 1)), [true, false]);
  assert.deepEqual(rights(changed(35, 0x80)), [true, false]);
  assert.deepEqual(rights(changed(36, 255, 255, 255, 255, 255, 255, 255, 255)), [true, true]);
});

test('parseConfigClear() cannot be read by a program that is too old', () => {
  assertTooNew(() => parseConfigClear(changed(9, 2)), 'min_reader');
  for (let offset = 12; offset < 20; offset++) {
    assertTooNew(() => parseConfigClear(changed(offset, 0x80)), `incompat byte ${offset}`);
  }
});

test('parseConfigClear() refuses other shard bits and reserved bytes', () => {
  for (const bits of [0, 7, 9, 255]) {
    assertRefused(() => parseConfigClear(changed(76, bits)), /shard bits/);
  }
  for (let offset = 77; offset < 124; offset++) {
    assertRefused(() => parseConfigClear(changed(offset, 1)), /reserved/);
  }
});
