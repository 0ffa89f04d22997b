/**
 * One byte stream into its chunks: reads into the scanner's memory, lets it cut, and hands out views
 * of that memory. Nothing is copied except the undecided bytes at the end of a block, less than
 * one chunk of maximum size, which move to the front before the next read.
 */
import type { Scanner } from './scanner-contract.ts';

/** Fills the front of `target`; returns the bytes read, 0 at the end of the stream. */
export type ReadInto = (target: Uint8Array) => number;

/**
 * Yields the chunks in order; an empty stream has none. Each is borrowed: it is overwritten by the
 * next step. The scanner serves one stream at a time. Reads may be short; how the stream is read
 * never changes its chunks.
 */
export function* chunkStream(scanner: Scanner, readInto: ReadInto): Generator<Uint8Array> {
  const { buffer, cuts } = scanner;
  let end = 0;
  let isLast = false;
  while (!isLast) {
    while (end < buffer.length && !isLast) {
      const size = readInto(buffer.subarray(end));
      end += size;
      isLast = size === 0;
    }
    const count = scanner.scan(0, end, isLast);
    let start = 0;
    for (let i = 0; i < count; i++) {
      const cut = cuts[i] as number;
      yield buffer.subarray(start, cut);
      start = cut;
    }
    buffer.copyWithin(0, start, end);
    end -= start;
  }
}
