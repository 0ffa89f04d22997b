/**
 * What became of sessions: which are open, which snapshots count, and which a collector keeps beside
 * them (docs/repository-format.md, sections 18 and 21). Pure: the product and the models of the
 * protocol (`test/model`) ask the same functions.
 *
 * - A session has one outcome for ever: its manifest, or a fence. An id in a `closed` list is fenced,
 *   also when there is no fence any more; a manifest that appears under it later is void.
 * - A tomb wins over a snapshot that reappears.
 * - The grace is for collectors alone, and only to keep more: nobody else takes a forgotten snapshot
 *   for live, because a collector with another grace may have swept its blobs.
 */

/** A tomb, merged or not. */
export interface TombSays<Id> {
  forgotten: Iterable<Id>;
  /** Sessions closed for ever; only a merged tomb has any. */
  closed: Iterable<Id>;
}

/** Sessions that have ended otherwise than by a snapshot that counts. */
export interface Ended<Id> {
  /** Named by a tomb. */
  forgotten: Set<Id>;
  /** Fenced, or closed by a merged tomb: they can never commit. */
  closed: Set<Id>;
}

/** What fences and tombs say, which must have been listed after the manifests in question. */
export function endedSessions<Id>({
  fences,
  tombs,
}: {
  fences: Iterable<Id>;
  tombs: Iterable<TombSays<Id>>;
}): Ended<Id> {
  const forgotten = new Set<Id>();
  const closed = new Set(fences);
  for (const tomb of tombs) {
    for (const id of tomb.forgotten) forgotten.add(id);
    for (const id of tomb.closed) closed.add(id);
  }
  return { forgotten, closed };
}

/** Whether a manifest of that session counts as a snapshot. */
export function isLive<Id>(id: Id, { forgotten, closed }: Ended<Id>): boolean {
  return !forgotten.has(id) && !closed.has(id);
}

/**
 * Whether a collector keeps what a manifest of that session refers to: the snapshot is live, or was
 * forgotten so lately that it can still be brought back. A manifest that is not kept in step 1 may be
 * deleted in step 8.
 * @param inGrace Ids forgotten by a tomb that is younger than the grace.
 */
export function isKept<Id>(id: Id, ended: Ended<Id>, inGrace: ReadonlySet<Id>): boolean {
  return isLive(id, ended) || (inGrace.has(id) && !ended.closed.has(id));
}

/**
 * Whether a session with an intent may still commit. Intents are listed before outcomes, so that one
 * which commits meanwhile is known to have ended.
 * @param outcomes Ids with an object at `snapshots/<id>`, manifest or fence.
 */
export function isOpen<Id>(id: Id, outcomes: ReadonlySet<Id>, ended: Ended<Id>): boolean {
  return !outcomes.has(id) && isLive(id, ended);
}

/**
 * Step 7: what a session reports that won the name of its manifest and then read fences and tombs
 * once more. `refused`: its name had been closed and opened again, so it must start over.
 */
export function reportOf<Id>(id: Id, { forgotten, closed }: Ended<Id>): CommitReport {
  if (closed.has(id)) return 'refused';
  return forgotten.has(id) ? 'forgotten' : 'committed';
}

export type CommitReport = 'committed' | 'forgotten' | 'refused';
