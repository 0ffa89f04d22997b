/**
 * The scanner in plain TypeScript: fallback where WebAssembly has no SIMD, and the oracle the SIMD
 * scanner is tested against. Its rules are at the head of `scanner-contract.ts`.
 *
 * The weights of the 16 bytes before an offset, newest first, are 1, 3, 3, 9 four times over, so the
 * window's sum is four sums of four bytes. A ring keeps the last 16 of those, and one running total per
 * offset modulo 4 gains the newest and loses the one that leaves.
 */
import { viewOf } from '../util/bytes.ts';
import { type ChunkerKeys, deriveChunkerKeys } from './keys.ts';
import { type ChunkerProfile, candidateOdds } from './profile.ts';
import {
  assertOffsets,
  assertRange,
  bufferCapacity,
  type Candidate,
  cutCountMax,
  mapCount,
  rankWindow,
  type Sampling,
  type Scanner,
  type ScannerOptions,
} from './scanner-contract.ts';
import { sipHash13, sipKeyOf } from './sip-hash.ts';

/** The memory of one scanner with all its predicate needs. */
interface Scanned extends ChunkerProfile {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly keys: ChunkerKeys;
  readonly candidate: Wanted;
  readonly strictBelow: number;
  /** Gear of every byte. */
  readonly gears: Uint8Array;
  /** Working memory: sums of four weighted gears, by offset modulo 16. */
  readonly quads: Uint16Array;
  readonly sipKey: Uint32Array;
  /** Working memory: the bytes of a rank, and its hash. */
  readonly rankWords: Uint32Array;
  readonly rankHash: Uint32Array;
}

/** What is asked of the 16 bytes before an offset. */
interface Wanted {
  /** Bits in which their sum agrees with the target. */
  readonly sumMask: number;
  /** So many top bits of their mix are zero. */
  readonly mixZeroBits: number;
}

const sumWindow = 16;

export function createReferenceScanner(
  chunkerKey: Uint8Array,
  profile: ChunkerProfile,
  options: ScannerOptions = {},
): Scanner {
  const capacity = bufferCapacity(profile, options);
  const buffer = new Uint8Array(capacity);
  const cuts = new Uint32Array(cutCountMax(profile, capacity));
  const keys = deriveChunkerKeys(chunkerKey);
  const { mixZeroBits, strictBelow } = candidateOdds(profile);
  const scanned: Scanned = {
    ...profile,
    candidate: { sumMask: 255, mixZeroBits },
    strictBelow,
    bytes: buffer,
    view: viewOf(buffer),
    keys,
    gears: gearsOf(keys),
    quads: new Uint16Array(16),
    sipKey: sipKeyOf(keys),
    rankWords: new Uint32Array(rankWindow / 4),
    rankHash: new Uint32Array(2),
  };
  return {
    profile,
    buffer,
    cuts,
    scan: (start, end, isLast) => {
      assertRange(buffer, start, end);
      let count = 0;
      let at = start;
      while (isLast ? at < end : end - at > profile.maximum) {
        at = cutAfter(scanned, at, end);
        cuts[count++] = at;
      }
      return count;
    },
    listCandidates: (from, to) => {
      assertOffsets(buffer, from, to);
      const listed: Candidate[] = [];
      for (let at = findCandidate(scanned, from, to); at !== 0; ) {
        listed.push({ offset: at, rank: rank(scanned, at) });
        at = findCandidate(scanned, at + 1, to);
      }
      return listed;
    },
    sample: (start, end, sampling, maxima) => {
      assertRange(buffer, start, end);
      const wanted: Wanted = { sumMask: sampling.mask, mixZeroBits: 0 };
      let count = 0;
      maxima.fill(0);
      for (let at = findWindow(scanned, wanted, start + sumWindow, end); at !== 0; count++) {
        raiseMaxima(maxima, sampling, mixHigh(scanned, at));
        at = findWindow(scanned, wanted, at + 1, end);
      }
      return count;
    },
  };
}

