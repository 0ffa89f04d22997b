/** Cutting whole byte strings, for tests of the chunker. */
import { chunkStream } from '../../src/chunk/chunk-stream.ts';
import type { ChunkerProfile } from '../../src/chunk/profile.ts';
import type { Scanner } from '../../src/chunk/scanner-contract.ts';
import { type ChunkInput, chunkInput } from './chunk-input.ts';
import type { SeededRandom } from './seeded-random.ts';

/** The profile of the vectors whose chunks are small enough for short test streams. */
export const tinyProfile: ChunkerProfile = { average: 4096, minimum: 64, maximum: 16384 };

/** Chunks of at most 1 KiB, so that a stream of a few KiB has many and most blocks decide some. */
export const minuteProfile: ChunkerProfile = { average: 512, minimum: 64, maximum: 1024 };

/** Chunk ends of `bytes` scanned as one stream in one call, from `start` in the buffer. */
export function cutAtOnce(scanner: Scanner, bytes: Uint8Array, start = 0): number[] {
  scanner.buffer.set(bytes, start);
  const count = scanner.scan(start, start + bytes.length, true);
  return [...scanner.cuts.subarray(0, count)].map((cut) => cut - start);
}

/** Chunks of `bytes` (copies) when read in pieces: `readSize` says how many bytes a read gives. */
export function cutStream(
  scanner: Scanner,
  bytes: Uint8Array,
  readSize: () => number = () => bytes.length,
): Uint8Array[] {
  let at = 0;
  const readInto = (target: Uint8Array): number => {
    const part = bytes.subarray(at, at + Math.min(readSize(), target.length));
    target.set(part);
    at += part.length;
    return part.length;
  };
  return Array.from(chunkStream(scanner, readInto), (chunk) => chunk.slice());
}

/** Chunk ends from chunks. */
export function endsOf(chunks: readonly Uint8Array[]): number[] {
  let end = 0;
  return chunks.map((chunk) => {
    end += chunk.length;
    return end;
  });
}

/** Pieces of every kind of data, some of them repeating earlier parts, in one byte string. */
export function mixture(random: SeededRandom, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let at = 0;
  while (at < size) {
    const length = Math.min(1 + random.below(size), size - at);
    if (at > 0 && random.below(4) === 0) {
      const from = random.below(at);
      const repeated = bytes.subarray(from, Math.min(from + length, at));
      bytes.set(repeated, at);
      at += repeated.length;
    } else {
      bytes.set(chunkInput(pieceOf(random, length)), at);
      at += length;
    }
  }
  return bytes;
}

function pieceOf(random: SeededRandom, length: number): ChunkInput {
  const seed = 1 + random.below(1e9);
  const pieces: ChunkInput[] = [
    { kind: 'random', seed, length },
    { kind: 'fill', value: random.below(256), length },
    { kind: 'words', seed, length },
    { kind: 'periodic', seed, period: 1 + random.below(200), length },
    { kind: 'periodic', seed, period: 16, length },
    { kind: 'alphabet', seed, symbols: 'ACGT', length },
    { kind: 'alphabet', seed, symbols: 'ab', length },
    { kind: 'counter32le', step: 1 + random.below(9), length },
  ];
  return pieces[random.below(pieces.length)]!;
}
