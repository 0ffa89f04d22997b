/** Every single-bit flip and every truncation of a byte string, and how a reader must take them. */
import assert from 'node:assert/strict';
import { VersionError } from '../../src/errors.ts';
import { Malformed } from '../../src/util/byte-reader.ts';

/** Calls back with one buffer, changed in place, for each bit of `bytes`. */
export function forEachBitFlip(
  bytes: Uint8Array,
  visit: (flipped: Uint8Array, place: { offset: number; bit: number }) => void,
): void {
  const flipped = new Uint8Array(bytes);
  for (let offset = 0; offset < bytes.length; offset++) {
    for (let bit = 0; bit < 8; bit++) {
      flipped[offset] = (bytes[offset] as number) ^ (1 << bit);
      visit(flipped, { offset, bit });
    }
    flipped[offset] = bytes[offset] as number;
  }
}

/** Calls back with every proper prefix, the empty one first. */
export function forEachCut(bytes: Uint8Array, visit: (cut: Uint8Array) => void): void {
  for (let size = 0; size < bytes.length; size++) visit(bytes.subarray(0, size));
}

/** Asserts that a codec refuses what it is given; `message` names the rule that must refuse it. */
export function assertRefused(decode: () => unknown, message: string | RegExp): void {
  try {
    decode();
  } catch (error) {
    assert(error instanceof Malformed, `${message}: ${error}`);
    if (message instanceof RegExp) assert.match(error.message, message);
    return;
  }
  assert.fail(`not refused: ${message}`);
}

/** Asserts that a codec says "later version", which is not damage. */
export function assertTooNew(decode: () => unknown, label: string): void {
  assert.throws(decode, (error) => error instanceof VersionError, label);
}
