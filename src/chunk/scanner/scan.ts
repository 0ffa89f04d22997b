/**
 * The scanner in AssemblyScript: compiled to WebAssembly with SIMD, driven by ../scan-simd.ts. The
 * rules it keeps are at the head of ../scanner-contract.ts, the same predicate in plain TypeScript is
 * ../scan-reference.ts. Memory and the sum of a window: window.ts.
 */
import {
  BUFFER,
  gearsOf,
  mix,
  octetsOf,
  pairsOf,
  quadsOf,
  SIP_0,
  SIP_1,
  sumsOf,
  TABLE_HIGH,
  TABLE_LOW,
  TARGET,
} from './window';

export { sample } from './sample';

let minimum: u32 = 0;
let maximum: u32 = 0;
let mixZeroBits: u64 = 0;
let strictBelow: u32 = 0;

export function configure(least: u32, most: u32, zeroBits: u32, below: u32): void {
  minimum = least;
  maximum = most;
  mixZeroBits = zeroBits;
  strictBelow = below;
}

/** Writes the chunk ends of buffer[start, end) as u32 to `results`; returns how many. */
export function scan(start: u32, end: u32, isLast: bool, results: usize): u32 {
  const stop = BUFFER + end;
  let at = BUFFER + start;
  let count: u32 = 0;
  while (isLast ? at < stop : stop - at > maximum) {
    at = cutAfter(at, stop);
    store<u32>(results + (count << 2), at - BUFFER);
    count++;
  }
  return count;
}

/**
 * Writes candidates with offset in [from, to] as pairs of u32 (offset, rank) to `results`, at most
 * `countMax` of them; returns how many.
 */
export function listCandidates(from: u32, to: u32, results: usize, countMax: u32): u32 {
  const limit = BUFFER + to;
  let count: u32 = 0;
  let at = findCandidate(BUFFER + from, limit);
  while (at != 0 && count < countMax) {
    const pair = results + (count << 3);
    store<u32>(pair, at - BUFFER);
    store<u32>(pair, rank(at), 4);
    count++;
    at = findCandidate(at + 1, limit);
  }
  return count;
}

/** End of the chunk that starts at `start`, where `stop` is the end of the known bytes. */
function cutAfter(start: u32, stop: u32): u32 {
  const left = stop - start;
  if (left <= minimum) return stop;
  const limit = start + min(left, maximum);
  let best: u32 = 0;
  let bestRank: u32 = 0;
  let at = findCandidate(start + minimum, limit);
  while (at != 0) {
    const value = rank(at);
    if (value < strictBelow) return at;
    if (best == 0 || value < bestRank) {
      best = at;
      bestRank = value;
    }
    at = findCandidate(at + 1, limit);
  }
  return left <= maximum || best == 0 ? limit : best;
}

/**
 * First candidate in [from, to], or 0. 32 offsets per step and one test for all of them; what passes
 * it is rare and handled by scalar code. Starting anew after every candidate costs one vector.
 *
 * `bench -- scan`: 7.7 GB/s of random input at the default profile, of which half is skipped. Keeping
 * the nibble mask in memory, so that the engine need not rebuild it, gained 3 % and was left out.
 */
function findCandidate(from: u32, to: u32): u32 {
  const tableLow = v128.load(TABLE_LOW);
  const tableHigh = v128.load(TABLE_HIGH);
  const target = i8x16.splat(load<i8>(TARGET));

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
    const hits1 = i8x16.eq(sumsOf(octets0, octets1), target);
    const hits2 = i8x16.eq(sumsOf(octets1, octets2), target);

    if (v128.any_true(v128.or(hits1, hits2))) {
      let hits: u32 = i8x16.bitmask(hits1) | (i8x16.bitmask(hits2) << 16);
      do {
        const offset = at + 1 + ctz(hits);
        if (offset > to) return 0;
        if (clz(mix(offset)) >= mixZeroBits) return offset;
        hits &= hits - 1;
      } while (hits != 0);
    }
    gears0 = gears2;
    pairs0 = pairs2;
    quads0 = quads2;
    octets0 = octets2;
  }
  return 0;
}

/**
 * Low half of the SipHash-1-3 of the 32 bytes before `at`. Eight equal rounds with all state in
 * locals: four take a word, one the length, and the three final ones nothing.
 */
function rank(at: u32): u32 {
  let v0 = load<u64>(SIP_0) ^ 0x736f6d6570736575;
  let v1 = load<u64>(SIP_1) ^ 0x646f72616e646f6d;
  let v2 = load<u64>(SIP_0) ^ 0x6c7967656e657261;
  let v3 = load<u64>(SIP_1) ^ 0x7465646279746573;
  for (let i: u32 = 0; i < 8; i++) {
    let word: u64 = 0;
    if (i < 4) word = load<u64>(at - 32 + (i << 3));
    else if (i == 4) word = (<u64>32) << 56;
    else if (i == 5) v2 ^= 0xff;
    v3 ^= word;
    v0 += v1;
    v1 = rotl(v1, 13) ^ v0;
    v0 = rotl(v0, 32);
    v2 += v3;
    v3 = rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = rotl(v1, 17) ^ v2;
    v2 = rotl(v2, 32);
    v0 ^= word;
  }
  return <u32>(v0 ^ v1 ^ v2 ^ v3);
}
