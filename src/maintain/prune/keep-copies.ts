/**
 * Copies that would go because there is another one: is that one good? Two copies of a blob are rare, and
 * mostly one of them was made to heal the other. A collector that does not know which is damaged must not
 * delete the good one; so the copy that stays is read first.
 */
import { CorruptionError, NotFoundError } from '../../errors.ts';
import { type Location, locationAt } from '../../index/presence.ts';
import type { BlobEntry } from '../../pack/directory.ts';
import type { ReadAccess } from '../../repository/read-access.ts';
import type { Turns } from '../../util/turns.ts';
import type { LiveSet } from './live-set.ts';

/**
 * Packs among these that hold a copy of a live blob of which the other copy, the one that would stay,
 * is damaged.
 * @param packNos of packs that are to go.
 */
export async function packsToKeep(
  packNos: Iterable<number>,
  { live, access, turns }: { live: LiveSet; access: ReadAccess; turns: Turns },
): Promise<Set<number>> {
  const kept = new Set<number>();
  for (const packNo of packNos) {
    for (const copy of copiesThatStay(live, packNo)) {
      if (turns.isOver) await turns.next();
      if (await isGood(access, copy)) continue;
      kept.add(packNo);
      break;
    }
  }
  return kept;
}

/** Copies in other packs at which blobs stand that this pack has too. */
function* copiesThatStay(live: LiveSet, packNo: number): Generator<Location, void, undefined> {
  const blobs = live.index.openDirectory(packNo)?.blobs;
  if (blobs === undefined) return;
  for (let slot = 0; slot < blobs.count; slot++) {
    if (!live.mayBeRepeated(packNo, slot)) continue;
    const place = live.placeOf((blobs.at(slot) as BlobEntry).id);
    if (place === undefined || place.packNo === packNo) continue;
    const location = locationAt(live.index, place);
    if (location !== undefined) yield location;
  }
}

async function isGood(
  access: ReadAccess,
  copy: Parameters<ReadAccess['verifyCopy']>[0],
): Promise<boolean> {
  try {
    await access.verifyCopy(copy);
    return true;
  } catch (error) {
    if (error instanceof CorruptionError || error instanceof NotFoundError) return false;
    throw error;
  }
}
