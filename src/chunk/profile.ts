/**
 * How large chunks are: part of the sealed config of a repository and immutable for its life, since
 * clients that cut differently share nothing. The arithmetic here is frozen with the chunker's name.
 */

/** Name of this way of cutting in the config; a writer refuses any other. */
export const CHUNKER_NAME = 's16p/1';

/** Chunk sizes in bytes. */
export interface ChunkerProfile {
  /** A power of two; the mean over random data comes out a little below it. */
  readonly average: number;
  readonly minimum: number;
  readonly maximum: number;
}

/** What the scanners need of a profile. */
export interface CandidateOdds {
  /** So many top bits of a candidate's mix must be zero; thins out the 1 in 256 of the window sum. */
  readonly mixZeroBits: number;
  /** A candidate with a lower rank is strict: the first strict one cuts. */
  readonly strictBelow: number;
}

/**
 * 64 KiB: with similarity the stored size of all test sets is within 4 % from 16 to 128 KiB, while
 * 16 KiB needs three times the index entries.
 */
export const DEFAULT_PROFILE: ChunkerProfile = { average: 65536, minimum: 32768, maximum: 131072 };

/**
 * Whether a repository may use the profile. Called where a profile enters (init, config); the
 * scanners work with any profile that they can compute, so that tests may cut tiny chunks.
 *
 * @throws RangeError for sizes outside what writers accept.
 */
export function checkProfile(profile: ChunkerProfile): void {
  const { average, minimum, maximum } = profile;
  demandSize('average', average, { least: 2 ** 13, most: 2 ** 22 });
  if (!Number.isInteger(Math.log2(average))) {
    throw new RangeError(`Cannot use chunk average ${average}: expected a power of two`);
  }
  demandSize('minimum', minimum, { least: 4096, most: average });
  demandSize('maximum', maximum, { least: average, most: Math.min(16 * average, 2 ** 23) });
}

/** About 24 weak and 2 strict candidates are expected in the window of a chunk of random data. */
export function candidateOdds(profile: ChunkerProfile): CandidateOdds {
  const mixZeroBits = Math.max(0, Math.min(4, Math.log2(profile.average) - 12));
  const strictBelow = Math.min(2 ** 32 - 1, 2 ** (41 + mixZeroBits) / profile.average);
  return { mixZeroBits, strictBelow };
}

function demandSize(name: string, size: number, bounds: { least: number; most: number }): void {
  if (Number.isInteger(size) && size >= bounds.least && size <= bounds.most) return;
  throw new RangeError(
    `Cannot use chunk ${name} ${size}: expected ${bounds.least} to ${bounds.most} bytes`,
  );
}
