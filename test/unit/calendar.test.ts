/** Periods by the clock on the wall, and spans before a time, against literals. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { before, parseSpan, periodsOf, type Span } from '../../src/snapshot/calendar.ts';
import { ns } from '../helpers/made-snapshot.ts';

test('periodsOf() names hour, day, week, month and year where the snapshot was taken', () => {
  const time = ns('2026-12-31T23:30Z');

  assert.deepEqual(periodsOf(time, 'UTC'), {
    hourly: '2026-12-31T23+00:00',
    daily: '2026-12-31',
    weekly: '2026-W53',
    monthly: '2026-12',
    yearly: '2026',
  });
  assert.deepEqual(periodsOf(time, 'Asia/Kathmandu'), {
    hourly: '2027-01-01T05+05:45',
    daily: '2027-01-01',
    weekly: '2026-W53',
    monthly: '2027-01',
    yearly: '2027',
  });
  assert.equal(periodsOf(time, 'America/New_York').hourly, '2026-12-31T18-05:00');
});

test('periodsOf() counts weeks as ISO 8601 does', () => {
  const days = {
    '2024-12-29': '2024-W52',
    '2024-12-30': '2025-W01',
    '2021-01-03': '2020-W53',
    '2021-01-04': '2021-W01',
    '2023-01-01': '2022-W52',
    '2026-01-01': '2026-W01',
    '2026-10-25': '2026-W43',
  };

  for (const [day, week] of Object.entries(days)) {
    assert.equal(periodsOf(ns(`${day}T12:00Z`), 'UTC').weekly, week, day);
  }
});

test('periodsOf() tells the hour that comes twice from itself, and skips the one that is not', () => {
  const hourOf = (time: string) => periodsOf(ns(time), 'Europe/Berlin').hourly;

  const autumn = ['2026-10-24T23:59Z', '2026-10-25T00:30Z', '2026-10-25T01:30Z'].map(hourOf);
  const spring = ['2026-03-29T00:59Z', '2026-03-29T01:00Z'].map(hourOf);

  assert.deepEqual(autumn, ['2026-10-25T01+02:00', '2026-10-25T02+02:00', '2026-10-25T02+01:00']);
  assert.deepEqual(spring, ['2026-03-29T01+01:00', '2026-03-29T03+02:00']);
});

test('periodsOf() takes days of 23 and 25 hours for one day each', () => {
  const dayOf = (time: string) => periodsOf(ns(time), 'America/New_York').daily;

  assert.deepEqual(
    ['2026-11-01T03:59Z', '2026-11-01T04:00Z', '2026-11-02T04:59Z', '2026-11-02T05:00Z'].map(dayOf),
    ['2026-10-31', '2026-11-01', '2026-11-01', '2026-11-02'],
  );
  assert.deepEqual(
    ['2026-03-08T04:59Z', '2026-03-08T05:00Z', '2026-03-09T03:59Z', '2026-03-09T04:00Z'].map(dayOf),
    ['2026-03-07', '2026-03-08', '2026-03-08', '2026-03-09'],
  );
});

test('periodsOf() takes a zone that nobody knows for UTC, and any time for one', () => {
  const time = ns('2026-01-31T12:00Z');

  assert.deepEqual(periodsOf(time, 'No/Where'), periodsOf(time, 'UTC'));
  assert.deepEqual(periodsOf(time, ''), periodsOf(time, 'UTC'));
  assert.equal(periodsOf(10n ** 38n, 'Europe/Berlin').yearly, '275760');
  assert.equal(periodsOf(-(10n ** 38n), 'Europe/Berlin').yearly, '-271821');
});

test('parseSpan() takes years, months, days and hours, in this order', () => {
  const none = { years: 0, months: 0, days: 0, hours: 0 };
  const spans: Record<string, Span> = {
    '1y6m14d12h': { years: 1, months: 6, days: 14, hours: 12 },
    '30d': { ...none, days: 30 },
    '2m1h': { ...none, months: 2, hours: 1 },
    '0h': none,
  };

  for (const [text, span] of Object.entries(spans)) assert.deepEqual(parseSpan(text), span, text);
  for (const text of ['', '7', 'd', '1d2y', '-1d', '1.5d', ' 1d', '1w', '123456d', '1D']) {
    assert.equal(parseSpan(text), undefined, text);
  }
});

test('before() goes back by the calendar, and no further than it', () => {
  const back = (time: string, span: string) => before(ns(time), parseSpan(span) as Span);

  assert.equal(back('2026-03-31T12:00Z', '1m'), ns('2026-02-28T12:00Z'));
  assert.equal(back('2024-03-31T12:00Z', '1m'), ns('2024-02-29T12:00Z'));
  assert.equal(back('2024-02-29T12:00Z', '1y'), ns('2023-02-28T12:00Z'));
  assert.equal(back('2026-01-15T12:00Z', '14m'), ns('2024-11-15T12:00Z'));
  assert.equal(back('2026-01-15T12:00Z', '1d12h'), ns('2026-01-14T00:00Z'));
  assert.equal(
    before(1_700_000_000_123_456_789n, parseSpan('1h') as Span),
    1_699_996_400_123_456_789n,
  );
  assert.equal(before(0n, { years: 999_999, months: 0, days: 0, hours: 0 }), undefined);
});
