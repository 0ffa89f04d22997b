/**
 * What a scanner is: it owns the memory file data is read into and finds the cut points in it. The
 * two implementations, `scan-simd.ts` and `scan-reference.ts`, give the same cuts for the same bytes.
 *
 * Rules of cutting, from chunk start s with n bytes left in the stream:
 *
 * 1. n <= minimum: the rest is one chunk.
 * 2. The first strict candidate in [s + minimum, s + min(maximum, n)] cuts.
 * 3. Else, n <= maximum: the rest is one chunk.
 * 4. Else the weak candidate of that window with the lowest rank cuts, the first of equal ones.
 * 5. Else the chunk has the maximum size.
 *
 * An offset e is a candidate when the bytes before it say so: the weighted sum of 16 gears hits the
 * target, and the mix of the same 16 bytes starts with enough zero bits. Its rank is a SipHash of
 * the 32 bytes before it. So a cut depends on nothing before its chunk and, after its start, on at
 * most `maximum` bytes and (rule 3) on whether the stream ends there. How the stream was read must not
 * matter, so a chunk is decided only when more than `maximum` bytes from s are in memory or the end
 * of the stream is known.
 */
import { assert } from '../util/assert.ts';
import type { ChunkerProfile } from './profile.ts';

export interface Scanner {
  readonly profile: ChunkerProfile;
  /** The scanner's own memory, to read file data into; the same for its life. */
  readonly buffer: Uint8Array;
  /** Offsets in `buffer` of the ends of the chunks of the last scan, ascending. */
  readonly cuts: Uint32Array;

  /**
   * Cuts the stream whose undecided bytes are `buffer[start, end)`, `start` being the start of a
   * chunk; `isLast` says that the stream ends at `end`. Returns how many `cuts` were written; the
   * bytes after the last of them are undecided (none if `isLast`). Bytes outside do not matter.
   */
  scan(start: number, end: number, isLast: boolean): number;

  /** All candidates with offset in [from, to]; from >= 32. Not for the write path. */
  listCandidates(from: number, to: number): Candidate[];

  /**
   * Samples the bytes `buffer[start, end)`, whatever lies around them. A window is a sample if it lies
   * inside and its sum agrees with the target in the bits of the mask; x being the upper 32 bits of its
   * mix, `maxima[k]` becomes the largest `x * factors[k] + addends[k]` modulo 2^32 over all samples, 0
   * if there are none. Returns the number of samples.
   */
  sample(start: number, end: number, sampling: Sampling, maxima: Uint32Array): number;
}

/** Which windows are samples, and the nine keyed maps their mixes go through. */
export interface Sampling {
  /** Of n one bits: about one window in 2^n is a sample. At most 255. */
  readonly mask: number;
  readonly factors: Uint32Array;
  readonly addends: Uint32Array;
}

/** Length of `factors`, `addends` and `maxima`. */
export const mapCount = 9;

export interface Candidate {
  readonly offset: number;
  /** 32 bits. */
  readonly rank: number;
}

/** Bytes of a window: a rank looks this far back. */
export const rankWindow = 32;

/**
 * Bytes read and scanned at a time, unless the caller asks for another capacity. By `bench -- scan`
 * 1 to 4 MiB are within 4 % of each other; of smaller blocks more is undecided and moved, larger ones
 * leave the cache.
 */
const BLOCK_SIZE_DEFAULT = 2 ** 20;

export interface ScannerOptions {
  /** Size of `buffer`; more than one chunk of maximum size, which must be there to be decided. */
  readonly capacity?: number;
}

/** Capacity of a scanner's buffer, after asserting what both implementations rely on. */
export function bufferCapacity(profile: ChunkerProfile, options: ScannerOptions): number {
  const capacity = options.capacity ?? BLOCK_SIZE_DEFAULT + profile.maximum;
  assert(profile.minimum >= 2 * rankWindow, 'a window stays inside its chunk');
  assert(profile.maximum >= profile.minimum, 'maximum is not below minimum');
  assert(capacity > profile.maximum, 'the buffer holds more than one chunk');
  return capacity;
}

/** The bytes of a scan lie in the buffer; WebAssembly would go on into its other memory. */
export function assertRange(buffer: Uint8Array, start: number, end: number): void {
  assert(start >= 0 && start <= end && end <= buffer.length, 'the scanned bytes lie in the buffer');
}

/** Candidates lie in the buffer, with a whole window before each. */
export function assertOffsets(buffer: Uint8Array, from: number, to: number): void {
  assert(from >= rankWindow && to <= buffer.length, 'a window lies before each candidate');
}

/** Most cuts one scan of a full buffer can find. */
export function cutCountMax(profile: ChunkerProfile, capacity: number): number {
  return Math.floor(capacity / profile.minimum) + 1;
}
