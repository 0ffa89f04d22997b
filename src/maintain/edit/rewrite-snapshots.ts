/**
 * Dropping paths from history: of each snapshot that has any of them, a new one without, with the
 * original times. The old ones stay unless they are to be forgotten, and that only when all new ones
 * are there; until a collection `undelete` brings them back.
 */
import { VersionError } from '../../errors.ts';
import type { SessionId } from '../../id.ts';
import { openFixedAccess } from '../../repository/read-access.ts';
import type { Repository } from '../../repository/repository.ts';
import type { SnapshotManifest } from '../../snapshot/manifest.ts';
import type { Snapshot, SnapshotFilter } from '../../snapshot/selection.ts';
import { PatternList } from '../../walk/pattern-list.ts';
import { type DroppedCounts, isNothing, PathDropper } from './drop-paths.ts';
import { forgetReplaced, replaceSnapshot } from './replace-snapshot.ts';
import { chooseSnapshots } from './retag.ts';

export interface RewriteOptions {
  /** What goes, as in `ExcludeOptions`; at least one. */
  excludes: readonly (string | Uint8Array)[];
  /** As `select` takes them; default: all that the filter leaves. */
  selectors?: readonly string[] | undefined;
  filter?: SnapshotFilter | undefined;
  /** Forget the old ones. */
  isForgetting?: boolean | undefined;
  /** Plan only. */
  isDryRun?: boolean | undefined;
  /** Shown a plan by which something goes; false lets everything stay. */
  confirm?: ((plan: RewriteResult) => boolean | Promise<boolean>) | undefined;
  signal?: AbortSignal | undefined;
}

export interface RewrittenSnapshot {
  snapshot: Snapshot;
  /** Undefined as long as it is planned. */
  rewrittenId: SessionId | undefined;
  dropped: DroppedCounts;
}

export interface RewriteResult {
  snapshots: RewrittenSnapshot[];
  /** Snapshots of which none can be made without these paths, and why. */
  refused: { snapshot: Snapshot; reason: string }[];
  /** Snapshots that have none of them. */
  untouchedCount: number;
  /** False in a dry run, without consent, and when there was nothing to do. */
  isApplied: boolean;
}

/**
 * @throws RangeError on a pattern that makes no sense, or without any
 * @throws NotFoundError when a selector means no snapshot
 * @throws CorruptionError, VersionError, BusyError, StorageError
 */
export async function rewriteSnapshots(
  repository: Repository,
  options: RewriteOptions,
): Promise<RewriteResult> {
  const { excludes, isForgetting = false, isDryRun = false, confirm, signal } = options;
  if (excludes.length === 0) throw new RangeError('Cannot rewrite anything without a pattern');
  const dropper = new PathDropper(repository, { patterns: new PatternList(excludes), signal });
  const plan = await planRewrite(repository, dropper, options);
  if (isDryRun || plan.snapshots.length === 0) return plan;
  if (confirm !== undefined && !(await confirm(plan))) return plan;
  const done: RewriteResult = { ...plan, snapshots: [], isApplied: true };
  for (const planned of plan.snapshots) {
    signal?.throwIfAborted();
    done.snapshots.push(await rewriteOne(repository, dropper, { planned, signal }));
  }
  const ids = done.snapshots.map(({ snapshot }) => snapshot.id);
  if (isForgetting) await forgetReplaced(repository, ids, signal);
  return done;
}

async function planRewrite(
  repository: Repository,
  dropper: PathDropper,
  options: RewriteOptions,
): Promise<RewriteResult> {
  const access = await openFixedAccess(repository, { signal: options.signal });
  const chosen = chooseSnapshots(access.view.snapshots, options);
  const plan: RewriteResult = { snapshots: [], refused: [], untouchedCount: 0, isApplied: false };
  for (const snapshot of chosen) {
    const { root } = snapshot.manifest;
    const dropped = await dropper.count(access, root);
    if (isNothing(dropped)) {
      plan.untouchedCount += 1;
      continue;
    }
    const reason = await refusal(() => dropper.drop({ access, session: undefined }, root));
    if (reason !== undefined) plan.refused.push({ snapshot, reason });
    else plan.snapshots.push({ snapshot, rewrittenId: undefined, dropped });
  }
  return plan;
}

/** Why a tree cannot be made; undefined where it can. */
async function refusal(drop: () => Promise<{ entries: bigint }>): Promise<string | undefined> {
  try {
    const { entries } = await drop();
    return entries === 0n ? 'nothing of it would be left' : undefined;
  } catch (error) {
    if (error instanceof VersionError) return error.message;
    throw error;
  }
}

async function rewriteOne(
  repository: Repository,
  dropper: PathDropper,
  { planned, signal }: { planned: RewrittenSnapshot; signal: AbortSignal | undefined },
): Promise<RewrittenSnapshot> {
  const { snapshot, dropped } = planned;
  const { manifest } = snapshot;
  const rewrittenId = await replaceSnapshot(repository, snapshot, {
    signal,
    amend: async (session, access) => ({
      root: await dropper.drop({ access, session }, manifest.root),
      stats: statsWithout(manifest.stats, dropped),
    }),
  });
  return { snapshot, rewrittenId, dropped };
}

/** Counts of the run that took the snapshot, for people: they tell how much is in it. */
function statsWithout(
  stats: SnapshotManifest['stats'],
  dropped: DroppedCounts,
): SnapshotManifest['stats'] {
  const left: Record<string, number> = { ...stats };
  for (const name of ['files', 'directories', 'others', 'bytes'] as const) {
    const count = stats[name];
    if (count !== undefined) left[name] = Math.max(0, count - Number(dropped[name]));
  }
  return left;
}
