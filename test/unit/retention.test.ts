/** What a policy keeps and why, on small lists; laws and random lists are in `property/`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  checkRetention,
  planRetention,
  type RetentionOptions,
  type RetentionPolicy,
} from '../../src/snapshot/retention.ts';
import type { Snapshot } from '../../src/snapshot/selection.ts';
import { madeSnapshot, ns, type SnapshotPlan } from '../helpers/made-snapshot.ts';

/** Numbers in the order given, from 1. */
function snapshots(...plans: (string | ({ time: string } & Partial<SnapshotPlan>))[]): Snapshot[] {
  return plans.map((plan, i) => {
    const { time, ...rest } = typeof plan === 'string' ? { time: plan } : plan;
    return madeSnapshot({ number: i + 1, startedNs: ns(time), ...rest });
  });
}

/** Numbers of those that stay. */
function kept(all: Snapshot[], policy: RetentionPolicy, options?: RetentionOptions): number[] {
  return planRetention(all, policy, options)
    .flatMap(({ verdicts }) => verdicts)
    .filter(({ isKept }) => isKept)
    .map(({ snapshot }) => Number.parseInt(snapshot.id.slice(0, 8), 16))
    .sort((a, b) => a - b);
}

/** Of one group: what is said of each. */
function explained(all: Snapshot[], policy: RetentionPolicy): string[] {
  const [group] = planRetention(all, policy);
  return (group?.verdicts ?? []).map(({ isKept, reasons }) => {
    const texts = reasons.map((reason) => Object.values(reason).filter(Boolean).join(' '));
    return `${isKept ? 'keep' : 'forget'}: ${texts.join(', ')}`;
  });
}

const fourDays = snapshots(
  '2026-01-29T08:00Z',
  '2026-01-30T08:00Z',
  '2026-01-30T20:00Z',
  '2026-01-31T08:00Z',
  '2026-01-31T20:00Z',
  '2026-02-01T08:00Z',
);

test('planRetention() tells why each snapshot goes or stays', () => {
  assert.deepEqual(explained(fourDays, { last: 1, daily: 2, monthly: 3 }), [
    'keep: monthly oldest 2026-01',
    'forget: last beyond, daily beyond 2026-01-30, monthly replaced 2026-01',
    'forget: last beyond, daily beyond 2026-01-30, monthly replaced 2026-01',
    'forget: last beyond, daily replaced 2026-01-31, monthly replaced 2026-01',
    'keep: daily kept 2026-01-31, monthly kept 2026-01',
    'keep: last kept, daily kept 2026-02-01, monthly kept 2026-02, newest kept',
  ]);
});

test('planRetention() keeps the last of each period, and the first of all while there is room', () => {
  assert.deepEqual(kept(fourDays, { daily: 3 }), [3, 5, 6]);
  assert.deepEqual(kept(fourDays, { daily: 4 }), [1, 3, 5, 6]);
  assert.deepEqual(kept(fourDays, { weekly: 1 }), [6]);
  assert.deepEqual(kept(fourDays, { yearly: 1 }), [6]);
  assert.deepEqual(kept(fourDays, { yearly: 2 }), [1, 6]);
  assert.deepEqual(kept(fourDays, { last: 2 }), [5, 6]);
});

test('planRetention() counts a span back from the newest snapshot', () => {
  assert.deepEqual(kept(fourDays, { within: '1d' }), [4, 5, 6]);
  assert.deepEqual(kept(fourDays, { within: '23h' }), [5, 6]);
  assert.deepEqual(kept(fourDays, { within: '1y' }), [1, 2, 3, 4, 5, 6]);
});

test('planRetention() keeps both snapshots of the hour that comes twice', () => {
  const timeZone = 'Europe/Berlin';
  const all = snapshots(
    { time: '2026-10-25T00:10Z', timeZone },
    { time: '2026-10-25T00:50Z', timeZone },
    { time: '2026-10-25T01:10Z', timeZone },
    { time: '2026-10-25T01:50Z', timeZone },
  );

  assert.deepEqual(kept(all, { hourly: 2 }), [2, 4]);
});

test('planRetention() goes by the day where a snapshot was taken, not where it is forgotten', () => {
  const times = ['2026-03-28T22:30Z', '2026-03-28T23:30Z', '2026-03-29T21:30Z'];
  const daysIn = (timeZone: string) =>
    kept(snapshots(...times.map((time) => ({ time, timeZone }))), { daily: 9 });

  // The day on which summer time begins has 23 hours in Berlin.
  assert.deepEqual(daysIn('Europe/Berlin'), [1, 3]);
  assert.deepEqual(daysIn('UTC'), [1, 2, 3]);
});

