/** What records of writing and collecting mean, rule by rule, on plain values. */

import { AssertionError } from 'node:assert';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAdoptable } from '../../src/protocol/adoption.ts';
import { collectorView, isSettled, isVoid, lastSwept } from '../../src/protocol/collector-view.ts';
import { standingPacks } from '../../src/protocol/decode-rule.ts';
import { chooseForMerging, mergeSweeps, mergeTombs } from '../../src/protocol/merging.ts';
import { endedSessions, isKept, isLive, isOpen, reportOf } from '../../src/protocol/outcomes.ts';
import { mayReuseTree } from '../../src/protocol/reuse.ts';
import { compactSegments, indexedPacks } from '../../src/protocol/segments.ts';

const none = { merged: [], sweeps: [], marks: [] };

test('collectorView() takes condemned packs for dead until their generation is swept', () => {
  const mark = { generation: 1, condemned: ['a', 'b'] };
  const sweep = { generation: 1, delete: ['b'] };

  const pending = collectorView({ ...none, marks: [mark] });
  const swept = collectorView({ ...none, marks: [mark], sweeps: [sweep] });

  assert.deepEqual(pending, {
    generation: 0,
    sweptPacks: new Set(),
    deadPacks: new Set(['a', 'b']),
    pendingMark: mark,
  });
  assert.deepEqual(swept, {
    generation: 1,
    sweptPacks: new Set(['b']),
    deadPacks: new Set(['b']),
    pendingMark: undefined,
  });
});

test('collectorView() believes no mark and no sweep that a merged sweep covers', () => {
  const view = collectorView({
    merged: [{ generation: 3, delete: ['a'] }],
    sweeps: [
      { generation: 2, delete: ['x'] },
      { generation: 4, delete: ['b'] },
    ],
    marks: [
      { generation: 3, condemned: ['y'] },
      { generation: 5, condemned: ['c'] },
    ],
  });

  assert.equal(view.generation, 4);
  assert.deepEqual([...view.sweptPacks], ['a', 'b']);
  assert.deepEqual([...view.deadPacks], ['a', 'b', 'c']);
});

test('isVoid() and lastSwept() count a merged sweep for all it covers', () => {
  assert.deepEqual(
    [1, 3, 4].map((generation) => isVoid(generation, [2, 3])),
    [true, true, false],
  );
  assert.equal(isVoid(1, []), false);
  assert.equal(lastSwept({ merged: [], sweeps: [] }), 0);
  assert.equal(lastSwept({ merged: [2, 5], sweeps: [3] }), 5);
  assert.equal(lastSwept({ merged: [2], sweeps: [3] }), 3);
});

test('isSettled() asks for another look when a merged sweep has appeared', () => {
  assert.equal(isSettled(new Set([1]), [1]), true);
  assert.equal(isSettled(new Set([1]), [1, 2]), false);
});

test('a manifest counts unless its session is forgotten, fenced or closed', () => {
  const ended = endedSessions({
    fences: ['fenced'],
    tombs: [
      { forgotten: ['forgotten'], closed: [] },
      { forgotten: [], closed: ['closed'] },
    ],
  });
  const ids = ['live', 'fenced', 'forgotten', 'closed'];

  assert.deepEqual(
    ids.filter((id) => isLive(id, ended)),
    ['live'],
  );
  assert.deepEqual(
    ids.map((id) => reportOf(id, ended)),
    ['committed', 'refused', 'forgotten', 'refused'],
  );
  assert.deepEqual(
    ['live', 'fenced', 'closed', 'new'].map((id) => isOpen(id, new Set(['live', 'fenced']), ended)),
    [false, false, false, true],
  );
});

test('isKept() keeps a snapshot inside the grace, never one whose session is closed', () => {
  const tombs = [{ forgotten: ['young', 'old', 'merged'], closed: ['merged'] }];
  const ended = endedSessions<string>({ fences: [], tombs });
  const inGrace = new Set(['young', 'merged']);

  assert.deepEqual(
    ['live', 'young', 'old', 'merged'].filter((id) => isKept(id, ended, inGrace)),
    ['live', 'young'],
  );
});

