/**
 * Of a snapshot with damage that nothing heals, a new one is taken without what is lost. It says the
 * same of its source and time, continues the old one, has the tag `repaired`, and lists what is lost
 * among its errors. The old snapshot stays: whoever no longer wants it forgets it.
 */
import { CorruptionError, VersionError } from '../../errors.ts';
import type { SessionId } from '../../id.ts';
import { demandCollectable } from '../../repository/open-repository.ts';
import { openFixedAccess, ReadAccess } from '../../repository/read-access.ts';
import type { Repository } from '../../repository/repository.ts';
import { runSession } from '../../repository/run-session.ts';
import type { ManifestInput, Session } from '../../repository/session.ts';
import { ERROR_SAMPLE_COUNT_MAX, type SnapshotManifest } from '../../snapshot/manifest.ts';
import type { Snapshot } from '../../snapshot/selection.ts';
import { Turns } from '../../util/turns.ts';
import { inspectRepository } from '../check.ts';
import { isWanted, type Repair, type RepairOptions } from './repair-options.ts';
import { TreeRewriter } from './rewrite-tree.ts';

const REPAIRED_TAG = 'repaired';

export interface SnapshotsRepairOptions extends RepairOptions<SnapshotsRepair> {
  /** Read all data first, to find damage that is not known yet. */
  isReadingData?: boolean | undefined;
}

/** A path that is lost, or a directory of which a part is, and how. */
export interface LostEntry {
  path: Uint8Array;
  code: string;
}

export interface RepairedSnapshot {
  /** The damaged one. */
  id: SessionId;
  /** The new one; undefined as long as it is planned. */
  repairedId: SessionId | undefined;
  lostCount: number;
  /** At most 1,000 of them. */
  lost: LostEntry[];
}

export interface SnapshotsRepair extends Repair {
  snapshots: RepairedSnapshot[];
  /** Damaged snapshots of which no other can be made, and why. */
  refused: { id: SessionId; reason: string }[];
  /** Damaged snapshots of which there is a repaired one already. */
  repairedBefore: SessionId[];
}

/** @throws VersionError, BusyError, CorruptionError, StorageError */
export async function repairSnapshots(
  repository: Repository,
  options: SnapshotsRepairOptions = {},
): Promise<SnapshotsRepair> {
  demandCollectable(repository);
  const { signal, onProgress, isReadingData } = options;
  const damaged = await findDamaged(repository, { signal, onProgress, isReadingData });
  const plan: SnapshotsRepair = {
    snapshots: [],
    refused: [],
    repairedBefore: damaged.repairedBefore,
    isApplied: false,
  };
  const access = await openFixedAccess(repository, { signal });
  for (const snapshot of damaged.snapshots) {
    const outcome = await rewrite(snapshot, { repository, access, session: undefined, signal });
    if ('reason' in outcome) plan.refused.push({ id: snapshot.id, reason: outcome.reason });
    else plan.snapshots.push({ id: snapshot.id, repairedId: undefined, ...outcome.losses });
  }
  if (plan.snapshots.length === 0 || !(await isWanted(plan, options))) return plan;
  const repair: SnapshotsRepair = { ...plan, snapshots: [], isApplied: true };
  for (const { id } of plan.snapshots) {
    const snapshot = damaged.snapshots.find((one) => one.id === id) as Snapshot;
    repair.snapshots.push(await repairOne(repository, snapshot, signal));
  }
  await verify(repository, repair, signal);
  return repair;
}

