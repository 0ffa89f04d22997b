/**
 * How files are divided for reading. Small files are read whole, several in one batch; a large one in
 * slices that are cut on their own, each reaching a little into the next, so that the coordinator finds
 * the cut from which on the next slice's cuts are the right ones (docs/chunking.md).
 */

/** Bytes of a slice, and how many of the next one are read with it. */
export interface Slices {
  readonly size: number;
  readonly overlap: number;
}

/** Larger slices overlap less and keep the other workers waiting longer. */
const sizeMin = 2 ** 22;
/** In this many chunks of maximum size two ways to cut nearly always meet. */
const overlapChunkCount = 4;
/** Files in one batch. */
export const batchFileCountMax = 256;

/** @param maximum size of the largest chunk, bytes */
export function planSlices({ maximum }: { readonly maximum: number }): Slices {
  return { size: Math.max(sizeMin, 8 * maximum), overlap: overlapChunkCount * maximum };
}

/** Memory of a slot: a slice with its overlap; one byte more tells whether the file ends there. */
export function slotCapacity({ size, overlap }: Slices): number {
  return size + overlap + 1;
}