test('mayReuseTree() wants a live snapshot, and one that the pending mark counted', () => {
  assert.equal(mayReuseTree(1, { isLive: true, counted: undefined }), true);
  assert.equal(mayReuseTree(1, { isLive: false, counted: undefined }), false);
  assert.equal(mayReuseTree(1, { isLive: true, counted: [2, 1] }), true);
  assert.equal(mayReuseTree(1, { isLive: true, counted: [2] }), false);
  assert.equal(mayReuseTree(1, { isLive: false, counted: [1] }), false);
});

test('isAdoptable() leaves packs that a segment or a collector names', () => {
  const named = { indexed: new Set(['indexed']), dead: new Set(['dead']) };

  assert.deepEqual(
    ['indexed', 'dead', 'left'].filter((pack) => isAdoptable(pack, named)),
    ['left'],
  );
});

test('indexedPacks() leaves out segments that a present one supersedes', () => {
  const old = { name: 1, packs: ['a', 'b'], superseded: [] };
  const output = { name: 2, packs: ['b'], superseded: [1] };

  assert.deepEqual(indexedPacks([old]), new Set(['a', 'b']));
  assert.deepEqual(indexedPacks([old, output]), new Set(['b']));
});

test('compactSegments() takes out swept packs and supersedes what was read', () => {
  const inputs = [
    { name: 1, packs: ['a', 'b'] },
    { name: 2, packs: ['b', 'c'] },
  ];

  assert.deepEqual(compactSegments(inputs, new Set(['a', 'z'])), {
    packs: new Set(['b', 'c']),
    superseded: new Set([1, 2]),
  });
});

test('mergeTombs() closes whoever was fenced, forgotten or closed before', () => {
  const tombs = [
    { name: 't1', forgotten: ['a', 'b'], closed: [] },
    { name: 't2', forgotten: [], closed: ['c'] },
  ];

  assert.deepEqual(mergeTombs({ fences: ['f'], tombs }), {
    merges: new Set(['t1', 't2']),
    closed: new Set(['f', 'a', 'b', 'c']),
  });
});

test('chooseForMerging() leaves full tombs alone, and what finds no room for the next time', () => {
  const says = (name: string, count: number, isMerged = false) => ({
    name,
    forgotten: isMerged ? [] : new Array<string>(count).fill('x'),
    closed: isMerged ? new Array<string>(count).fill('x') : [],
  });
  const [full, half, little] = [
    says('full', 10, true),
    says('half', 5, true),
    says('little', 1, true),
  ];
  const small = [says('t1', 2), says('t2', 6), says('t3', 1)];
  const limits = { mergesMax: 9, closedMax: 10 };
  const choose = (fences: string[], tombs: typeof small, merged: typeof small, most = limits) => {
    const chosen = chooseForMerging({ fences, tombs, merged }, most);
    return [...chosen.fences, ...chosen.tombs.map(({ name }) => name)].join(' ');
  };

  assert.equal(choose(['f'], [], [full, half, little]), 'f little half');
  assert.equal(choose(['f', 'g'], small, [full, half, little]), 'f g t1 t2');
  assert.equal(choose([], small, [full, half, little]), 't1 t2 t3 little');
  assert.equal(choose([], small, [little], { ...limits, mergesMax: 2 }), 't1 t2');
  assert.equal(choose(['f', 'g', 'h'], small, [little], { mergesMax: 2, closedMax: 2 }), 'f g');
});

test('mergeSweeps() names all that was swept in generations without a gap', () => {
  const sweeps = [
    { generation: 4, delete: ['b', 'c'] },
    { generation: 3, delete: ['a', 'b'] },
    { generation: 2, delete: ['void'] },
  ];

  assert.deepEqual(mergeSweeps(sweeps, 2), {
    from: 3,
    generation: 4,
    delete: new Set(['a', 'b', 'c']),
  });
  assert.throws(() => mergeSweeps(sweeps, 4), AssertionError);
  assert.throws(() => mergeSweeps(sweeps, 0), AssertionError);
});

test('standingPacks() are indexed, listed and not swept', () => {
  const standing = standingPacks({
    indexed: ['a', 'b', 'c'],
    listed: new Set(['b', 'c', 'd']),
    swept: new Set(['c']),
  });

  assert.deepEqual(standing, new Set(['b']));
});
