/**
 * Forgetting: what goes is planned first, then one tomb names all of it (docs/repository-format.md,
 * section 18). Nothing is deleted: from then on nobody counts the snapshots, and until a collection
 * takes their blobs, or their manifests, `undelete.ts` can bring them back.
 *
 * The plan is what is carried out. A snapshot that is made meanwhile is in no plan and stays.
 */
import { FORGOTTEN_COUNT_MAX } from '../record/collector-records.ts';
import { ChainWriter } from '../repository/chain-writer.ts';
import type { Repository } from '../repository/repository.ts';
import { type DamagedObject, loadView, type View } from '../repository/view.ts';
import {
  type GroupKey,
  groupKeyOf,
  groupSnapshots,
  isFromFuture,
  planRetention,
  type RetentionGroup,
  type RetentionPolicy,
} from '../snapshot/retention.ts';
import {
  matchesFilter,
  type Snapshot,
  type SnapshotFilter,
  selectSnapshot,
} from '../snapshot/selection.ts';
import { encodeUtf8 } from '../util/bytes.ts';
import { printable } from '../util/printable.ts';

/** A group of so many, of which none ever went, was probably not meant to keep all. */
const neverShrunkCount = 1000;

/** By a policy, or snapshots named one by one. */
export type ForgetChoice =
  | { readonly policy: RetentionPolicy; readonly groupBy?: readonly GroupKey[] | undefined }
  /** As `select` takes them; groups are those of host and source. */
  | { readonly selectors: readonly string[] };

export interface ForgetOptions {
  choice: ForgetChoice;
  /** Other snapshots are not looked at. */
  filter?: SnapshotFilter | undefined;
  /** Whether nothing may be left of a group; default: no. */
  mayEmpty?: boolean | undefined;
  /** Plan only. */
  isDryRun?: boolean | undefined;
  /** Shown a plan by which something goes; what comes back says whether it is. Default: it is. */
  confirm?: ((plan: ForgetPlan) => boolean | Promise<boolean>) | undefined;
  signal?: AbortSignal | undefined;
}

export interface ForgetPlan {
  /** In the order of what their snapshots have in common; only groups that were looked at. */
  groups: RetentionGroup[];
  /** Snapshots of these groups that go and that stay, each oldest first in its group. */
  forgotten: Snapshot[];
  kept: Snapshot[];
  /** Snapshots and records that cannot be read; they are left alone. */
  damaged: DamagedObject[];
}

export interface ForgetResult extends ForgetPlan {
  /** False in a dry run, when `confirm` said no, and when there was nothing to forget. */
  isDone: boolean;
}

/**
 * @throws RangeError when a policy makes no sense, and when nothing would be left of a group though
 * `mayEmpty` does not say so; nothing is then forgotten.
 * @throws NotFoundError when a selector means no snapshot, VersionError, CorruptionError, StorageError
 */
export async function forget(
  repository: Repository,
  options: ForgetOptions,
): Promise<ForgetResult> {
  const { isDryRun = false, confirm, signal } = options;
  const view = await loadView(repository, 'write');
  const plan = planForget(view, options);
  refuseEmptied(plan, options);
  tellStrange(repository, { plan, view, choice: options.choice });
  signal?.throwIfAborted();
  const hasWork = !isDryRun && plan.forgotten.length > 0;
  const isDone = hasWork && ((await confirm?.(plan)) ?? true);
  signal?.throwIfAborted();
  if (isDone) await putTombs(repository, view, plan.forgotten);
  return { ...plan, isDone };
}

