/**
 * Super-features of a chunk: three numbers of 64 bits, of which two chunks share one or more when they
 * have most of their content in common. Frozen in docs/chunking.md, section 5: clients of one
 * repository find each other's chunks only if they compute them alike. Which windows of a chunk are
 * samples, and the maxima over them, is the scanner's part, where the chunk was cut.
 */
import { deriveChunkerKeys } from '../chunk/keys.ts';
import { mapCount, type Sampling, type Scanner } from '../chunk/scanner-contract.ts';
import { sipHash13, sipKeyOf } from '../chunk/sip-hash.ts';
import { viewOf } from '../util/bytes.ts';
import { deriveSimilarityKeys } from './keys.ts';

/**
 * Super-features of the chunk `buffer[start, end)` of the scanner: 24 bytes, three u64 in little-endian
 * order, as a blob record has them. They are overwritten by the next call. Undefined where the chunk is
 * too short or too uniform to have any.
 */
export type SuperFeatures = (start: number, end: number) => Uint8Array | undefined;

/** Chunks below have none; as deltas they would save little. */
const chunkSizeMin = 1024;
/** Chunks below are sampled more densely, since 1 in 256 would leave few samples or none. */
const sparseSizeMin = 16384;
/** Maxima over fewer samples say too little about a chunk. */
const sampleCountMin = 4;
/** In the hash, tells super-features of densely sampled chunks from the others. */
const denseMark = 256;

/** Works in the memory of `scanner`, which must cut with the same key. */
export function createSuperFeatures(chunkerKey: Uint8Array, scanner: Scanner): SuperFeatures {
  const maps = deriveSimilarityKeys(chunkerKey);
  const sipKey = sipKeyOf(deriveChunkerKeys(chunkerKey));
  const sparse: Sampling = { mask: 255, factors: maps.factors, addends: maps.addends };
  const dense: Sampling = { mask: 31, factors: maps.factors, addends: maps.addends };
  const maxima = new Uint32Array(mapCount);
  const message = new Uint32Array(4);
  const hash = new Uint32Array(2);
  const features = new Uint8Array(24);
  const view = viewOf(features);

  return (start, end) => {
    if (end - start < chunkSizeMin) return undefined;
    const isDense = end - start < sparseSizeMin;
    const count = scanner.sample(start, end, isDense ? dense : sparse, maxima);
    if (count < sampleCountMin) return undefined;
    for (let group = 0; group < 3; group++) {
      message[0] = maxima[3 * group] as number;
      message[1] = maxima[3 * group + 1] as number;
      message[2] = maxima[3 * group + 2] as number;
      message[3] = group + (isDense ? denseMark : 0);
      sipHash13(sipKey, message, hash);
      view.setUint32(8 * group, hash[0] as number, true);
      view.setUint32(8 * group + 4, hash[1] as number, true);
    }
    return features;
  };
}
