/**
 * What the exports of this folder share: where things lie in memory, and the two values of the 16
 * bytes before an offset that decide what happens there, their weighted sum and their mix.
 *
 * Memory is imported, never grows, and is laid out by the caller (../scan-simd.ts):
 *
 *     0    16   32   40   48    64  65  80        128       176      224 256       4480
 *     | TL | TH | K1 | K2 | sip | t | – | factors | addends | maxima | – | samples | buffer …
 *
 *     … buffer, then >= 32 readable bytes | cuts or candidates (results)
 *
 * Offsets passed in and out are relative to the buffer; inside they are addresses, which are never 0.
 *
 * The sum of 16 weighted gears is built by doubling, 16 offsets to a vector, each vector shifted
 * against the one before: pairs = g + 3 g<<1, quads = pairs + 3 pairs<<2, octets = quads + quads<<4,
 * sums = octets + octets<<8. A loop over offsets keeps the last vector of each for the next step; its
 * first step gets them from the 16 bytes before, which are all that is needed of them.
 */

export const TABLE_LOW: usize = 0;
export const TABLE_HIGH: usize = 16;
const MULTIPLIER_1: usize = 32;
const MULTIPLIER_2: usize = 40;
export const SIP_0: usize = 48;
export const SIP_1: usize = 56;
export const TARGET: usize = 64;
export const FACTORS: usize = 80;
export const ADDENDS: usize = 128;
export const MAXIMA: usize = 176;
export const SAMPLES: u32 = 256;
export const BUFFER: u32 = 4480;

// @ts-ignore: decorator
@inline
export function gearsOf(bytes: v128, tableLow: v128, tableHigh: v128): v128 {
  return i8x16.add(
    i8x16.swizzle(tableLow, v128.and(bytes, i8x16.splat(15))),
    i8x16.swizzle(tableHigh, i8x16.shr_u(bytes, 4)),
  );
}

/** Of each, `before` is the vector of the 16 offsets before. */
// @ts-ignore: decorator
@inline
export function pairsOf(before: v128, gears: v128): v128 {
  return i8x16.add(gears, triple(after1(before, gears)));
}

// @ts-ignore: decorator
@inline
export function quadsOf(before: v128, pairs: v128): v128 {
  return i8x16.add(pairs, triple(after2(before, pairs)));
}

// @ts-ignore: decorator
@inline
export function octetsOf(before: v128, quads: v128): v128 {
  return i8x16.add(quads, after4(before, quads));
}

// @ts-ignore: decorator
@inline
export function sumsOf(before: v128, octets: v128): v128 {
  return i8x16.add(octets, after8(before, octets));
}

// @ts-ignore: decorator
@inline
function triple(x: v128): v128 {
  return i8x16.add(x, i8x16.add(x, x));
}

/** `x` moved by one lane, the last lane of the vector before it moving in; so on for 2, 4 and 8. */
// @ts-ignore: decorator
@inline
function after1(before: v128, x: v128): v128 {
  return i8x16.shuffle(before, x, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30);
}

// @ts-ignore: decorator
@inline
function after2(before: v128, x: v128): v128 {
  return i8x16.shuffle(before, x, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29);
}

// @ts-ignore: decorator
@inline
function after4(before: v128, x: v128): v128 {
  return i8x16.shuffle(before, x, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27);
}

// @ts-ignore: decorator
@inline
function after8(before: v128, x: v128): v128 {
  return i8x16.shuffle(before, x, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23);
}

/** Keyed multiply of the 16 bytes before `at`. */
// @ts-ignore: decorator
@inline
export function mix(at: u32): u64 {
  return (
    load<u64>(at - 16) * load<u64>(MULTIPLIER_1) + load<u64>(at - 8) * load<u64>(MULTIPLIER_2)
  );
}