function planForget(view: View, { choice, filter = {}, mayEmpty }: ForgetOptions): ForgetPlan {
  const candidates = view.snapshots.filter((snapshot) => matchesFilter(snapshot, filter));
  const groups =
    'policy' in choice
      ? planRetention(candidates, choice.policy, { groupBy: choice.groupBy, mayEmpty })
      : planNamed(
          view.snapshots,
          new Set(choice.selectors.map((one) => selectSnapshot(candidates, one))),
        );
  const verdicts = groups.flatMap((group) => group.verdicts);
  const snapshotsOf = (isKept: boolean): Snapshot[] =>
    verdicts.filter((verdict) => verdict.isKept === isKept).map(({ snapshot }) => snapshot);
  return { groups, forgotten: snapshotsOf(false), kept: snapshotsOf(true), damaged: view.damaged };
}

/** Groups of which a snapshot is named, with all that they have. */
function planNamed(all: readonly Snapshot[], chosen: ReadonlySet<Snapshot>): RetentionGroup[] {
  return groupSnapshots(all)
    .filter(({ members }) => members.some((snapshot) => chosen.has(snapshot)))
    .map(({ members, ...common }) => ({
      ...common,
      verdicts: members.map((snapshot) => {
        const isKept = !chosen.has(snapshot);
        return { snapshot, isKept, reasons: isKept ? [] : [{ rule: 'named', outcome: 'named' }] };
      }),
      isEmptied: members.every((snapshot) => chosen.has(snapshot)),
    }));
}

function refuseEmptied({ groups }: ForgetPlan, { choice, mayEmpty = false }: ForgetOptions): void {
  const emptied = groups.filter(({ isEmptied }) => isEmptied);
  if (mayEmpty || emptied.length === 0) return;
  const names = emptied.map(nameOf).join('; ');
  const how = 'policy' in choice ? 'by this policy' : 'these snapshots';
  throw new RangeError(`Cannot forget ${how}: nothing would be left of ${names}`);
}

/** What a policy does not say and its owner should know. */
function tellStrange(
  { onNotice }: Repository,
  { plan, view, choice }: { plan: ForgetPlan; view: View; choice: ForgetChoice },
): void {
  if (!('policy' in choice)) return;
  const shrunk = new Set(view.hidden.map((snapshot) => groupKeyOf(snapshot, choice.groupBy)));
  for (const group of plan.groups) {
    const { verdicts } = group;
    const future = verdicts.filter(({ snapshot }) => isFromFuture(snapshot)).length;
    if (future > 0) {
      onNotice(
        `${nameOf(group)}: ${future} dated after they were stored; these stay and are not counted`,
      );
    }
    const [first] = verdicts;
    const isWhole = verdicts.every(({ isKept }) => isKept);
    if (verdicts.length <= neverShrunkCount || !isWhole || first === undefined) continue;
    if (shrunk.has(groupKeyOf(first.snapshot, choice.groupBy))) continue;
    onNotice(`${nameOf(group)}: none of ${verdicts.length} snapshots was ever forgotten`);
  }
}

/** "alice /home/alice", with tags in brackets; "all snapshots" where they were not grouped. */
function nameOf({ host, source, tags }: RetentionGroup): string {
  const parts = [host, source].flatMap((bytes) => (bytes === undefined ? [] : [printable(bytes)]));
  if (tags !== undefined)
    parts.push(`[${tags.map((tag) => printable(encodeUtf8(tag))).join(', ')}]`);
  return parts.length === 0 ? 'all snapshots' : parts.join(' ');
}

async function putTombs(
  repository: Repository,
  view: View,
  snapshots: readonly Snapshot[],
): Promise<void> {
  const forgotten = snapshots.map(({ id, hash, manifest }) => {
    const { writerId, writerSeq } = manifest.chain;
    return { sessionId: id, writerId, writerSeq, hash };
  });
  const writer = await ChainWriter.open(repository, view);
  try {
    for (let i = 0; i < forgotten.length; i += FORGOTTEN_COUNT_MAX) {
      const part = forgotten.slice(i, i + FORGOTTEN_COUNT_MAX);
      await writer.putTomb({ forgotten: part, merges: [], closed: [] });
    }
  } finally {
    await writer.close();
  }
}