function gearsOf(keys: ChunkerKeys): Uint8Array {
  const { tableLow, tableHigh } = keys;
  const gear = (byte: number): number =>
    (tableLow[byte & 15] as number) + (tableHigh[byte >> 4] as number);
  return Uint8Array.from({ length: 256 }, (_, byte) => gear(byte));
}

/** End of the chunk that starts at `start`, where `end` is the end of the known bytes. */
function cutAfter(scanned: Scanned, start: number, end: number): number {
  const left = end - start;
  if (left <= scanned.minimum) return end;
  const limit = start + Math.min(left, scanned.maximum);
  let best = limit;
  let bestRank = Number.POSITIVE_INFINITY;
  for (let at = findCandidate(scanned, start + scanned.minimum, limit); at !== 0; ) {
    const value = rank(scanned, at);
    if (value < scanned.strictBelow) return at;
    if (value < bestRank) {
      best = at;
      bestRank = value;
    }
    at = findCandidate(scanned, at + 1, limit);
  }
  return left <= scanned.maximum ? end : best;
}

/** First candidate in [from, to], or 0 (no candidate is below 32). */
function findCandidate(scanned: Scanned, from: number, to: number): number {
  return findWindow(scanned, scanned.candidate, from, to);
}

/**
 * First offset in [from, to] whose window is as wanted, or 0 (no window ends below 16). `bench -- scan`:
 * 400 MB/s of random input at the default profile, of which half is skipped.
 */
function findWindow(scanned: Scanned, wanted: Wanted, from: number, to: number): number {
  const { bytes, gears, quads } = scanned;
  const target = scanned.keys.target;
  const { sumMask, mixZeroBits } = wanted;
  quads.fill(0);
  let total0 = 0;
  let total1 = 0;
  let total2 = 0;
  let total3 = 0;
  let gear1 = 0;
  let gear2 = 0;
  let gear3 = 0;
  // Offset `at` is the one after byte at - 1. The first 16 turns fill `quads`.
  for (let at = from - 15; at <= to; at++) {
    const gear0 = gears[bytes[at - 1] as number] as number;
    const quad = gear0 + 3 * (gear1 + gear2 + 3 * gear3);
    const slot = at & 15;
    const total = total3 + quad - (quads[slot] as number);
    quads[slot] = quad;
    gear3 = gear2;
    gear2 = gear1;
    gear1 = gear0;
    total3 = total2;
    total2 = total1;
    total1 = total0;
    total0 = total;
    if (((total ^ target) & sumMask) === 0 && at >= from) {
      if (mixZeroBits === 0 || Math.clz32(mixHigh(scanned, at)) >= mixZeroBits) return at;
    }
  }
  return 0;
}

/** Upper 32 bits of the keyed multiply of the 16 bytes before `at`. */
function mixHigh({ view, keys }: Scanned, at: number): number {
  const mix =
    view.getBigUint64(at - 16, true) * keys.multiplier1 +
    view.getBigUint64(at - 8, true) * keys.multiplier2;
  return Number(BigInt.asUintN(32, mix >> 32n));
}

function raiseMaxima(maxima: Uint32Array, { factors, addends }: Sampling, value: number): void {
  for (let k = 0; k < mapCount; k++) {
    const mapped = (Math.imul(value, factors[k] as number) + (addends[k] as number)) >>> 0;
    if (mapped > (maxima[k] as number)) maxima[k] = mapped;
  }
}

/** Low half of the SipHash-1-3 of the 32 bytes before `at`. */
function rank(scanned: Scanned, at: number): number {
  const { view, sipKey, rankWords, rankHash } = scanned;
  for (let i = 0; i < rankWords.length; i++) {
    rankWords[i] = view.getUint32(at - rankWindow + 4 * i, true);
  }
  sipHash13(sipKey, rankWords, rankHash);
  return rankHash[0] as number;
}
