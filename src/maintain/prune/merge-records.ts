/**
 * Merging of small records: fences, tombs, marks and sweeps that pile up for ever otherwise become one
 * merged tomb and one merged sweep (docs/repository-format.md section 21).
 *
 * Deleting a chosen name opens it again. So the merged record is stored and read back first, and what it
 * covers goes an hour later at the earliest, when the next collector comes: a fenced session is in the
 * `closed` list by then, and a mark or sweep of a covered generation is void, whatever it says.
 */
import { CorruptionError } from '../../errors.ts';
import type { SessionId } from '../../id.ts';
import { isVoid } from '../../protocol/collector-view.ts';
import { chooseForMerging, mergeSweeps, mergeTombs } from '../../protocol/merging.ts';
import {
  CLOSED_COUNT_MAX,
  encodeMergedSweep,
  MERGES_COUNT_MAX,
  SWEPT_COUNT_MAX,
} from '../../record/collector-records.ts';
import { OBJECT_KIND } from '../../record/object-kind.ts';
import type { ChainWriter } from '../../repository/chain-writer.ts';
import { generationName, loadCollectorState } from '../../repository/collector-state.ts';
import { relyOn } from '../../repository/rely-on.ts';
import type { Repository } from '../../repository/repository.ts';
import { loadTombs, type StoredTomb, type View } from '../../repository/view.ts';
import { pass } from './failpoints.ts';

const oldMs = 30 * 86_400_000;
/** Old records of a kind that are left alone. */
const oldCountMax = 64;
const keptMs = 60 * 60 * 1000;
const COLLECTOR_NAME = /^gc\/([0-9a-f]{16})\.(mark|sweep|done|merged)$/;

export interface MergeOptions {
  repository: Repository;
  writer: ChainWriter;
  /** As this collector saw it, after its own sweep. */
  view: View;
  /** By the clock of the storage. */
  nowMs: number;
  graceMs: number;
}

/** Merges what is old and many, and deletes what was merged more than an hour ago. */
export async function mergeRecords(options: MergeOptions): Promise<void> {
  await deleteMerged(options);
  await mergeOldTombs(options);
  await mergeOldSweeps(options);
}

async function mergeOldTombs({
  repository,
  writer,
  view,
  nowMs,
  graceMs,
}: MergeOptions): Promise<void> {
  const isOld = ({ storedMs }: { storedMs: number }): boolean =>
    nowMs - storedMs >= Math.max(oldMs, graceMs);
  // What was merged before and is only waiting to be deleted does not count.
  const merged = new Set(view.tombs.flatMap(({ tomb }) => tomb.merges));
  const closedBefore = new Set(view.tombs.flatMap(({ tomb }) => tomb.closed));
  const fences = view.fences.filter((fence) => isOld(fence) && !closedBefore.has(fence.id));
  const tombs = view.tombs.filter((tomb) => isOld(tomb) && !merged.has(tomb.hash));
  const isSmall = ({ tomb }: StoredTomb): boolean => tomb.merges.length === 0;
  const small = tombs.filter(isSmall);
  if (fences.length + small.length <= oldCountMax) return;
  const says = ({ hash, tomb }: StoredTomb) => ({
    name: hash,
    forgotten: tomb.forgotten.map(({ sessionId }) => sessionId as SessionId),
    closed: tomb.closed as SessionId[],
  });
  const chosen = chooseForMerging<SessionId, ReturnType<typeof says>>(
    {
      fences: fences.map(({ id }) => id),
      tombs: small.map(says),
      merged: tombs.filter((tomb) => !isSmall(tomb)).map(says),
    },
    { mergesMax: MERGES_COUNT_MAX, closedMax: CLOSED_COUNT_MAX },
  );
  const { merges, closed } = mergeTombs<SessionId, string>(chosen);
  const content = { forgotten: [], merges: [...merges].sort(), closed: [...closed].sort() };
  await pass('merge.before');
  const hash = await writer.putTomb(content);
  await pass('merge.after');
  const { tombs: stored } = await loadTombs(repository);
  if (stored.some((tomb) => tomb.hash === hash)) return;
  const expected = 'to be there';
  throw new CorruptionError({ kind: 'merged tomb', which: hash, found: 'nothing', expected });
}

