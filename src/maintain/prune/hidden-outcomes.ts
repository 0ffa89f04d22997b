/**
 * Whether a collector was shown everything there is in `snapshots/`. Nobody can see what a listing leaves
 * out, but others name it: a pack its writer, who has an outcome or has not ended; a snapshot its parents;
 * a record the newest ones of all other writers; and this client remembers what it has seen.
 *
 * An outcome that is named and not listed is asked for by its name, which no stale listing can hide. If it
 * is there the listing is incomplete, and everything that it left out would seem to be needed by nobody.
 */
import { CorruptionError, StorageError } from '../../errors.ts';
import type { SessionId } from '../../id.ts';
import { generationName } from '../../repository/collector-state.ts';
import { missingHead, rollbackNotice } from '../../repository/heads.ts';
import type { IndexSync } from '../../repository/index-sync.ts';
import type { Repository } from '../../repository/repository.ts';
import { endedBy, loadTombs, type View } from '../../repository/view.ts';
import type { WriterState } from '../../repository/writer-state.ts';
import { listOpenSessions } from './sessions.ts';

/**
 * @param remembered of this client, from before the view was loaded.
 * @throws CorruptionError when records are gone that the client or other records have seen.
 */
export function refuseRollback(
  repository: Repository,
  view: View,
  remembered: WriterState | undefined,
): void {
  const notice = remembered && rollbackNotice(repository, { state: remembered, view });
  const missing = missingHead(view);
  const named =
    missing &&
    `record ${missing.seq} of writer ${missing.writerId.slice(0, 8)}, which others name, is gone`;
  const what = notice ?? named;
  if (what === undefined) return;
  const found = `${what}; nothing was deleted: run "varve check"`;
  const expected = 'every record that was seen';
  throw new CorruptionError({
    kind: 'records',
    which: repository.storage.location,
    found,
    expected,
  });
}

/**
 * @param nowMs by the clock of the storage.
 * @throws StorageError when the listing has left out an outcome, or may have.
 */
export async function refuseHidden(
  repository: Repository,
  { view, sync, nowMs, graceMs }: { view: View; sync: IndexSync; nowMs: number; graceMs: number },
): Promise<void> {
  const writers = await unexplainedWriters(repository, sync, view);
  const parents = unexplainedParents(view);
  if (writers.size + parents.size === 0) return;
  // Whoever committed since the view was loaded is listed by now.
  const isExplained = await outcomesNow(repository);
  for (const id of [...writers.keys(), ...parents]) {
    if (isExplained(id)) continue;
    const name = `snapshots/${id}`;
    if ((await repository.storage.stat(name)) !== undefined) {
      throw incomplete(`${name} is there and not listed`);
    }
    const storedMs = writers.get(id);
    if (storedMs === undefined) continue;
    if (!hasOutcomes(view)) {
      throw incomplete('no snapshot is listed, and nothing says that they were forgotten');
    }
    if (nowMs - storedMs < graceMs) {
      throw incomplete(`nothing says what became of session ${id}, which has stored packs lately`);
    }
  }
}

function incomplete(found: string): StorageError {
  return new StorageError('list', 'snapshots/', `${found}; nothing was deleted`);
}

function hasOutcomes({ snapshots, hidden, fences }: View): boolean {
  return snapshots.length + hidden.length + fences.length > 0;
}

/**
 * Writers of indexed packs without an outcome, with the time at which the newest of them was stored. Who had
 * begun before the last mark had an outcome when its sweep was stored, which names those that were live.
 */
async function unexplainedWriters(
  repository: Repository,
  { index, listed }: IndexSync,
  { snapshots, forgotten, closed, collector }: View,
): Promise<Map<SessionId, number>> {
  const live = new Set(snapshots.map(({ id }) => id));
  const markedMs = await lastMarkMs(repository, collector.generation);
  const unexplained = new Map<SessionId, number>();
  for (const { packNo, name, isIndexed } of index.packs()) {
    const storedMs = listed.get(name)?.storedMs ?? 0;
    if (!isIndexed || storedMs < markedMs || collector.sweptPacks.has(name)) continue;
    const id = index.sessionOf(packNo);
    if (id === undefined || live.has(id) || forgotten.has(id) || closed.has(id)) continue;
    unexplained.set(id, Math.max(storedMs, unexplained.get(id) ?? 0));
  }
  if (unexplained.size === 0) return unexplained;
  for (const { id } of await listOpenSessions(repository)) unexplained.delete(id);
  return unexplained;
}

/** By the clock of the storage; 0 when there was none, or it was merged. */
async function lastMarkMs({ storage }: Repository, generation: number): Promise<number> {
  const mark = generation > 0 ? await storage.stat(generationName(generation, 'mark')) : undefined;
  return Math.floor(mark?.modifiedMs ?? 0);
}

function unexplainedParents({ snapshots, hidden, forgotten, closed }: View): Set<SessionId> {
  const known = new Set(snapshots.map(({ id }) => id));
  const unexplained = new Set<SessionId>();
  for (const { manifest } of [...snapshots, ...hidden]) {
    for (const id of manifest.parents as SessionId[]) {
      if (!known.has(id) && !forgotten.has(id) && !closed.has(id)) unexplained.add(id);
    }
  }
  return unexplained;
}

/** By a listing that begins now. */
async function outcomesNow(repository: Repository): Promise<(id: SessionId) => boolean> {
  const listed = new Set<string>();
  for await (const { name } of repository.storage.list('snapshots/')) listed.add(name);
  const { forgotten, closed } = endedBy(await loadTombs(repository));
  return (id) => listed.has(`snapshots/${id}`) || forgotten.has(id) || closed.has(id);
}
