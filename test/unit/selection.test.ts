/** Which snapshot a text means, among snapshots that nobody took. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NotFoundError } from '../../src/errors.ts';
import { selectSnapshot } from '../../src/snapshot/selection.ts';
import { encodeUtf8 } from '../../src/util/bytes.ts';
import { madeSnapshot, ns } from '../helpers/made-snapshot.ts';

const snapshots = [
  madeSnapshot({ number: 0xaaaa0001, startedNs: ns('2026-01-30T12:00:00Z'), host: 'one' }),
  madeSnapshot({ number: 0xaaaa0002, startedNs: ns('2026-01-31T12:00:00Z') + 5n, host: 'two' }),
  madeSnapshot({ number: 0xbbbb0003, startedNs: ns('2026-02-01T12:00:00Z'), host: 'one' }),
  madeSnapshot({ number: 0xcccc0004, startedNs: ns('2026-02-01T12:00:00Z'), host: 'one' }),
];
const [first, second, third, fourth] = snapshots.map(({ id }) => id);

const chosen = (selector: string, host?: string): string =>
  selectSnapshot(snapshots, selector, { host: host === undefined ? host : encodeUtf8(host) }).id;

test('selectSnapshot() counts back from the newest; of equal times the larger id is newer', () => {
  assert.equal(chosen('latest'), fourth);
  assert.equal(chosen('latest~0'), fourth);
  assert.equal(chosen('latest~2'), second);
  assert.equal(chosen('latest~2', 'one'), first);
});

test('selectSnapshot() takes the newest that is not after a time, to the nanosecond', () => {
  assert.equal(chosen('@2026-01-31T12:00:00Z'), first);
  assert.equal(chosen('@2026-01-31T12:00:00.000000004Z'), first);
  assert.equal(chosen('@2026-01-31T12:00:00.000000005Z'), second);
  assert.equal(chosen('@2026-01-31 13:00:01+01:00'), second);
  assert.equal(chosen('@2026-03-01'), fourth);
  assert.equal(chosen('@2026-02-01T00:00Z', 'one'), first);
});

test('selectSnapshot() says that a time is none, and takes nothing for it', () => {
  for (const selector of ['@', '@yesterday', '@5', '@2026', '@2026-01-31T', '@2026-13-01']) {
    assert.throws(() => chosen(selector), {
      name: 'NotFoundError',
      message: `Cannot find snapshot "${selector}": it is no time, expected a time such as @2026-01-31T12:00`,
    });
  }
});

test('selectSnapshot() takes ids and unique prefixes from 4 digits on', () => {
  assert.equal(chosen(third as string), third);
  assert.equal(chosen('bbbb'), third);
  assert.equal(chosen('aaaa0', 'two'), second);
  for (const selector of ['aaaa', 'bbb', 'BBBB', 'dddd', '']) {
    assert.throws(() => chosen(selector), NotFoundError, selector);
  }
});
