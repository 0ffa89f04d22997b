/**
 * Retention said plainly, one snapshot at a time and without a shortcut, against which
 * `snapshot/retention.ts` is held; and the laws it must keep. Times on the wall are taken from the
 * system's calendar in another way.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  planRetention,
  type RetentionCounts,
  type RetentionGroup,
  type RetentionOptions,
  type RetentionPolicy,
} from '../../src/snapshot/retention.ts';
import type { Snapshot } from '../../src/snapshot/selection.ts';
import { madeSnapshot, type SnapshotPlan } from './made-snapshot.ts';

const hourNs = 3_600_000_000_000n;
const dayNs = 24n * hourNs;
const zones = ['UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kathmandu', 'No/Where'];
const countRules = ['last', 'hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const;

export interface RetentionCase {
  readonly plans: readonly SnapshotPlan[];
  readonly policy: RetentionPolicy;
  readonly options: RetentionOptions;
}

/** Ids that stay, and of which nothing that counts would be left without protection. */
export interface ModelVerdict {
  readonly kept: Set<string>;
  readonly emptied: Set<string>;
}

export function keptByModel(snapshots: readonly Snapshot[], given: RetentionCase): ModelVerdict {
  const { policy, options } = given;
  const kept = new Set<string>();
  const emptied = new Set<string>();
  for (const snapshot of snapshots) {
    const group = snapshots.filter((other) => isSameGroup(snapshot, other, options));
    const counted = group.filter((other) => !isAhead(other));
    const isWanted = counted.some((other) => isKeptByPolicy(other, counted, policy));
    if (counted.length > 0 && !isWanted) emptied.add(snapshot.id);
    const isKept =
      isAhead(snapshot) ||
      isKeptByPolicy(snapshot, counted, policy) ||
      (options.mayEmpty !== true && isProtected(snapshot, counted));
    if (isKept) kept.add(snapshot.id);
  }
  return { kept, emptied };
}

function isSameGroup(a: Snapshot, b: Snapshot, { groupBy }: RetentionOptions): boolean {
  return (groupBy ?? ['host', 'source']).every((key) => {
    if (key !== 'tags') return text(a.manifest[key]) === text(b.manifest[key]);
    const [own, other] = [new Set(a.manifest.tags), new Set(b.manifest.tags)];
    return own.size === other.size && [...own].every((tag) => other.has(tag));
  });
}

function isAhead({ manifest, storedMs }: Snapshot): boolean {
  return manifest.startedNs - BigInt(storedMs) * 1_000_000n > hourNs;
}

function isNewer(a: Snapshot, b: Snapshot): boolean {
  const [x, y] = [a.manifest.startedNs, b.manifest.startedNs];
  return x === y ? a.id > b.id : x > y;
}

function isKeptByPolicy(
  snapshot: Snapshot,
  counted: readonly Snapshot[],
  policy: RetentionPolicy,
): boolean {
  const { within, tags = [] } = policy;
  return (
    countRules.some((rule) => isKeptByCount(snapshot, counted, { rule, count: policy[rule] })) ||
    (within !== undefined && isWithin(snapshot, counted, within)) ||
    snapshot.manifest.tags.some((tag) => tags.includes(tag))
  );
}

function isKeptByCount(
  snapshot: Snapshot,
  counted: readonly Snapshot[],
  { rule, count = 0 }: { rule: keyof RetentionCounts; count: number | undefined },
): boolean {
  const newer = counted.filter((other) => isNewer(other, snapshot));
  const newerPeriods = new Set(newer.map((other) => periodOf(other, rule)));
  const isNewestOfPeriod = !newerPeriods.has(periodOf(snapshot, rule));
  const isOldest = newer.length === counted.length - 1;
  return newerPeriods.size < count && (isNewestOfPeriod || isOldest);
}

const formats = new Map(
  zones.map((zone) => {
    const timeZone = zone === 'No/Where' ? 'UTC' : zone;
    const [dateStyle, timeStyle] = ['short', 'medium'] as const;
    return [zone, new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle, timeStyle })];
  }),
);

