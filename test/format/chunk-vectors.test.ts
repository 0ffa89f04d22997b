import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { deriveChunkerKeys } from '../../src/chunk/keys.ts';
import { type ChunkerProfile, candidateOdds } from '../../src/chunk/profile.ts';
import { createReferenceScanner } from '../../src/chunk/scan-reference.ts';
import { createSimdScanner } from '../../src/chunk/scan-simd.ts';
import type { Scanner } from '../../src/chunk/scanner-contract.ts';
import { fromHex, toHex } from '../../src/util/bytes.ts';
import { type ChunkInput, chunkInput } from '../helpers/chunk-input.ts';
import { readVectors } from '../helpers/vectors.ts';

interface Vectors {
  profiles: Record<string, { avg: number; min: number; max: number; r: number; strict: number }>;
  keys: {
    chunker_key: string;
    tl: string;
    th: string;
    t: number;
    k1: string;
    k2: string;
    sip0: string;
    sip1: string;
  }[];
  cases: {
    name: string;
    key: number;
    profile: string;
    input: ChunkInput;
    input_sha256: string;
    cuts: number[];
    candidates: number;
    first_candidates: [number, number][];
    candidates_sha256: string;
  }[];
}

const vectors = readVectors('chunk-vectors.json') as Vectors;
const inputSizeMax = 5_000_000;
const alignments = Array.from({ length: 16 }, (_, i) => i);

function profileOf(name: string): ChunkerProfile {
  const { avg, min, max } = vectors.profiles[name]!;
  return { average: avg, minimum: min, maximum: max };
}

test('deriveChunkerKeys() gives the tables and constants of the vectors', () => {
  for (const expected of vectors.keys) {
    const keys = deriveChunkerKeys(fromHex(expected.chunker_key));

    assert.equal(toHex(keys.tableLow), expected.tl);
    assert.equal(toHex(keys.tableHigh), expected.th);
    assert.equal(keys.target, expected.t);
    assert.equal(keys.multiplier1, BigInt(`0x${expected.k1}`));
    assert.equal(keys.multiplier2, BigInt(`0x${expected.k2}`));
    assert.equal(keys.sip0, BigInt(`0x${expected.sip0}`));
    assert.equal(keys.sip1, BigInt(`0x${expected.sip1}`));
  }
});

test('candidateOdds() gives the thresholds of the vectors', () => {
  for (const [name, { r, strict }] of Object.entries(vectors.profiles)) {
    assert.deepEqual(candidateOdds(profileOf(name)), { mixZeroBits: r, strictBelow: strict });
  }
});

for (const create of [createSimdScanner, createReferenceScanner]) {
  describe(`${create.name}() and the vectors`, () => {
    const scanners = new Map<string, Scanner>();
    const scannerOf = (key: number, profile: string): Scanner => {
      const name = `${key} ${profile}`;
      const chunkerKey = fromHex(vectors.keys[key]!.chunker_key);
      const capacity = inputSizeMax + 128;
      const scanner = scanners.get(name) ?? create(chunkerKey, profileOf(profile), { capacity });
      scanners.set(name, scanner);
      return scanner;
    };

    for (const { name, key, profile, input, ...expected } of vectors.cases) {
      test(`${name}, key ${key}: cuts and candidates agree`, () => {
        const bytes = chunkInput(input);
        assert.equal(createHash('sha256').update(bytes).digest('hex'), expected.input_sha256);
        const scanner = scannerOf(key, profile);

        for (const start of alignments) {
          scanner.buffer.set(bytes, start);
          const count = scanner.scan(start, start + bytes.length, true);
          const cuts = [...scanner.cuts.subarray(0, count)].map((cut) => cut - start);
          assert.deepEqual(cuts, expected.cuts, `alignment ${start}`);
        }

        scanner.buffer.set(bytes);
        const candidates = bytes.length < 32 ? [] : scanner.listCandidates(32, bytes.length);
        const lines = candidates.map(({ offset, rank }) => `${offset}:${rank}\n`).join('');
        assert.equal(candidates.length, expected.candidates);
        assert.deepEqual(
          candidates.slice(0, 6).map(({ offset, rank }) => [offset, rank]),
          expected.first_candidates,
        );
        assert.equal(createHash('sha256').update(lines).digest('hex'), expected.candidates_sha256);
      });
    }
  });
}
