/**
 * What collector records say, once they are read: how far collection has come, which packs are dead,
 * and which records are void (docs/repository-format.md, section 21). Pure: the product and the
 * models of the protocol (`test/model`) ask the same functions. Packs may be named by anything that
 * a `Set` can hold.
 *
 * - Generations are swept one after the other; a merged sweep counts for all it covers.
 * - A mark or sweep of a covered generation is void, whatever it says: merging opened its name again,
 *   and a collector asleep since then may have put another list there.
 * - Names in sweeps count for ever; those in a mark only until its generation is swept.
 */

/** A sweep, or a merged sweep with everything that its generations swept. */
export interface SweepSays<Pack> {
  generation: number;
  delete: Iterable<Pack>;
}

export interface MarkSays<Pack> {
  generation: number;
  condemned: Iterable<Pack>;
}

export interface CollectorView<Pack, Mark> {
  /** Highest generation swept, 0 when none was. */
  generation: number;
  /** Packs in any sweep that counts. */
  sweptPacks: Set<Pack>;
  /** Packs in any sweep that counts, or condemned by the pending mark. */
  deadPacks: Set<Pack>;
  /** The mark that has no sweep yet. */
  pendingMark: Mark | undefined;
}

/** Whether merged sweeps of these generations make a mark or sweep of that generation void. */
export function isVoid(generation: number, merged: Iterable<number>): boolean {
  for (const covered of merged) if (generation <= covered) return true;
  return false;
}

/** The highest generation swept; a sweep that is void is no higher than what covers it. */
export function lastSwept({
  merged,
  sweeps,
}: {
  merged: Iterable<number>;
  sweeps: Iterable<number>;
}): number {
  return Math.max(0, ...merged, ...sweeps);
}

/**
 * Whether marks and sweeps that were read between two listings may be believed: the later listing,
 * begun after the last read, shows no merged sweep that the earlier one did not.
 */
export function isSettled(
  mergedBefore: ReadonlySet<number>,
  mergedAfter: Iterable<number>,
): boolean {
  for (const generation of mergedAfter) if (!mergedBefore.has(generation)) return false;
  return true;
}

/** The view that follows from all records read; void ones among them count for nothing. */
export function collectorView<Pack, Mark extends MarkSays<Pack>>(records: {
  merged: readonly SweepSays<Pack>[];
  sweeps: readonly SweepSays<Pack>[];
  marks: readonly Mark[];
}): CollectorView<Pack, Mark> {
  const merged = records.merged.map(({ generation }) => generation);
  const sweeps = records.sweeps.filter(({ generation }) => !isVoid(generation, merged));
  const sweptPacks = new Set<Pack>();
  for (const sweep of [...records.merged, ...sweeps]) {
    for (const pack of sweep.delete) sweptPacks.add(pack);
  }
  const generation = lastSwept({ merged, sweeps: sweeps.map((sweep) => sweep.generation) });
  const pendingMark = records.marks.find((mark) => mark.generation === generation + 1);
  const deadPacks = new Set(sweptPacks);
  for (const pack of pendingMark?.condemned ?? []) deadPacks.add(pack);
  return { generation, sweptPacks, deadPacks, pendingMark };
}
