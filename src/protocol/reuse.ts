/**
 * Rule CLOSURE (ii): what a writer may refer to without looking at it (docs/repository-format.md,
 * section 19). Pure: the product and the models of the protocol (`test/model`) ask the same function.
 */

/**
 * Whether all that a snapshot reaches will still be there when this session has committed. It must be
 * live in the view of the session, a tomb ends that at once; and while a mark is pending, that mark
 * must have counted it, because only what was counted is safe from its sweep.
 * @param counted Snapshots that the pending mark counted; undefined while there is none.
 */
export function mayReuseTree<Id>(
  id: Id,
  { isLive, counted }: { isLive: boolean; counted: Iterable<Id> | undefined },
): boolean {
  if (!isLive) return false;
  if (counted === undefined) return true;
  for (const one of counted) if (one === id) return true;
  return false;
}
