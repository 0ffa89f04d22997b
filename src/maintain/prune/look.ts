/**
 * What a collector sees of the repository, in steps 1 and 6: its records, its snapshots and its packs,
 * or an error where that is not a state in which anything may be deleted.
 */
import { CorruptionError, StorageError } from '../../errors.ts';
import type { PackName, SessionId } from '../../id.ts';
import type { LocalIndex } from '../../index/local-index.ts';
import type { PackInfo } from '../../index/pack-states.ts';
import type { LongCall } from '../../progress.ts';
import { isKept } from '../../protocol/outcomes.ts';
import { loadCollectorState } from '../../repository/collector-state.ts';
import { type IndexSync, syncIndex } from '../../repository/index-sync.ts';
import { ReadAccess } from '../../repository/read-access.ts';
import type { Repository } from '../../repository/repository.ts';
import { storageNowMs } from '../../repository/storage-time.ts';
import { type DamagedObject, loadView, type View } from '../../repository/view.ts';
import type { WriterState } from '../../repository/writer-state.ts';
import { compareSnapshots, type Snapshot } from '../../snapshot/selection.ts';
import { nowMs } from '../../util/clock.ts';
import { refuseHidden, refuseRollback } from './hidden-outcomes.ts';

export interface Look {
  view: View;
  sync: IndexSync;
  index: LocalIndex;
  /** Reads trees by that index, which it leaves as it is. */
  access: ReadAccess;
  /** When it was taken, by the clock of the storage. */
  nowMs: number;
  /** Live snapshots, and those that were forgotten within the grace. */
  kept: Snapshot[];
  /** Forgotten ones whose grace is over. */
  expired: SessionId[];
}

interface LookOptions extends LongCall {
  graceMs: number;
  canWrite: boolean;
}

/**
 * What another collector deletes while it is looked at is missed, and is no damage: then it looks again.
 * @param canWrite false for a dry run, which takes the clock of this machine for that of the storage.
 * @throws CorruptionError, StorageError when nothing may be deleted in what it sees
 */
export async function lookAt(repository: Repository, options: LookOptions): Promise<Look> {
  const storageMs = options.canWrite ? await storageNowMs(repository) : undefined;
  for (;;) {
    const remembered = await repository.writerStates.peek().catch(() => undefined);
    const view = await loadView(repository, 'write');
    try {
      return await lookWith(repository, view, { ...options, storageMs, remembered });
    } catch (error) {
      const { generation } = await loadCollectorState(repository);
      if (generation <= view.collector.generation) throw error;
    }
  }
}

async function lookWith(
  repository: Repository,
  view: View,
  options: LookOptions & { storageMs: number | undefined; remembered: WriterState | undefined },
): Promise<Look> {
  const { graceMs, signal, remembered, storageMs = guessNowMs(repository, view) } = options;
  refuseDamage(view.damaged);
  const liveBefore = view.collector.sweeps.at(-1)?.liveSnapshots ?? [];
  refuseGone(view, liveBefore as SessionId[]);
  refuseGone(view, countedIn(view));
  refuseRollback(repository, view, remembered);
  const sync = await syncIndex(repository, view, options);
  if (sync.unindexed.length > 0) refuseDamage(sync.damaged);
  else tellNeedless(repository, sync.damaged);
  refuseEmptied(sync, view);
  await refuseHidden(repository, { view, sync, nowMs: storageMs, graceMs });
  const inGrace = new Set<SessionId>();
  const expired: SessionId[] = [];
  for (const { id, forgottenMs } of view.hidden) {
    if (storageMs - forgottenMs < graceMs) inGrace.add(id);
    else expired.push(id);
  }
  const kept = [...view.snapshots, ...view.hidden]
    .filter(({ id }) => isKept(id, view, inGrace))
    .sort(compareSnapshots);
  const access = new ReadAccess(repository, { view, sync, signal, mayRebuild: false });
  return { view, sync, index: sync.index, access, nowMs: storageMs, kept, expired };
}

/** Without writing: the clock of this machine, but not before the newest tomb. */
function guessNowMs({ clock }: Repository, { tombs }: View): number {
  return tombs.reduce((latest, { storedMs }) => Math.max(latest, storedMs), nowMs(clock));
}

/** Whether the pack counts for rule DECODE: indexed, listed with its length, in no sweep. */
export function isStanding({ sync, view }: Look, { name, length, isIndexed }: PackInfo): boolean {
  const isListed = sync.listed.get(name)?.size === length;
  return isIndexed && isListed && !view.collector.sweptPacks.has(name);
}

function refuseDamage(damaged: View['damaged']): void {
  const [first] = damaged;
  if (first === undefined) return;
  const found = `${first.error.message}; nothing was deleted: run "varve check"`;
  const expected = 'every record to be readable';
  throw new CorruptionError({ kind: 'record', which: first.name, found, expected }, first.error);
}

/**
 * Segments that cannot be read while every pack there is is named by another one: what they said is known,
 * as it is after `repair index`, which leaves them where they are.
 */
function tellNeedless({ onNotice }: Repository, damaged: readonly DamagedObject[]): void {
  for (const { name } of damaged) {
    onNotice(`${name} is damaged and left alone: every pack is named by other segments`);
  }
}

/**
 * Snapshots that were live are there, or a tomb or fence says what became of them.
 * @throws CorruptionError when nothing does
 */
export function refuseGone({ snapshots, forgotten, closed }: View, ids: Iterable<SessionId>): void {
  const live = new Set(snapshots.map(({ id }) => id));
  for (const id of ids) {
    if (live.has(id) || forgotten.has(id) || closed.has(id)) continue;
    const found = 'it was live, is gone, and nothing says that it was forgotten';
    const expected = 'the snapshot, or a tomb; nothing was deleted';
    throw new CorruptionError({ kind: 'snapshot', which: `snapshots/${id}`, found, expected });
  }
}

function countedIn({ collector }: View): SessionId[] {
  return (collector.pendingMark?.counted ?? []).map(({ sessionId }) => sessionId as SessionId);
}

/** A listing that lacks most packs is one of another place, or of a storage that fails. */
function refuseEmptied({ index, listed }: IndexSync, { collector }: View): void {
  let [known, missing] = [0, 0];
  for (const { name, isIndexed } of index.packs()) {
    if (!isIndexed || collector.sweptPacks.has(name as PackName)) continue;
    known += 1;
    if (!listed.has(name)) missing += 1;
  }
  if (2 * missing <= known) return;
  const found = `${missing} of ${known} packs are not listed; nothing was deleted`;
  throw new StorageError('list', 'data/ and meta/', found);
}
