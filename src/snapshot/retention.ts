/**
 * Retention: which snapshots of a group a policy keeps, as a pure function. No clock is asked; times
 * are compared with each other only.
 *
 * Invariants:
 * - A policy that keeps more, by a higher count, a longer span or another rule, never forgets more.
 * - Applied to what it keeps, a policy forgets nothing.
 * - The order of the snapshots does not matter.
 * - Unless `mayEmpty` says so, the newest snapshot of a group stays, and so does the newest of each
 *   writer that is not new.
 * - A snapshot that is dated after its own file was stored is kept and counts for nothing: with a
 *   clock that is wrong, or on purpose, it would push out others.
 */
import { toHex } from '../util/bytes.ts';
import { before, type Periods, parseSpan, periodsOf } from './calendar.ts';
import { compareSnapshots, type Snapshot } from './selection.ts';

/** Rules that keep so many; each at least 1. */
export interface RetentionCounts {
  /** The newest snapshots. */
  readonly last?: number | undefined;
  /** The newest snapshot of each of the newest hours, days, … that have one. */
  readonly hourly?: number | undefined;
  readonly daily?: number | undefined;
  readonly weekly?: number | undefined;
  readonly monthly?: number | undefined;
  readonly yearly?: number | undefined;
}

/** What to keep: a snapshot stays that any of the rules keeps. */
export interface RetentionPolicy extends RetentionCounts {
  /** All that are not older than this before the newest: "1y6m14d12h". */
  readonly within?: string | undefined;
  /** All that have one of these tags. */
  readonly tags?: readonly string[] | undefined;
}

export type GroupKey = 'host' | 'source' | 'tags';

export interface RetentionOptions {
  /** What snapshots that are judged together have in common; default: host and source. */
  groupBy?: readonly GroupKey[] | undefined;
  /** Whether nothing may be left of a group; default: no. */
  mayEmpty?: boolean | undefined;
}

/**
 * The rules of a policy, and besides: `newest` of the group, newest of its `writer`, dated in the
 * `future`, and `named` one by one.
 */
export type RetentionRule = keyof RetentionPolicy | 'newest' | 'writer' | 'future' | 'named';

export interface RetentionReason {
  readonly rule: RetentionRule;
  /**
   * `kept`: by this rule. `oldest`: the rule has room left, so the first of all stays until there are
   * more. `replaced`: a later snapshot of the same period is kept. `beyond`: the rule keeps so many
   * later ones. `named`: somebody said so.
   */
  readonly outcome: 'kept' | 'oldest' | 'replaced' | 'beyond' | 'named';
  /** Of a rule by the calendar: "2026-10-25", where the snapshot was taken. */
  readonly period?: string | undefined;
}

export interface RetentionVerdict {
  readonly snapshot: Snapshot;
  readonly isKept: boolean;
  /** Of a snapshot that is kept, all rules that keep it; of another, why those that might do not. */
  readonly reasons: readonly RetentionReason[];
}

/** What the snapshots of a group have in common; undefined where they were not grouped by it. */
interface Common {
  readonly host: Uint8Array | undefined;
  readonly source: Uint8Array | undefined;
  readonly tags: readonly string[] | undefined;
}

/** Snapshots that were judged together. */
export interface RetentionGroup extends Common {
  /** Oldest first. */
  readonly verdicts: readonly RetentionVerdict[];
  /** The policy by itself would leave nothing that counts. */
  readonly isEmptied: boolean;
}

/** How far the clock of a client may be ahead of that of the storage. */
const aheadMaxNs = 3_600_000_000_000n;
/** A writer that has written nothing for longer does not count as one: as in `seen` of records. */
const writerActiveNs = 90n * 86_400_000_000_000n;

const defaultGroupBy: readonly GroupKey[] = ['host', 'source'];
const countRules = ['last', 'hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const;

/** @throws RangeError when a policy keeps nothing, or makes no sense. */
export function checkRetention(policy: RetentionPolicy): void {
  const { within, tags = [] } = policy;
  for (const rule of countRules) {
    const count = policy[rule] ?? 1;
    if (Number.isSafeInteger(count) && count >= 1) continue;
    throw new RangeError(
      `Cannot keep ${count} snapshots (${rule}): expected a whole number from 1`,
    );
  }
  if (within !== undefined && parseSpan(within) === undefined) {
    throw new RangeError(`Cannot keep within "${within}": expected a span such as 1y6m14d12h`);
  }
  const hasRule = countRules.some((rule) => policy[rule] !== undefined);
  if (!hasRule && within === undefined && tags.length === 0) {
    throw new RangeError('Cannot forget by a policy that keeps nothing');
  }
}

/**
 * Judges all snapshots. Groups come in the order of what they have in common, as bytes.
 * @throws RangeError as `checkRetention`.
 */
export function planRetention(
  snapshots: readonly Snapshot[],
  policy: RetentionPolicy,
  options: RetentionOptions = {},
): RetentionGroup[] {
  checkRetention(policy);
  const { mayEmpty = false } = options;
  return groupSnapshots(snapshots, options.groupBy).map(({ members, ...common }) => {
    const { verdicts, isEmptied } = judge(members, policy, mayEmpty);
    return { ...common, verdicts, isEmptied };
  });
}

interface SnapshotGroup extends Common {
  /** Oldest first. */
  readonly members: Snapshot[];
}

/** Those that have something in common, in the order of that as bytes. */
export function groupSnapshots(
  snapshots: readonly Snapshot[],
  groupBy: readonly GroupKey[] = defaultGroupBy,
): SnapshotGroup[] {
  const groups = new Map<string, SnapshotGroup>();
  for (const snapshot of [...snapshots].sort(compareSnapshots)) {
    const key = groupKeyOf(snapshot, groupBy);
    const group = groups.get(key) ?? { ...commonOf(snapshot, groupBy), members: [] };
    group.members.push(snapshot);
    groups.set(key, group);
  }
  return [...groups].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, group]) => group);
}

