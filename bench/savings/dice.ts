/**
 * What the data sets are made of: words, and choices that follow from a seed. The words are split
 * at white space from a text, so that they come as often as they do there, punctuation included.
 */
import { type SeededBytes, seededBytes } from '../seeded-bytes.ts';

export interface Dice {
  /** Integer in [0, bound), bound at most 2^32. */
  below(bound: number): number;
  /** Integer in [from, to). */
  between(from: number, to: number): number;
  pick<T>(values: readonly T[]): T;
  /** So many words, with spaces between. */
  phrase(count: number): string;
  /** So many random bytes in hexadecimal. */
  hex(size: number): string;
  random(size: number): Uint8Array;
}

const defaultTextSize = 100_000;

/** Without a text of one's own: words of random letters. */
export function defaultWords(): string[] {
  const text = seededBytes('words of data sets').text(defaultTextSize);
  return wordsOf(new TextDecoder('latin1').decode(text));
}

export function wordsOf(text: string): string[] {
  return text.split(/\s+/).filter(Boolean);
}

export function makeDice(seed: string, words: readonly string[]): Dice {
  const source: SeededBytes = seededBytes(seed);
  const { below, random } = source;
  const pick = <T>(values: readonly T[]): T => values[below(values.length)]!;
  return {
    below,
    between: (from, to) => from + below(to - from),
    pick,
    phrase: (count) => Array.from({ length: count }, () => pick(words)).join(' '),
    hex: (size) => Buffer.from(random(size)).toString('hex'),
    random,
  };
}
