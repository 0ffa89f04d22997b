/**
 * What a blob takes in the storage. Of several copies one is counted, always the same one, so that a
 * place in a pack stands for the blob. A frame that holds other blobs too is shared out by size.
 */
import type { BlobId } from '../id.ts';
import { type BlobCopy, PACK_STATE } from '../index/cache-rows.ts';
import type { LocalIndex } from '../index/local-index.ts';
import type { BlobEntry, FrameEntry } from '../pack/directory.ts';

/** The copy at which a blob is counted; undefined when no pack that is there has one. */
export function countedCopy(index: LocalIndex, id: BlobId): BlobCopy | undefined {
  let unindexed: BlobCopy | undefined;
  for (const copy of index.copies(id)) {
    const isUsable = index.isUsable(copy.packNo);
    if (!isUsable && index.pack(copy.packNo)?.state !== PACK_STATE.unindexed) continue;
    if (index.openDirectory(copy.packNo)?.blobs.isAt(copy.slot, id) !== true) continue;
    if (isUsable) return copy;
    unindexed ??= copy;
  }
  return unindexed;
}

/**
 * Bytes of a blob's share of its frame. Deltas of one frame are compressed one by one; other blobs
 * together, so that nobody can tell.
 */
export function storedShare(
  { delta, rawSize, frame }: BlobEntry,
  frames: readonly FrameEntry[],
): number {
  if (delta !== undefined) return delta.encodedSize;
  const whole = frames[frame] as FrameEntry;
  return (whole.storedSize * rawSize) / whole.rawSize;
}
