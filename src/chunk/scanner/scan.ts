/**
 * The scanner in AssemblyScript: compiled to WebAssembly with SIMD, driven by ../scan-simd.ts. The
 * rules it keeps are at the head of ../scanner-contract.ts, the same predicate in plain TypeScript is
 * ../scan-reference.ts.
 *
 * Memory is imported, never grows, and is laid out by the caller:
 *
 *     0    16   32   40   48     64  65     128                                  results
 *     | TL | TH | K1 | K2 | sip  | t | zero | buffer, then >= 32 readable bytes | cuts or candidates
 *
 * Offsets passed in and out are relative to the buffer; inside they are addresses, which are never 0.
 */

const TABLE_LOW: usize = 0;
const TABLE_HIGH: usize = 16;
const MULTIPLIER_1: usize = 32;
const MULTIPLIER_2: usize = 40;
const SIP_0: usize = 48;
const SIP_1: usize = 56;
const TARGET: usize = 64;
const BUFFER: u32 = 128;

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
 * The sum of 16 weighted gears is built by doubling, each vector shifted against the one before:
 * pairs = g + 3 g<<1, quads = pairs + 3 pairs<<2, octets = quads + quads<<4, sums = octets + octets<<8.
 * The 16 bytes before those of the first step give all that is needed of the vector before.
 *
 * `bench -- scan`: 7.7 GB/s of random input at the default profile, of which half is skipped. Keeping
 * the nibble mask in memory, so that the engine need not rebuild it, gained 3 % and was left out.
 */
function findCandidate(from: u32, to: u32): u32 {
  const tableLow = v128.load(TABLE_LOW);
  const tableHigh = v128.load(TABLE_HIGH);
  const target = i8x16.splat(load<i8>(TARGET));

  let gears0 = gears(v128.load(from - 17), tableLow, tableHigh);
  let pairs0 = i8x16.add(gears0, triple(after1(gears0, gears0)));
  let quads0 = i8x16.add(pairs0, triple(after2(pairs0, pairs0)));
  let octets0 = i8x16.add(quads0, after4(quads0, quads0));

  for (let at = from - 1; at < to; at += 32) {
    const gears1 = gears(v128.load(at), tableLow, tableHigh);
    const gears2 = gears(v128.load(at, 16), tableLow, tableHigh);
    const pairs1 = i8x16.add(gears1, triple(after1(gears0, gears1)));
    const pairs2 = i8x16.add(gears2, triple(after1(gears1, gears2)));
    const quads1 = i8x16.add(pairs1, triple(after2(pairs0, pairs1)));
    const quads2 = i8x16.add(pairs2, triple(after2(pairs1, pairs2)));
    const octets1 = i8x16.add(quads1, after4(quads0, quads1));
    const octets2 = i8x16.add(quads2, after4(quads1, quads2));
    const hits1 = i8x16.eq(i8x16.add(octets1, after8(octets0, octets1)), target);
    const hits2 = i8x16.eq(i8x16.add(octets2, after8(octets1, octets2)), target);

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

// @ts-ignore: decorator
@inline
function gears(bytes: v128, tableLow: v128, tableHigh: v128): v128 {
  return i8x16.add(
    i8x16.swizzle(tableLow, v128.and(bytes, i8x16.splat(15))),
    i8x16.swizzle(tableHigh, i8x16.shr_u(bytes, 4)),
  );
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
function mix(at: u32): u64 {
  return (
    load<u64>(at - 16) * load<u64>(MULTIPLIER_1) + load<u64>(at - 8) * load<u64>(MULTIPLIER_2)
  );
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
