/**
 * Adoption: which packs a session or collector may take over from a writer that was killed before it
 * could name them (docs/repository-format.md, section 18). Pure: the product and the models of the
 * protocol (`test/model`) ask the same function.
 *
 * Whoever adopts makes the pack durable before it relies on it, puts the record into a segment of its
 * own, and takes deltas in it by rule CHAIN alone: the first writer may have been fenced, and the
 * base swept.
 */

/**
 * Whether a listed pack may be adopted: no segment names it, and no sweep and no pending mark.
 * @param dead Packs in any sweep or in the pending mark, as `collectorView` gives them.
 */
export function isAdoptable<Pack>(
  pack: Pack,
  { indexed, dead }: { indexed: ReadonlySet<Pack>; dead: ReadonlySet<Pack> },
): boolean {
  return !indexed.has(pack) && !dead.has(pack);
}
