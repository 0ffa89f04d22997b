/**
 * Merging of small records: what a merged tomb and a merged sweep must say before the records they
 * cover may be deleted (docs/repository-format.md, section 21). Pure: the product and the models of
 * the protocol (`test/model`) ask the same functions.
 *
 * Deleting a chosen name opens it again, so nothing is deleted that the merged record does not cover,
 * and the merged record is stored and read back first.
 */
import { assert } from '../util/assert.ts';
import { isVoid, type SweepSays } from './collector-view.ts';
import type { TombSays } from './outcomes.ts';

/**
 * The merged tomb in place of fences and tombs. Whoever was fenced or forgotten in them is closed for
 * ever. Afterwards these fences and the tombs in `merges` may be deleted.
 */
export function mergeTombs<Id, Name>({
  fences,
  tombs,
}: {
  fences: Iterable<Id>;
  tombs: Iterable<TombSays<Id> & { name: Name }>;
}): { merges: Set<Name>; closed: Set<Id> } {
  const merges = new Set<Name>();
  const closed = new Set(fences);
  for (const { name, forgotten, closed: alreadyClosed } of tombs) {
    merges.add(name);
    for (const id of forgotten) closed.add(id);
    for (const id of alreadyClosed) closed.add(id);
  }
  return { merges, closed };
}

/** How much one merged tomb can say. */
export interface TombLimits {
  mergesMax: number;
  closedMax: number;
}

/**
 * What goes into the next merged tomb: fences first, then tombs in the order given, then earlier merged
 * tombs, those that say least first. A full one stays as it is, so that there are several in the end; what
 * else finds no room waits for the one after this.
 */
export function chooseForMerging<
  Id,
  Tomb extends { forgotten: readonly unknown[]; closed: readonly unknown[] },
>(
  {
    fences,
    tombs,
    merged,
  }: { fences: readonly Id[]; tombs: readonly Tomb[]; merged: readonly Tomb[] },
  { mergesMax, closedMax }: TombLimits,
): { fences: Id[]; tombs: Tomb[] } {
  const says = ({ forgotten, closed }: Tomb): number => forgotten.length + closed.length;
  const chosenFences = fences.slice(0, closedMax);
  const chosen: Tomb[] = [];
  let room = closedMax - chosenFences.length;
  for (const tomb of [...tombs, ...[...merged].sort((a, b) => says(a) - says(b))]) {
    if (chosen.length === mergesMax || says(tomb) > room) continue;
    chosen.push(tomb);
    room -= says(tomb);
  }
  return { fences: chosenFences, tombs: chosen };
}

/**
 * The merged sweep in place of sweeps, one of each generation that no merged sweep covers, up to the
 * last. It names every pack they swept, whether it is still there or not. Afterwards marks, sweeps and
 * dones of the generations it covers are void and may be deleted.
 * @param mergedUpTo The last generation that an earlier merged sweep covers, 0 without one.
 */
export function mergeSweeps<Pack>(
  sweeps: readonly SweepSays<Pack>[],
  mergedUpTo: number,
): { from: number; generation: number; delete: Set<Pack> } {
  const counting = sweeps.filter(({ generation }) => !isVoid(generation, [mergedUpTo]));
  const packs = new Set<Pack>();
  for (const sweep of counting) for (const pack of sweep.delete) packs.add(pack);
  const generations = counting.map(({ generation }) => generation).sort((a, b) => a - b);
  const from = mergedUpTo + 1;
  const isGapless = generations.every((generation, i) => generation === from + i);
  assert(generations.length > 0 && isGapless, 'a merged sweep covers every generation');
  return { from, generation: mergedUpTo + generations.length, delete: packs };
}
