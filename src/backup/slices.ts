/**
 * How files are divided for reading. Small files are read whole, several in one batch; a large one in
 * slices that are cut on their own, each reaching a little into the next, so that the coordinator finds
 * the cut from which on the next slice's cuts are the right ones (docs/chunking.md).
 */

/** Bytes of a slice, and how many of the next one are read with it. */
export interface Slices {
  readonly size: number;
  readonly overlap: number;
  /** Bytes; smaller holes are read as zeros: chunks between them would be too small. */
  readonly holeSizeMin: number;
}

/** Larger slices overlap less and keep the other workers waiting longer. */
const sizeMin = 2 ** 22;
/** In this many chunks of maximum size two ways to cut nearly always meet. */
const overlapChunkCount = 4;
/** Files in one batch. */
export const batchFileCountMax = 256;

/** By the sizes of the smallest and largest chunk, bytes. */
export function planSlices(chunker: {
  readonly minimum: number;
  readonly maximum: number;
}): Slices {
  const { minimum, maximum } = chunker;
  return {
    size: Math.max(sizeMin, 8 * maximum),
    overlap: overlapChunkCount * maximum,
    holeSizeMin: minimum,
  };
}

/** Memory of a slot: a slice with its overlap; one byte more tells whether the file ends there. */
export function slotCapacity({ size, overlap }: Pick<Slices, 'size' | 'overlap'>): number {
  return size + overlap + 1;
}
