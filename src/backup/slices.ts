/**
 * How files are divided for reading. Small files are read whole, several in one batch; a large one in
 * slices that are cut on their own, each reaching a little into the next, so that the coordinator finds
 * the cut from which on the next slice's cuts are the right ones (docs/chunking.md, split and align).
 */

/** What of the chunker's profile matters here. */
export interface ChunkSizes {
  readonly maximum: number;
}

/** Bytes of a slice, and of a batch of small files. Larger ones overlap less and wait longer. */
const sliceSizeMin = 2 ** 22;
/** The overlap holds a few chunks, of which one cut has to be the same in both slices. */
const overlapChunkCount = 4;
/** Files in one batch. */
export const batchFileCountMax = 256;

export function sliceSize({ maximum }: ChunkSizes): number {
  return Math.max(sliceSizeMin, 8 * maximum);
}

/** How far a slice is read beyond its end. */
export function sliceOverlap({ maximum }: ChunkSizes): number {
  return overlapChunkCount * maximum;
}

/** Memory of a slot: a slice with its overlap; one byte more tells whether the file ends there. */
export function slotCapacity(sizes: ChunkSizes): number {
  return sliceSize(sizes) + sliceOverlap(sizes) + 1;
}
