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
  SAMPLES,
  sumsOf,
  TABLE_HIGH,
  TABLE_LOW,
  TARGET,
} from './window';

/** Offsets whose samples are listed, then mapped; as many as the list has room for. */
const batchSize: u32 = 1024;

/**
 * Samples the windows inside buffer[start, end) whose sum agrees with the target in the bits of
 * `mask`; leaves the maxima at MAXIMA, those of maps 9 to 11 unused. Returns the number of samples.
 *
 * In two loops, because samples come without pattern: a loop that maps each where it is found mispredicts
 * a branch for it, and does 4.4 GB/s of random data at 1 in 256 and 1.7 at 1 in 32 (`bench -- features`:
 * 6.0 and 4.7).
 */
export function sample(start: u32, end: u32, mask: u32): u32 {
  v128.store(MAXIMA, i32x4.splat(0));
  v128.store(MAXIMA, i32x4.splat(0), 16);
  v128.store(MAXIMA, i32x4.splat(0), 32);
  const to = BUFFER + end;
  let count: u32 = 0;
  for (let from = BUFFER + start + 16; from <= to; from += batchSize) {
    const listed = listWindows(from, min(from + batchSize - 1, to), <i8>mask);
    raiseMaxima(listed);
    count += listed;
  }
  return count;
}

/**
 * Lists the offsets in [from, to] whose windows are samples; returns how many. The loop over offsets is
 * that of `findCandidate`. Of each step three offsets are written, whether or not there are so many: what
 * is too much is overwritten by the next step.
 */
function listWindows(from: u32, to: u32, mask: i8): u32 {
  const tableLow = v128.load(TABLE_LOW);
  const tableHigh = v128.load(TABLE_HIGH);
  const masks = i8x16.splat(mask);
  const target = v128.and(i8x16.splat(load<i8>(TARGET)), masks);
  let next = SAMPLES;

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

    let hits: u32 = i8x16.bitmask(hits1) | (i8x16.bitmask(hits2) << 16);
    // Bit i stands for offset at + 1 + i.
    if (to - at < 32) hits &= (1 << (to - at)) - 1;
    const after = next + (popcnt(hits) << 2);
    do {
      store<u32>(next, at + 1 + ctz(hits));
      hits &= hits - 1;
      store<u32>(next, at + 1 + ctz(hits), 4);
      hits &= hits - 1;
      store<u32>(next, at + 1 + ctz(hits), 8);
      hits &= hits - 1;
      next += 12;
    } while (hits != 0);
    next = after;

    gears0 = gears2;
    pairs0 = pairs2;
    quads0 = quads2;
    octets0 = octets2;
  }
  return (next - SAMPLES) >> 2;
}

/** Sends the mix of each listed window through the maps. */
function raiseMaxima(count: u32): void {
  const factors0 = v128.load(FACTORS);
  const factors1 = v128.load(FACTORS, 16);
  const factors2 = v128.load(FACTORS, 32);
  const addends0 = v128.load(ADDENDS);
  const addends1 = v128.load(ADDENDS, 16);
  const addends2 = v128.load(ADDENDS, 32);
  let maxima0 = v128.load(MAXIMA);
  let maxima1 = v128.load(MAXIMA, 16);
  let maxima2 = v128.load(MAXIMA, 32);
  const end = SAMPLES + (count << 2);
  for (let at = SAMPLES; at < end; at += 4) {
    const values = i32x4.splat(<i32>(mix(load<u32>(at)) >> 32));
    maxima0 = i32x4.max_u(maxima0, i32x4.add(i32x4.mul(values, factors0), addends0));
    maxima1 = i32x4.max_u(maxima1, i32x4.add(i32x4.mul(values, factors1), addends1));
    maxima2 = i32x4.max_u(maxima2, i32x4.add(i32x4.mul(values, factors2), addends2));
  }
  v128.store(MAXIMA, maxima0);
  v128.store(MAXIMA, maxima1, 16);
  v128.store(MAXIMA, maxima2, 32);
}
