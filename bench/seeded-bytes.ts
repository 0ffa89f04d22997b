/**
 * Content for benches, the same on every machine: a stream of AES-CTR under a key made of a label.
 * Unlike a short-period generator it never repeats, so nothing in a corpus is a duplicate by
 * accident. Integer arithmetic only.
 */
import { createCipheriv, createHash } from 'node:crypto';

export interface SeededBytes {
  /** Integer in [0, bound), bound at most 2^32. */
  below(bound: number): number;
  /** Size between two powers of two (exponents); every octave is equally likely. */
  size(octaves: readonly [from: number, to: number]): number;
  /** Incompressible. */
  random(size: number): Uint8Array;
  /** Lines of words, the rank of a word about log-uniform, as in prose and source code. */
  text(size: number): Uint8Array;
  /** Records of 32 bytes with a counter, a time, a small number, noise and zeros. */
  binary(size: number): Uint8Array;
}

const wordCountLog2 = 12;
const recordSize = 32;
const drawsAtOnce = 256;
const newline = 10;
const space = 32;

/** Every word with a space behind it; word `i` ends at `wordEnds[i]`. */
const words = makeWords();

export function seededBytes(label: string): SeededBytes {
  const next = randomStream(label);
  let draws = new Uint32Array(0);
  let drawn = 0;
  const draw = (): number => {
    if (drawn === draws.length) {
      draws = new Uint32Array(next(drawsAtOnce * 4).slice().buffer);
      drawn = 0;
    }
    return draws[drawn++]!;
  };
  const below = (bound: number): number => Math.floor((draw() / 2 ** 32) * bound);
  return {
    below,
    size: ([from, to]) => {
      const octave = 2 ** (from + below(to - from));
      return octave + below(octave);
    },
    random: next,
    text: (size) => makeText(draw, size),
    binary: (size) => makeRecords(draw, size),
  };
}

function randomStream(label: string): (size: number) => Uint8Array {
  const key = createHash('sha256').update(label).digest();
  const cipher = createCipheriv('aes-256-ctr', key, new Uint8Array(16));
  return (size) => cipher.update(new Uint8Array(size));
}

function makeText(draw: () => number, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; ) {
    const chosen = draw();
    const rankMask = 2 ** (1 + ((chosen & 255) % wordCountLog2)) - 1;
    const rank = (chosen >>> 8) & rankMask;
    const end = words.ends[rank]!;
    for (let i = words.ends[rank - 1] ?? 0; i < end && at < size; i++)
      bytes[at++] = words.bytes[i]!;
    if (chosen >>> 29 === 0) bytes[at - 1] = newline;
  }
  return bytes;
}

function makeRecords(draw: () => number, size: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(Math.ceil(size / recordSize) * recordSize));
  const first = draw();
  let time = draw();
  for (let at = 0; at < view.byteLength; at += recordSize) {
    const chosen = draw();
    time += chosen & 1023;
    view.setUint32(at, first + at / recordSize, true);
    view.setFloat64(at + 4, time, true);
    view.setUint16(at + 12, chosen >>> 26, true);
    view.setUint32(at + 16, chosen, true);
    view.setUint32(at + 20, draw(), true);
  }
  return new Uint8Array(view.buffer, 0, size);
}

function makeWords(): { bytes: Uint8Array; ends: Uint32Array } {
  const letters = randomStream('words');
  const ends = new Uint32Array(2 ** wordCountLog2);
  const bytes: number[] = [];
  for (let i = 0; i < ends.length; i++) {
    const [lengthByte = 0, ...drawn] = letters(12);
    for (const byte of drawn.slice(0, 2 + (lengthByte % 9))) bytes.push(97 + (byte % 26));
    bytes.push(space);
    ends[i] = bytes.length;
  }
  return { bytes: Uint8Array.from(bytes), ends };
}
