/**
 * The nine maps whose largest values over a chunk tell whether it resembles another, derived from the
 * chunker key of the repository (docs/chunking.md, section 5):
 *
 *     Y = HKDF-Expand(SHA-256, PRK = chunker key, info = "varve/similarity/1", L = 72)
 *
 *     0                 36                72
 *     | factors u32 x 9 | addends u32 x 9 |
 */
import { expand } from '@noble/hashes/hkdf.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { mapCount } from '../chunk/scanner-contract.ts';
import { assert } from '../util/assert.ts';
import { fromAscii, viewOf } from '../util/bytes.ts';

/** Map k of a value x is `x * factors[k] + addends[k]` modulo 2^32. */
export interface SimilarityKeys {
  /** Odd. */
  readonly factors: Uint32Array;
  readonly addends: Uint32Array;
}

export function deriveSimilarityKeys(chunkerKey: Uint8Array): SimilarityKeys {
  assert(chunkerKey.length === 32, 'a chunker key has 32 bytes');
  const view = viewOf(expand(sha256, chunkerKey, fromAscii('varve/similarity/1'), 8 * mapCount));
  const factors = new Uint32Array(mapCount);
  const addends = new Uint32Array(mapCount);
  for (let k = 0; k < mapCount; k++) {
    factors[k] = view.getUint32(4 * k, true) | 1;
    addends[k] = view.getUint32(4 * (mapCount + k), true);
  }
  return { factors, addends };
}
