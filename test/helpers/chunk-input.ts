/** Inputs of the chunker: the generators that `test/vectors/chunk-vectors.json` names, and benches. */
import { fromAscii } from '../../src/util/bytes.ts';

export type ChunkInput =
  | { kind: 'random'; length: number; seed: number }
  | { kind: 'fill'; length: number; value?: number }
  | { kind: 'periodic'; length: number; seed: number; period: number }
  | { kind: 'words'; length: number; seed: number }
  | { kind: 'alphabet'; length: number; seed: number; symbols: string }
  | { kind: 'counter32le'; length: number; step: number }
  | { kind: 'islands'; length: number; seed: number }
  | { kind: 'insert'; seed: number; at: number; bytes: number; base: ChunkInput };

const WORDS = 'the of and to in is backup chunk store file time data index key block 0 1 42 , . \n';

export function chunkInput(input: ChunkInput): Uint8Array {
  switch (input.kind) {
    case 'random':
      return xorshiftBytes(input.seed, input.length);
    case 'fill':
      return new Uint8Array(input.length).fill(input.value ?? 0);
    case 'periodic': {
      const period = xorshiftBytes(input.seed, input.period);
      return Uint8Array.from({ length: input.length }, (_, i) => period[i % period.length]!);
    }
    case 'words':
      return words(input.seed, input.length);
    case 'alphabet': {
      const symbols = fromAscii(input.symbols);
      return xorshiftBytes(input.seed, input.length).map((x) => symbols[x % symbols.length]!);
    }
    case 'counter32le':
      return counter(input.length, input.step);
    case 'islands': {
      const bytes = new Uint8Array(input.length);
      for (let at = 0; at + 8192 <= input.length; at += 40960) {
        bytes.set(xorshiftBytes(input.seed + at + 1, 8192), at);
      }
      return bytes;
    }
    case 'insert':
      return insertBytes(chunkInput(input.base), {
        at: input.at,
        inserted: xorshiftBytes(input.seed, input.bytes),
      });
  }
}

/** xorshift32 from a seed other than 0; every state gives four bytes, little-endian. */
export function xorshiftBytes(seed: number, length: number): Uint8Array {
  const states = new Uint32Array(Math.ceil(length / 4));
  let state = seed;
  for (let i = 0; i < states.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    states[i] = state;
  }
  return new Uint8Array(states.buffer, 0, length);
}

export function insertBytes(
  base: Uint8Array,
  edit: { at: number; inserted: Uint8Array },
): Uint8Array {
  const { at, inserted } = edit;
  const bytes = new Uint8Array(base.length + inserted.length);
  bytes.set(base.subarray(0, at));
  bytes.set(inserted, at);
  bytes.set(base.subarray(at), at + inserted.length);
  return bytes;
}

function words(seed: number, length: number): Uint8Array {
  const list = WORDS.split(' ');
  const choices = xorshiftBytes(seed, length);
  const chosen: string[] = [];
  let size = 0;
  for (let i = 0; size < length; i++) {
    const word = `${list[choices[i]! % list.length]} `;
    chosen.push(word);
    size += word.length;
  }
  return fromAscii(chosen.join('').slice(0, length));
}

function counter(length: number, step: number): Uint8Array {
  const counts = Uint32Array.from({ length: Math.ceil(length / 4) }, (_, i) => i * step);
  return new Uint8Array(counts.buffer, 0, length);
}
