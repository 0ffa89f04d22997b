/**
 * The tables and constants by which one repository cuts its files, derived from its chunker key.
 * Another key gives other cut points, so chunk boundaries tell nothing about known files. The
 * derivation is frozen with the chunker's name (docs/repository-format.md):
 *
 *     X = HKDF-Expand(SHA-256, PRK = chunker key, info = "varve/chunker/1", L = 72)
 *
 *     0        16        32       40       48           64  65
 *     | TL[16] | TH[16]  | K1 u64 | K2 u64 | sip0 sip1  | t | unused
 */
import { expand } from '@noble/hashes/hkdf.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { assert } from '../util/assert.ts';
import { fromAscii, viewOf } from '../util/bytes.ts';

export interface ChunkerKeys {
  /** Gear of a byte x is `tableLow[x & 15] + tableHigh[x >> 4]`, modulo 256. */
  readonly tableLow: Uint8Array;
  readonly tableHigh: Uint8Array;
  /** Odd multipliers of the mix. */
  readonly multiplier1: bigint;
  readonly multiplier2: bigint;
  /** SipHash-1-3 key of the rank. */
  readonly sip0: bigint;
  readonly sip1: bigint;
  /** The odd value a window's sum must have. */
  readonly target: number;
}

export function deriveChunkerKeys(chunkerKey: Uint8Array): ChunkerKeys {
  assert(chunkerKey.length === 32, 'a chunker key has 32 bytes');
  const expanded = expand(sha256, chunkerKey, fromAscii('varve/chunker/1'), 72);
  const view = viewOf(expanded);
  const tableLow = expanded.subarray(0, 16);
  const tableHigh = expanded.subarray(16, 32);
  separateNucleotides(tableLow, tableHigh);
  return {
    tableLow,
    tableHigh,
    multiplier1: view.getBigUint64(32, true) | 1n,
    multiplier2: view.getBigUint64(40, true) | 1n,
    sip0: view.getBigUint64(48, true),
    sip1: view.getBigUint64(56, true),
    target: view.getUint8(64) | 1,
  };
}

/**
 * If the gears of A, C, G and T all had the same parity, every window sum over nucleotide text
 * would be even and none could hit the odd target: one key in eight. Of the four only 'T' has the
 * low nibble 4, so one bit mends it.
 */
function separateNucleotides(tableLow: Uint8Array, tableHigh: Uint8Array): void {
  let oddCount = 0;
  for (const byte of fromAscii('ACGT')) {
    oddCount += ((tableLow[byte & 15] as number) + (tableHigh[byte >> 4] as number)) & 1;
  }
  if (oddCount === 0 || oddCount === 4) tableLow[4] = (tableLow[4] as number) ^ 1;
}