/** By the text of dates that the Swedes write: "2026-10-25 02:00:00". */
function periodOf({ id, manifest }: Snapshot, rule: keyof RetentionCounts): string {
  if (rule === 'last') return id;
  const ms = Number(manifest.startedNs / 1_000_000n);
  const wall = formats.get(manifest.timeZone)?.format(ms) as string;
  if (rule === 'yearly') return wall.slice(0, 4);
  if (rule === 'monthly') return wall.slice(0, 7);
  if (rule === 'daily') return wall.slice(0, 10);
  if (rule === 'weekly') return mondayOf(wall.slice(0, 10));
  // Wall clocks ahead of UTC by the same time show different hours.
  return `${wall.slice(0, 13)} ${Date.parse(`${wall.replace(' ', 'T')}Z`) - ms + (ms % 1000)}`;
}

function mondayOf(day: string): string {
  const date = new Date(`${day}T00:00Z`);
  while (date.getUTCDay() !== 1) date.setUTCDate(date.getUTCDate() - 1);
  return date.toISOString().slice(0, 10);
}

/** Spans of the model have one unit. */
function isWithin({ manifest }: Snapshot, counted: readonly Snapshot[], span: string): boolean {
  const newest = counted.reduce((a, b) => (isNewer(a, b) ? a : b)).manifest.startedNs;
  const count = BigInt(span.slice(0, -1));
  const age = newest - manifest.startedNs;
  if (span.endsWith('h')) return age <= count * hourNs;
  if (span.endsWith('d')) return age <= count * dayNs;
  const months = Number(count) * (span.endsWith('y') ? 12 : 1);
  const end = new Date(Number(newest / 1_000_000n));
  const first = new Date(Date.UTC(end.getUTCFullYear(), end.getUTCMonth() - months, 1));
  const monthEnd = Date.UTC(first.getUTCFullYear(), first.getUTCMonth() + 1, 0);
  const day = Math.min(end.getUTCDate(), new Date(monthEnd).getUTCDate());
  const startMs = first.getTime() + (day - 1) * 86_400_000 + (end.getTime() % 86_400_000);
  return manifest.startedNs >= BigInt(startMs) * 1_000_000n + (newest % 1_000_000n);
}

function isProtected(snapshot: Snapshot, counted: readonly Snapshot[]): boolean {
  const newer = counted.filter((other) => isNewer(other, snapshot));
  if (newer.length === 0) return true;
  const { writerId, writerSeq } = snapshot.manifest.chain;
  const newest = counted.find((one) => !counted.some((other) => isNewer(other, one))) as Snapshot;
  return (
    writerSeq > 1 &&
    newest.manifest.startedNs - snapshot.manifest.startedNs <= 90n * dayNs &&
    newer.every(({ manifest }) => manifest.chain.writerId !== writerId)
  );
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}

/** Around the end of summer time in Berlin and New York, the end of a year, and plainly. */
const starts = ['2026-10-24T20:00Z', '2026-10-31T22:00Z', '2026-12-30T00:00Z', '2024-02-28T00:00Z'];

/** Half an hour, 7 hours, 2 days, 17 days and 150 days, in seconds. */
const steps = [1800, 25_200, 172_800, 1_468_800, 12_960_000];

/** Times not too far from each other, so that some have periods in common. */
const timesNs: fc.Arbitrary<fc.Arbitrary<bigint>> = fc
  .tuple(fc.constantFrom(...starts), fc.subarray(steps, { minLength: 1, maxLength: 2 }))
  .map(([start, chosen]) =>
    fc.tuple(fc.constantFrom(...chosen), fc.nat(20), fc.nat(2)).map(([step, times, extra]) => {
      const atStart = BigInt(Date.parse(start)) * 1_000_000n;
      return atStart + BigInt(step * times) * 1_000_000_000n + BigInt(extra) * 500_000n;
    }),
  );

function plans(times: fc.Arbitrary<bigint>): fc.Arbitrary<SnapshotPlan[]> {
  const plan = fc
    .record({
      startedNs: times,
      timeZone: fc.constantFrom(...zones),
      host: fc.constantFrom('alice', 'alice', 'alice', 'bob'),
      source: fc.constantFrom('/home', '/home', '/home', '/srv'),
      tags: fc.subarray(['daily', 'keep', 'x']),
      writer: fc.nat(3),
      writerSeq: fc.integer({ min: 1, max: 3 }),
      /** Hours by which it was stored after its date; some are dated after. */
      hoursLate: fc.constantFrom(0, 0, 0, 0, 1, 500, -1, -2, -9000),
    })
    .map(({ hoursLate, ...rest }) => ({
      ...rest,
      storedMs: Number(rest.startedNs / 1_000_000n) + hoursLate * 3_600_000,
    }));
  return fc
    .array(plan, { maxLength: 24, size: 'max' })
    .map((list) => list.map((one, i) => ({ ...one, number: i + 1 })));
}

