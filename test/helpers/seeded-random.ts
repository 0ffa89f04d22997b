/**
 * Randomness of tests: one seed per process, printed, and settable with `TEST_SEED`, so that every
 * failure can be replayed. xorshift32 is enough to make data; nothing here is secret.
 */
import type { Random } from '../../src/util/random.ts';

/** Seed of this run; give it to fast-check too. */
export const testSeed: number = Number(process.env['TEST_SEED'] ?? 20261121) >>> 0 || 1;

console.log(`# TEST_SEED=${testSeed}`);

export interface SeededRandom extends Random {
  /** Uniform enough integer in [0, bound). */
  below(bound: number): number;
}

export function seededRandom(salt = 0): SeededRandom {
  let state = (testSeed ^ Math.imul(salt + 1, 0x9e3779b9)) >>> 0 || 1;
  const next = (): number => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state;
  };
  return {
    below: (bound) => Math.floor((next() / 2 ** 32) * bound),
    bytes: (size) => {
      const out = new Uint8Array(size);
      for (let i = 0; i < size; i++) out[i] = next() & 255;
      return out;
    },
  };
}
