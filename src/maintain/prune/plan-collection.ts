/**
 * From what a collection sees to its plan: which packs take part, what of each is live, how many names
 * the records have room for, and which packs must stay although another copy of all they hold is there.
 */
import type { PackName } from '../../id.ts';
import { sessionIdOf } from '../../pack/directory.ts';
import { SWEPT_COUNT_MAX } from '../../record/collector-records.ts';
import { readUnindexed } from '../../repository/index-sync.ts';
import type { Repository } from '../../repository/repository.ts';
import type { Turns } from '../../util/turns.ts';
import { packsToKeep } from './keep-copies.ts';
import type { LiveSet } from './live-set.ts';
import { isStanding, type Look } from './look.ts';
import { type PackUsage, packUsage } from './pack-usage.ts';
import { type PruneLimits, type PrunePlan, planPrune } from './plan.ts';
import { listOpenSessions } from './sessions.ts';

/** Of a mark or sweep, in bytes: a snapshot that was counted, a name of a pack, and all of them. */
const countedEntrySize = 140;
const packNameSize = 67;
const recordRoomSize = 2 ** 24 - 2 ** 20;

export interface PlanningOptions {
  repository: Repository;
  look: Look;
  /** Everything that is live is in it. */
  live: LiveSet;
  turns: Turns;
  /** Bytes of live data that one run may write again; default: any number. */
  repackSizeMax: number | undefined;
  signal: AbortSignal | undefined;
}

/**
 * Gives the plan, and names of packs beside it that are in no index and garbage of writers that died.
 * @throws StorageError, CorruptionError
 */
export async function planCollection(
  options: PlanningOptions,
): Promise<{ plan: PrunePlan; unindexed: PackName[] }> {
  const { repository, look, repackSizeMax = Number.POSITIVE_INFINITY } = options;
  const { dataTarget, metadataTarget } = repository.config.pack;
  const open = new Set<string>();
  for (const { id } of await listOpenSessions(repository)) open.add(id);
  const usages = await packUsages(options, open);
  const unindexed = await oldUnindexed(options, open);
  const room = Math.floor((recordRoomSize - look.kept.length * countedEntrySize) / packNameSize);
  const packCountMax = Math.max(0, Math.min(SWEPT_COUNT_MAX, room) - unindexed.length);
  const limits = { dataTarget, metadataTarget, repackSizeMax, packCountMax };
  return { plan: await safePlan(usages, limits, options), unindexed };
}

/** Of all packs that stand, but for those of sessions that are still open. */
async function packUsages(
  { look, live, turns }: PlanningOptions,
  open: ReadonlySet<string>,
): Promise<PackUsage[]> {
  const usages: PackUsage[] = [];
  for (const pack of look.index.packs()) {
    if (!isStanding(look, pack)) continue;
    // To condemn packs of sessions without an outcome would only cost another upload.
    const record = open.size === 0 ? undefined : look.index.record(pack.packNo);
    if (record !== undefined && open.has(sessionIdOf(record.body))) continue;
    usages.push(packUsage(live, pack));
    if (turns.isOver) await turns.next();
  }
  return usages;
}

/** A plan without packs whose copies of live blobs are better than those that would stay. */
async function safePlan(
  usages: readonly PackUsage[],
  limits: PruneLimits,
  { repository, look, live, turns }: PlanningOptions,
): Promise<PrunePlan> {
  const stay = new Set<number>();
  for (;;) {
    const plan = planPrune(
      usages.filter(({ pack }) => !stay.has(pack.packNo)),
      limits,
    );
    const gone = [...plan.dead, ...plan.repack].map(({ pack }) => pack.packNo);
    const found = await packsToKeep(gone, { live, access: look.access, turns });
    if (found.size === 0) return plan;
    for (const packNo of found) stay.add(packNo);
    repository.onNotice(
      `${found.size} packs stay that hold what is damaged elsewhere: run "varve check --read-data"`,
    );
  }
}

/** Packs that nobody has named or taken over for a long time. */
async function oldUnindexed(
  { repository, look, signal }: PlanningOptions,
  open: ReadonlySet<string>,
): Promise<PackName[]> {
  const { sync, nowMs } = look;
  const { minimumAgeMs } = repository.config.gc;
  const old = sync.unindexed.filter(({ storedMs }) => nowMs - storedMs >= minimumAgeMs);
  if (old.length === 0) return [];
  const records = await readUnindexed(repository, { ...sync, unindexed: old }, { signal });
  return records.filter((record) => !open.has(sessionIdOf(record.body))).map(({ name }) => name);
}