const count = fc.option(fc.integer({ min: 1, max: 8 }), { nil: undefined, freq: 2 });

export const retentionPolicy: fc.Arbitrary<RetentionPolicy> = fc
  .record({
    last: count,
    hourly: count,
    daily: count,
    weekly: count,
    monthly: count,
    yearly: count,
    within: fc.option(
      fc.tuple(fc.nat(40), fc.constantFrom('h', 'd', 'm', 'y')).map(([n, unit]) => `${n}${unit}`),
      { nil: undefined, freq: 2 },
    ),
    tags: fc.option(fc.subarray(['keep', 'x', 'none'], { minLength: 1 }), {
      nil: undefined,
      freq: 2,
    }),
  })
  .filter((rules) => Object.values(rules).some((rule) => rule !== undefined));

const options: fc.Arbitrary<RetentionOptions> = fc.record({
  groupBy: fc.constantFrom(undefined, undefined, [] as const, ['host'] as const, ['tags'] as const),
  mayEmpty: fc.constantFrom(undefined, false, true),
});

export const retentionCase: fc.Arbitrary<RetentionCase> = timesNs.chain((times) =>
  fc.record({ plans: plans(times), policy: retentionPolicy, options }),
);

/** A policy that keeps at least as much, by what is added to each of its rules. */
export function extended(given: RetentionPolicy, more: RetentionPolicy): RetentionPolicy {
  const counts = countRules.map((rule) => [rule, (given[rule] ?? 0) + (more[rule] ?? 0)] as const);
  const isSameUnit = given.within?.at(-1) === more.within?.at(-1);
  const longer =
    isSameUnit &&
    Number.parseInt(more.within ?? '0', 10) > Number.parseInt(given.within ?? '0', 10);
  return {
    ...Object.fromEntries(counts.filter(([, sum]) => sum > 0)),
    within: given.within === undefined || longer ? more.within : given.within,
    tags: [...(given.tags ?? []), ...(more.tags ?? [])],
  };
}

function keptOf(groups: readonly RetentionGroup[]): Set<string> {
  const verdicts = groups.flatMap((group) => group.verdicts);
  return new Set(verdicts.filter(({ isKept }) => isKept).map(({ snapshot }) => snapshot.id));
}

function planOf(snapshots: readonly Snapshot[], given: RetentionCase): RetentionGroup[] {
  return planRetention(snapshots, given.policy, given.options);
}

/** @param more what makes another policy that keeps more. */
export function assertLaws(given: RetentionCase, more: RetentionPolicy): void {
  const snapshots = given.plans.map(madeSnapshot);
  const groups = planOf(snapshots, given);
  const kept = keptOf(groups);

  const model = keptByModel(snapshots, given);
  assert.deepEqual([...kept].sort(), [...model.kept].sort(), 'as the model says');
  const emptied = groups.filter(({ isEmptied }) => isEmptied).flatMap(({ verdicts }) => verdicts);
  const emptiedIds = emptied.map(({ snapshot }) => snapshot.id).sort();
  assert.deepEqual(emptiedIds, [...model.emptied].sort(), 'emptied as the model says');

  const judged = groups.flatMap(({ verdicts }) => verdicts.map(({ snapshot }) => snapshot.id));
  assert.deepEqual(judged.sort(), snapshots.map(({ id }) => id).sort(), 'each is judged once');
  for (const { verdicts, isEmptied } of groups) {
    const isLeft = verdicts.some(({ isKept }) => isKept);
    assert.ok(isLeft || (isEmptied && given.options.mayEmpty === true), 'something is left');
    for (const { reasons } of verdicts.filter(({ isKept }) => isKept)) {
      assert.ok(reasons.length > 0 && reasons.every(({ outcome }) => /kept|oldest/.test(outcome)));
    }
  }

  const left = snapshots.filter(({ id }) => kept.has(id));
  assert.deepEqual(keptOf(planOf(left, given)), kept, 'idempotent');
  assert.deepEqual(planOf(snapshots.toReversed(), given), groups, 'the order does not matter');
  const larger = keptOf(planOf(snapshots, { ...given, policy: extended(given.policy, more) }));
  for (const id of kept) assert.ok(larger.has(id), `monotone: ${id}`);
}