async function findDamaged(
  repository: Repository,
  options: Parameters<typeof inspectRepository>[1],
): Promise<{ snapshots: Snapshot[]; repairedBefore: SessionId[] }> {
  const { result } = await inspectRepository(repository, options);
  const hurtKinds = /^(blob-(missing|unreadable)|tree-malformed|chunk-length-mismatch)$/;
  const hurt = new Set(
    result.findings
      .filter(({ kind }) => hurtKinds.test(kind))
      .flatMap(({ snapshots }) => snapshots),
  );
  const { view } = await openFixedAccess(repository, { signal: options?.signal });
  const damaged = view.snapshots.filter(({ id }) => hurt.has(id));
  const isRepaired = ({ id }: Snapshot): boolean =>
    view.snapshots.some(
      ({ manifest }) => manifest.tags.includes(REPAIRED_TAG) && manifest.parents.includes(id),
    );
  return {
    snapshots: damaged.filter((snapshot) => !isRepaired(snapshot)),
    repairedBefore: damaged.filter(isRepaired).map(({ id }) => id),
  };
}

interface Losses {
  lostCount: number;
  lost: LostEntry[];
}

interface RewritePlace {
  repository: Repository;
  access: ReadAccess;
  session: Session | undefined;
  signal: AbortSignal | undefined;
}

async function rewrite(
  { manifest }: Snapshot,
  { repository, access, session, signal }: RewritePlace,
): Promise<{ root: SnapshotManifest['root']; losses: Losses } | { reason: string }> {
  const losses: Losses = { lostCount: 0, lost: [] };
  const rewriter = new TreeRewriter({
    repository,
    access,
    session,
    turns: new Turns(repository.clock, signal),
    onLoss: (path, code) => {
      losses.lostCount += 1;
      if (losses.lost.length < ERROR_SAMPLE_COUNT_MAX) losses.lost.push({ path, code });
    },
  });
  try {
    const root = await rewriter.rewrite(manifest.root);
    return root.entries === 0n ? { reason: 'nothing of it is left' } : { root, losses };
  } catch (error) {
    if (error instanceof VersionError) return { reason: error.message };
    throw error;
  }
}

async function repairOne(
  repository: Repository,
  snapshot: Snapshot,
  signal: AbortSignal | undefined,
): Promise<RepairedSnapshot> {
  return await runSession(repository, { purpose: 'copy', signal }, async (session) => {
    const { sync, view } = session;
    const access = new ReadAccess(repository, { view, sync, signal, mayRebuild: false });
    const outcome = await rewrite(snapshot, { repository, access, session, signal });
    if ('reason' in outcome) {
      const object = { kind: 'snapshot', which: snapshot.id, expected: 'what was planned' };
      throw new CorruptionError({ ...object, found: outcome.reason });
    }
    const { root, losses } = outcome;
    const { id } = await session.commit({ ...describe(snapshot, losses), root });
    return { id: snapshot.id, repairedId: id, ...losses };
  });
}

/** What the new manifest says: all that the old one did, and what is lost. */
function describe(
  { id, manifest }: Snapshot,
  { lostCount, lost }: Losses,
): Omit<ManifestInput, 'root'> {
  const { startedNs, endedNs, timeZone, host, user, source, roots, stats, excludeHash } = manifest;
  const { laterFields } = manifest;
  const errorSample = [...lost, ...manifest.errorSample].slice(0, ERROR_SAMPLE_COUNT_MAX);
  const tags = manifest.tags.filter((tag) => tag !== REPAIRED_TAG);
  return {
    startedNs,
    endedNs,
    timeZone,
    host,
    user,
    source,
    roots,
    stats,
    excludeHash,
    laterFields,
    tags: [...tags, REPAIRED_TAG],
    parents: [id],
    errorCount: manifest.errorCount + lostCount,
    errorSample,
    isPartial: true,
  };
}

/** What was taken is whole, as far as a check can see. */
async function verify(
  repository: Repository,
  { snapshots }: SnapshotsRepair,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { result } = await inspectRepository(repository, { signal });
  for (const { repairedId } of snapshots) {
    const finding = result.findings.find(
      (one) => repairedId !== undefined && one.snapshots.includes(repairedId),
    );
    if (finding === undefined) continue;
    const object = { kind: 'repaired snapshot', which: repairedId ?? '' };
    throw new CorruptionError({ ...object, found: finding.message, expected: 'no damage' });
  }
}