/** Equal for snapshots of one group. */
export function groupKeyOf(
  snapshot: Snapshot,
  groupBy: readonly GroupKey[] = defaultGroupBy,
): string {
  const { host, source, tags } = commonOf(snapshot, groupBy);
  return JSON.stringify([host && toHex(host), source && toHex(source), tags]);
}

function commonOf({ manifest }: Snapshot, groupBy: readonly GroupKey[]): Common {
  return {
    host: groupBy.includes('host') ? manifest.host : undefined,
    source: groupBy.includes('source') ? manifest.source : undefined,
    tags: groupBy.includes('tags') ? [...new Set(manifest.tags)].sort() : undefined,
  };
}

/** Whether a snapshot is dated after its file was stored: by the clock of the storage. */
export function isFromFuture({ manifest, storedMs }: Snapshot): boolean {
  return manifest.startedNs > BigInt(storedMs) * 1_000_000n + aheadMaxNs;
}

type Reasons = RetentionReason[];

function judge(
  members: readonly Snapshot[],
  policy: RetentionPolicy,
  mayEmpty: boolean,
): Pick<RetentionGroup, 'verdicts' | 'isEmptied'> {
  const counted = members.filter((snapshot) => !isFromFuture(snapshot)).reverse();
  const reasons = counted.map((): Reasons => []);
  const periods = counted.map(({ manifest }) => periodsOf(manifest.startedNs, manifest.timeZone));
  for (const rule of countRules) {
    const count = policy[rule];
    if (count === undefined) continue;
    const names = counted.map(({ id }, i) =>
      rule === 'last' ? id : (periods[i] as Periods)[rule],
    );
    keepCount(reasons, names, { rule, count });
  }
  keepWithin(reasons, counted, policy.within);
  keepTagged(reasons, counted, policy.tags ?? []);
  const isEmptied = counted.length > 0 && reasons.every((list) => !list.some(isKeeping));
  if (!mayEmpty) keepNewest(reasons, counted);
  const byId = new Map(counted.map(({ id }, i) => [id, reasons[i] as Reasons]));
  const verdicts = members.map((snapshot) => {
    const all = byId.get(snapshot.id) ?? [{ rule: 'future', outcome: 'kept' }];
    const keeping = all.filter(isKeeping);
    const isKept = keeping.length > 0;
    return { snapshot, isKept, reasons: isKept ? keeping : all };
  });
  return { verdicts, isEmptied };
}

function isKeeping({ outcome }: RetentionReason): boolean {
  return outcome === 'kept' || outcome === 'oldest';
}

/** @param names of the periods that snapshots fall in, newest first; each a period of its own: `last`. */
function keepCount(
  reasons: readonly Reasons[],
  names: readonly string[],
  { rule, count }: { rule: keyof RetentionCounts; count: number },
): void {
  const kept = new Set<string>();
  for (const [i, name] of names.entries()) {
    const isReplaced = kept.has(name);
    const hasRoom = kept.size < count;
    if (!isReplaced && hasRoom) kept.add(name);
    const isOldest = i === names.length - 1 && hasRoom;
    let outcome: RetentionReason['outcome'] = hasRoom ? 'kept' : 'beyond';
    if (isReplaced) outcome = isOldest ? 'oldest' : 'replaced';
    reasons[i]?.push({ rule, outcome, period: rule === 'last' ? undefined : name });
  }
}

function keepWithin(
  reasons: readonly Reasons[],
  counted: readonly Snapshot[],
  within: string | undefined,
): void {
  const span = within === undefined ? undefined : parseSpan(within);
  const newest = counted[0];
  if (span === undefined || newest === undefined) return;
  const startNs = before(newest.manifest.startedNs, span);
  for (const [i, { manifest }] of counted.entries()) {
    const isKept = startNs === undefined || manifest.startedNs >= startNs;
    reasons[i]?.push({ rule: 'within', outcome: isKept ? 'kept' : 'beyond' });
  }
}

function keepTagged(
  reasons: readonly Reasons[],
  counted: readonly Snapshot[],
  tags: readonly string[],
): void {
  for (const [i, { manifest }] of counted.entries()) {
    if (!manifest.tags.some((tag) => tags.includes(tag))) continue;
    reasons[i]?.push({ rule: 'tags', outcome: 'kept' });
  }
}

/**
 * The newest of all, and of each writer that has written before: whoever can add snapshots of others
 * can add them until the counts are used up, but the last true one of each stays. A client without a
 * lasting state is a new writer each time; that must not keep everything.
 */
function keepNewest(reasons: readonly Reasons[], counted: readonly Snapshot[]): void {
  const newest = counted[0];
  if (newest === undefined) return;
  reasons[0]?.push({ rule: 'newest', outcome: 'kept' });
  const sinceNs = newest.manifest.startedNs - writerActiveNs;
  const seen = new Set<string>();
  for (const [i, { manifest }] of counted.entries()) {
    const { writerId, writerSeq } = manifest.chain;
    if (seen.has(writerId)) continue;
    seen.add(writerId);
    if (writerSeq === 1 || manifest.startedNs < sinceNs) continue;
    reasons[i]?.push({ rule: 'writer', outcome: 'kept' });
  }
}