test('planRetention() judges snapshots of each host and source by themselves', () => {
  const all = snapshots(
    { time: '2026-01-01', host: 'alice', source: '/home', tags: ['a', 'b'] },
    { time: '2026-01-02', host: 'alice', source: '/etc', tags: ['b', 'a'] },
    { time: '2026-01-03', host: 'bob', source: '/home', tags: ['a'] },
    { time: '2026-01-04', host: 'bob', source: '/home', tags: [] },
  );

  assert.deepEqual(kept(all, { last: 1 }), [1, 2, 4]);
  assert.deepEqual(kept(all, { last: 1 }, { groupBy: ['host'] }), [2, 4]);
  assert.deepEqual(kept(all, { last: 1 }, { groupBy: ['tags'] }), [2, 3, 4]);
  assert.deepEqual(kept(all, { last: 1 }, { groupBy: [] }), [4]);
  const common = planRetention(all, { last: 1 }, { groupBy: ['tags'] }).map(({ tags }) => tags);
  assert.deepEqual(common, [['a', 'b'], ['a'], []]);
});

test('G22: planRetention() says which groups a policy would empty, and leaves their newest', () => {
  const all = snapshots(
    { time: '2026-01-01', tags: ['keep'] },
    { time: '2026-01-02' },
    { time: '2026-01-01', host: 'bob' },
    { time: '2026-01-02', host: 'bob' },
  );

  const groups = planRetention(all, { tags: ['keep'] });

  assert.deepEqual(
    groups.map(({ isEmptied }) => isEmptied),
    [true, false],
  );
  assert.deepEqual(kept(all, { tags: ['keep'] }), [1, 2, 4]);
  assert.deepEqual(kept(all, { tags: ['keep'] }, { mayEmpty: true }), [1]);
});

test('G22: checkRetention() refuses a policy that keeps nothing, or makes no sense', () => {
  const policies: RetentionPolicy[] = [
    {},
    { tags: [] },
    { last: 0 },
    { daily: -1 },
    { weekly: 1.5 },
    { monthly: Number.NaN },
    { last: 3, yearly: Number.POSITIVE_INFINITY },
    { within: '' },
    { within: '7' },
    { within: '2 weeks' },
  ];

  for (const policy of policies) {
    assert.throws(() => checkRetention(policy), RangeError, JSON.stringify(policy));
    assert.throws(() => planRetention([], policy), RangeError);
  }
  checkRetention({ tags: ['x'] });
  checkRetention({ last: 1, within: '30d' });
});

test('G23: planRetention() lets no snapshot that is dated in the future push out others', () => {
  const storedMs = Date.parse('2026-02-01T09:00Z');
  const forged = Array.from({ length: 9 }, (_, i) => ({ time: `203${i}-01-01T00:00Z`, storedMs }));
  const all = snapshots('2026-01-30T08:00Z', '2026-01-31T08:00Z', '2026-02-01T08:00Z', ...forged);
  const policy = { last: 2, daily: 2, monthly: 2, within: '36h' };

  const [group] = planRetention(all, policy);

  assert.deepEqual(kept(all.slice(0, 3), policy), [2, 3]);
  assert.deepEqual(kept(all, policy), [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  const reasons = group?.verdicts.slice(3).map((verdict) => verdict.reasons);
  assert.deepEqual(reasons, Array(9).fill([{ rule: 'future', outcome: 'kept' }]));
});

test('G23: planRetention() keeps the newest snapshot of each writer that is not new', () => {
  const own = { writer: 1, writerSeq: 40 };
  const all = snapshots(
    { time: '2025-09-01T08:00Z', writer: 9, writerSeq: 900 }, // Long gone.
    { time: '2026-01-30T08:00Z', ...own },
    { time: '2026-01-31T08:00Z', ...own, writerSeq: 41 },
    { time: '2026-01-31T12:00Z', writer: 3 }, // The first record of its writer.
    { time: '2026-01-31T22:00Z', writer: 2, writerSeq: 7 },
    { time: '2026-01-31T23:00Z', writer: 2, writerSeq: 8 },
  );

  assert.deepEqual(kept(all, { last: 1 }), [3, 6]);
  assert.deepEqual(kept(all, { last: 1 }, { mayEmpty: true }), [6]);
});