/** All generations up to the last, which must have been carried out. */
async function mergeOldSweeps({ repository, writer, nowMs }: MergeOptions): Promise<void> {
  const { collector, times } = await loadCollector(repository);
  const old = collector.sweeps.filter(
    ({ generation }) => nowMs - (times.get(generationName(generation, 'sweep')) ?? nowMs) >= oldMs,
  );
  if (old.length <= oldCountMax / 2 || collector.pendingMark !== undefined) return;
  if (!collector.sweeps.every(({ generation }) => collector.done.has(generation))) return;
  const mergedUpTo = Math.max(0, ...collector.merged.map(({ generation }) => generation));
  const merged = mergeSweeps<string>(collector.sweeps, mergedUpTo);
  if (merged.delete.size > SWEPT_COUNT_MAX) return;
  const { generation, from } = merged;
  const identity = { kind: OBJECT_KIND.sweep, name: generationName(generation, 'merged') };
  const content = { generation, from, delete: [...merged.delete].sort() };
  await pass('merge.before');
  await writer.putIfAbsent(identity, (chain) => encodeMergedSweep({ chain, ...content }), {
    isMerging: true,
  });
  await pass('merge.after');
  const { merged: stored } = await loadCollectorState(repository);
  const names = new Set(stored.find((one) => one.generation === generation)?.delete ?? []);
  for (const name of content.delete) {
    if (names.has(name)) continue;
    const found = `it does not name pack ${name}`;
    const expected = 'every pack that was swept';
    throw new CorruptionError({ kind: 'merged sweep', which: identity.name, found, expected });
  }
}

async function deleteMerged({ repository, view, nowMs }: MergeOptions): Promise<void> {
  const { storage } = repository;
  const isRipe = (storedMs: number): boolean => nowMs - storedMs >= keptMs;
  const { collector, times } = await loadCollector(repository);
  const ripe = collector.merged
    .map(({ generation }) => generation)
    .filter((generation) => isRipe(times.get(generationName(generation, 'merged')) ?? nowMs));
  const merging = view.tombs.filter(
    ({ storedMs, tomb }) => tomb.merges.length + tomb.closed.length > 0 && isRipe(storedMs),
  );
  const names = new Set([
    ...merging.flatMap((tomb) => coveredBy(tomb, view)),
    ...[...times.keys()].filter((name) => isCovered(name, ripe)),
  ]);
  if (names.size === 0) return;
  await relyOn(storage, [
    ...merging.map(({ hash }) => `tombs/${hash}`),
    ...ripe.map((generation) => generationName(generation, 'merged')),
  ]);
  for (const name of names) {
    await storage.delete(name);
    await pass('merge.deleted');
  }
  await storage.sync();
}

/**
 * Tombs and fences that a merged tomb has taken the place of, as far as they are still there, and manifests
 * that sleepers have put under closed names since: nothing that stands there can ever count.
 */
function coveredBy({ tomb }: StoredTomb, { tombs, fences, voided }: View): string[] {
  const there = new Set(tombs.map(({ hash }) => hash));
  const closed = new Set(tomb.closed);
  const names = [...fences.map(({ id }) => id), ...voided];
  return [
    ...tomb.merges.filter((hash) => there.has(hash)).map((hash) => `tombs/${hash}`),
    ...names.filter((id) => closed.has(id)).map((id) => `snapshots/${id}`),
  ];
}

/** Whether a record is a mark, sweep or done of a generation that a merged sweep covers. */
function isCovered(name: string, merged: readonly number[]): boolean {
  const [, number, kind] = COLLECTOR_NAME.exec(name) ?? [];
  if (number === undefined || kind === 'merged') return false;
  return isVoid(Number.parseInt(number, 16), merged);
}

async function loadCollector(repository: Repository): Promise<{
  collector: Awaited<ReturnType<typeof loadCollectorState>>;
  /** When each record was stored, by its name. */
  times: Map<string, number>;
}> {
  const times = new Map<string, number>();
  for await (const { name, modifiedMs } of repository.storage.list('gc/')) {
    times.set(name, Math.floor(modifiedMs));
  }
  return { collector: await loadCollectorState(repository), times };
}
