/**
 * Rule DECODE over the live set: which condemned packs are needed after all. Where a live blob stands
 * in a condemned pack, or is a delta, a way down to a whole copy is looked for in the packs that are
 * left; where there is none, the condemned packs of the way that there is are left too. More packs
 * never make a blob worse off, so one pass is enough.
 *
 * What may go in the end is a part of what could go at most: a pack left too many is looked at again
 * by the next collection.
 */
import { CorruptionError } from '../../errors.ts';
import { FRAME_KIND } from '../../frame/frame-record.ts';
import type { BlobId } from '../../id.ts';
import { toHex } from '../../util/bytes.ts';
import type { Turns } from '../../util/turns.ts';
import type { IsUsablePack, LiveSet } from './live-set.ts';

/**
 * Condemned packs without which some live blob could not be decoded.
 * @param condemned numbers of packs in the index.
 * @throws CorruptionError when a live blob cannot be decoded even from all packs together.
 */
export async function rescuedPacks(
  live: LiveSet,
  condemned: ReadonlySet<number>,
  turns: Turns,
): Promise<Set<number>> {
  const rescued = new Set<number>();
  const isLeft = (packNo: number): boolean => !condemned.has(packNo) || rescued.has(packNo);
  for (const { packNo } of live.index.packs()) {
    const isCondemned = condemned.has(packNo);
    if (!isCondemned && !hasDeltas(live, packNo)) continue;
    if (turns.isOver) await turns.next();
    for (const { id, delta } of live.blobsIn(packNo)) {
      if (delta === undefined && !isCondemned) continue;
      for (const needed of neededFor(live, id, isLeft)) rescued.add(needed);
    }
  }
  return rescued;
}

/** Packs that must be left beside those that are, so that a blob can be decoded. */
function neededFor(live: LiveSet, id: BlobId, isLeft: IsUsablePack): number[] {
  if (live.chainIn(id, isLeft) !== undefined) return [];
  const chain = live.chainIn(id);
  if (chain === undefined) throw lostBlob(id);
  return chain.map(({ packNo }) => packNo).filter((packNo) => !isLeft(packNo));
}

/** Whether a pack has live blobs, and deltas, which might be those. */
function hasDeltas(live: LiveSet, packNo: number): boolean {
  if (!live.hasBlobsIn(packNo)) return false;
  const frames = live.index.openDirectory(packNo)?.blobs.frames ?? [];
  return frames.some(({ kind }) => kind === FRAME_KIND.delta);
}

function lostBlob(id: BlobId): CorruptionError {
  const found = 'no copy of it that can be decoded; nothing was deleted';
  return new CorruptionError({ kind: 'live blob', which: toHex(id), found, expected: 'one' });
}
