/**
 * Where the data of a file lies between its holes. Whoever cuts a file into chunks cuts each stretch as a
 * file of its own, so that both ends of the same data are found again wherever the holes are.
 */
import type { SourceFs } from './source-fs.ts';

/** A stretch of a file that is read, and the hole behind it. */
export interface Extent {
  /** Bytes from the start of the file. */
  readonly start: number;
  readonly end: number;
  /** Bytes; 0 at the end of a file that ends with data. */
  readonly holeAfter: number;
  readonly isLast: boolean;
}

type HoleFinder = Pick<SourceFs, 'nextHole' | 'nextData'>;

/** The stretches of an open file of that size, in order; smaller holes are data. */
export function* findExtents(
  fs: HoleFinder,
  fd: number,
  { size, holeSizeMin }: { size: number; holeSizeMin: number },
): Generator<Extent, void, void> {
  let start = 0;
  while (start < size) {
    const hole = findHole(fs, fd, { from: start, size, holeSizeMin });
    const end = hole?.start ?? size;
    const next = hole?.end ?? size;
    yield { start, end, holeAfter: next - end, isLast: next === size };
    start = next;
  }
}

function findHole(
  fs: HoleFinder,
  fd: number,
  { from, size, holeSizeMin }: { from: number; size: number; holeSizeMin: number },
): { start: number; end: number } | undefined {
  for (let position = from; position < size; ) {
    const start = fs.nextHole(fd, position) ?? size;
    if (start >= size) return undefined;
    const end = Math.min(fs.nextData(fd, start) ?? size, size);
    if (end - start >= holeSizeMin) return { start, end };
    position = end;
  }
  return undefined;
}
