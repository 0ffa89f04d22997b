import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DEFAULT_PROFILE } from '../../src/chunk/profile.ts';
import { createReferenceScanner } from '../../src/chunk/scan-reference.ts';
import { createSimdScanner } from '../../src/chunk/scan-simd.ts';
import { mapCount, type Scanner } from '../../src/chunk/scanner-contract.ts';
import { deriveSimilarityKeys } from '../../src/similarity/keys.ts';
import { createSuperFeatures } from '../../src/similarity/super-features.ts';
import { fromHex, toHex } from '../../src/util/bytes.ts';
import { type ChunkInput, chunkInput } from '../helpers/chunk-input.ts';
import { readVectors } from '../helpers/vectors.ts';

interface Vectors {
  keys: { chunker_key: string; m: number[]; a: number[] }[];
  cases: {
    name: string;
    key: number;
    input: ChunkInput;
    cuts: number[];
    /** Of the first four chunks. */
    chunk_features: { samples: number; features: number[] | null; keys: string[] | null }[];
  }[];
}

/** One chunk and what is known of it; the vectors leave out maxima over too few samples. */
interface Chunk {
  start: number;
  end: number;
  samples: number;
  features: number[] | null;
  keys: string[] | null;
}

const vectors = readVectors('chunk-vectors.json') as Vectors;
const inputSizeMax = 5_000_000;
const alignments = Array.from({ length: 16 }, (_, i) => i);
const sampleCountMin = 4;
const chunkSizeMin = 1024;
const sparseSizeMin = 16384;

test('deriveSimilarityKeys() gives the maps of the vectors', () => {
  for (const { chunker_key, m, a } of vectors.keys) {
    const { factors, addends } = deriveSimilarityKeys(fromHex(chunker_key));

    assert.deepEqual([...factors], m);
    assert.deepEqual([...addends], a);
  }
});

for (const create of [createSimdScanner, createReferenceScanner]) {
  describe(`features by ${create.name}() and the vectors`, () => {
    const scanners = vectors.keys.map((key) => {
      const chunkerKey = fromHex(key.chunker_key);
      return create(chunkerKey, DEFAULT_PROFILE, { capacity: inputSizeMax + 16 });
    });

    for (const vector of vectors.cases) {
      test(`${vector.name}, key ${vector.key}: samples, maxima and super-features agree`, () => {
        const chunks = chunksOf(vector);
        const bytes = chunkInput(vector.input).subarray(0, chunks.at(-1)?.end);
        const scanner = scanners[vector.key]!;
        const computed = computeWith(scanner, fromHex(vectors.keys[vector.key]!.chunker_key));

        for (const alignment of alignments) {
          scanner.buffer.set(bytes, alignment);
          for (const chunk of chunks) assert.deepEqual(computed(chunk, alignment), chunk);
        }
      });
    }
  });
}

/** The chunks whose features are in the vectors, which have them of chunks below 1,024 bytes, too. */
function chunksOf({ cuts, chunk_features }: Vectors['cases'][number]): Chunk[] {
  return chunk_features.map(({ samples, features, keys }, i) => {
    const start = cuts[i - 1] ?? 0;
    const end = cuts[i]!;
    const isShort = end - start < chunkSizeMin;
    return { start, end, samples, features, keys: isShort ? null : keys };
  });
}

function computeWith(
  scanner: Scanner,
  chunkerKey: Uint8Array,
): (chunk: Chunk, alignment: number) => Chunk {
  const { factors, addends } = deriveSimilarityKeys(chunkerKey);
  const superFeatures = createSuperFeatures(chunkerKey, scanner);
  const maxima = new Uint32Array(mapCount);
  return ({ start, end }, alignment) => {
    const mask = end - start < sparseSizeMin ? 31 : 255;
    const sampling = { mask, factors, addends };
    const samples = scanner.sample(alignment + start, alignment + end, sampling, maxima);
    const features = samples < sampleCountMin ? null : [...maxima];
    const keys = hexNumbers(superFeatures(alignment + start, alignment + end));
    return { start, end, samples, features, keys };
  };
}

/** Three u64 as the vectors have them: digits in the order of writing. */
function hexNumbers(features: Uint8Array | undefined): string[] | null {
  if (features === undefined) return null;
  return [0, 8, 16].map((at) => toHex(features.slice(at, at + 8).reverse()));
}
