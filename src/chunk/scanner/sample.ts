/**
 * Sampling of a chunk: the largest values that nine keyed maps take over some of its windows. What it is
 * for and what it promises: `sample` in ../scanner-contract.ts.
 */
import {
  ADDENDS,
  BUFFER,
  FACTORS,
  gearsOf,
  MAXIMA,
  mix,
  octetsOf,
  pairsOf,
  quadsOf,
  sumsOf,
  TABLE_HIGH,
  TABLE_LOW,
  TARGET,
} from './window';

/**
 * Samples the windows inside buffer[start, end) whose sum agrees with the target in the bits of
 * `mask`. Maps are three vectors of four, the last three maps unused. Returns the number of samples.
 *
 * The loop is that of `findCandidate`, without starting anew after each hit.
 */
export function sample(start: u32, end: u32, mask: u32): u32 {
  const tableLow = v128.load(TABLE_LOW);
  const tableHigh = v128.load(TABLE_HIGH);
  const masks = i8x16.splat(<i8>mask);
  const target = v128.and(i8x16.splat(load<i8>(TARGET)), masks);
  let maxima0 = i32x4.splat(0);
  let maxima1 = i32x4.splat(0);
  let maxima2 = i32x4.splat(0);
  let count: u32 = 0;

  const from = BUFFER + start + 16;
  const to = BUFFER + end;
  let gears0 = gearsOf(v128.load(from - 17), tableLow, tableHigh);
  let pairs0 = pairsOf(gears0, gears0);
  let quads0 = quadsOf(pairs0, pairs0);
  let octets0 = octetsOf(quads0, quads0);

  for (let at = from - 1; at < to; at += 32) {
    const gears1 = gearsOf(v128.load(at), tableLow, tableHigh);
    const gears2 = gearsOf(v128.load(at, 16), tableLow, tableHigh);
    const pairs1 = pairsOf(gears0, gears1);
    const pairs2 = pairsOf(gears1, gears2);
    const quads1 = quadsOf(pairs0, pairs1);
    const quads2 = quadsOf(pairs1, pairs2);
    const octets1 = octetsOf(quads0, quads1);
    const octets2 = octetsOf(quads1, quads2);
    const hits1 = i8x16.eq(v128.and(sumsOf(octets0, octets1), masks), target);
    const hits2 = i8x16.eq(v128.and(sumsOf(octets1, octets2), masks), target);

    if (v128.any_true(v128.or(hits1, hits2))) {
      let hits: u32 = i8x16.bitmask(hits1) | (i8x16.bitmask(hits2) << 16);
      // Bit i stands for offset at + 1 + i.
      if (to - at < 32) hits &= (1 << (to - at)) - 1;
      count += popcnt(hits);
      while (hits != 0) {
        const values = i32x4.splat(<i32>(mix(at + 1 + ctz(hits)) >> 32));
        maxima0 = i32x4.max_u(maxima0, mapped(values, 0));
        maxima1 = i32x4.max_u(maxima1, mapped(values, 16));
        maxima2 = i32x4.max_u(maxima2, mapped(values, 32));
        hits &= hits - 1;
      }
    }
    gears0 = gears2;
    pairs0 = pairs2;
    quads0 = quads2;
    octets0 = octets2;
  }
  v128.store(MAXIMA, maxima0);
  v128.store(MAXIMA, maxima1, 16);
  v128.store(MAXIMA, maxima2, 32);
  return count;
}

// @ts-ignore: decorator
@inline
function mapped(values: v128, maps: usize): v128 {
  return i32x4.add(i32x4.mul(values, v128.load(FACTORS + maps)), v128.load(ADDENDS + maps));
}
