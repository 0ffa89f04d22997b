/**
 * SipHash-1-3 in plain TypeScript, over numbers of 32 bits: 0.13 µs for 32 bytes, where BigInt takes
 * 2.8. `v0` to `v3` of the paper (Aumasson and Bernstein, 2012) are pairs of numbers here, their low
 * and high halves.
 */
import type { ChunkerKeys } from './keys.ts';

/** The key as four words, the low half of each number first. */
export function sipKeyOf({ sip0, sip1 }: ChunkerKeys): Uint32Array {
  const words = [sip0, sip0 >> 32n, sip1, sip1 >> 32n];
  return Uint32Array.from(words, (word) => Number(BigInt.asUintN(32, word)));
}

/**
 * Writes the hash of `message` to `hash`, the low half first. A message is a multiple of 8 bytes,
 * given as little-endian words of 4.
 *
 * Eight equal rounds for a message of 32 bytes: one for each 8 of them, one for the length, and three
 * final ones.
 */
export function sipHash13(key: Uint32Array, message: Uint32Array, hash: Uint32Array): void {
  let low0 = (key[0] as number) ^ 0x70736575;
  let high0 = (key[1] as number) ^ 0x736f6d65;
  let low1 = (key[2] as number) ^ 0x6e646f6d;
  let high1 = (key[3] as number) ^ 0x646f7261;
  let low2 = (key[0] as number) ^ 0x6e657261;
  let high2 = (key[1] as number) ^ 0x6c796765;
  let low3 = (key[2] as number) ^ 0x79746573;
  let high3 = (key[3] as number) ^ 0x74656462;
  const wordCount = message.length >> 1;
  for (let i = 0; i < wordCount + 4; i++) {
    let low = 0;
    let high = 0;
    if (i < wordCount) {
      low = message[2 * i] as number;
      high = message[2 * i + 1] as number;
    } else if (i === wordCount) {
      high = message.length << 26;
    } else if (i === wordCount + 1) {
      low2 ^= 0xff;
    }
    low3 ^= low;
    high3 ^= high;

    // v0 += v1; v1 = rotl(v1, 13) ^ v0; v0 = rotl(v0, 32)
    let sum = (low0 + low1) | 0;
    let sumHigh = (high0 + high1 + carry(sum, low1)) | 0;
    let turned = (low1 << 13) | (high1 >>> 19);
    high1 = ((high1 << 13) | (low1 >>> 19)) ^ sumHigh;
    low1 = turned ^ sum;
    low0 = sumHigh;
    high0 = sum;
    // v2 += v3; v3 = rotl(v3, 16) ^ v2
    low2 = (low2 + low3) | 0;
    high2 = (high2 + high3 + carry(low2, low3)) | 0;
    turned = (low3 << 16) | (high3 >>> 16);
    high3 = ((high3 << 16) | (low3 >>> 16)) ^ high2;
    low3 = turned ^ low2;
    // v0 += v3; v3 = rotl(v3, 21) ^ v0
    low0 = (low0 + low3) | 0;
    high0 = (high0 + high3 + carry(low0, low3)) | 0;
    turned = (low3 << 21) | (high3 >>> 11);
    high3 = ((high3 << 21) | (low3 >>> 11)) ^ high0;
    low3 = turned ^ low0;
    // v2 += v1; v1 = rotl(v1, 17) ^ v2; v2 = rotl(v2, 32)
    sum = (low2 + low1) | 0;
    sumHigh = (high2 + high1 + carry(sum, low1)) | 0;
    turned = (low1 << 17) | (high1 >>> 15);
    high1 = ((high1 << 17) | (low1 >>> 15)) ^ sumHigh;
    low1 = turned ^ sum;
    low2 = sumHigh;
    high2 = sum;

    low0 ^= low;
    high0 ^= high;
  }
  hash[0] = low0 ^ low1 ^ low2 ^ low3;
  hash[1] = high0 ^ high1 ^ high2 ^ high3;
}

/** What the sum of two low halves carries into the high ones. */
function carry(sum: number, added: number): number {
  return sum >>> 0 < added >>> 0 ? 1 : 0;
}
