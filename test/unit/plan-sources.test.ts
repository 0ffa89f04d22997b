import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type PlannedEntry, planSources } from '../../src/walk/plan-sources.ts';

/** The plan as text: `name*` is a source. */
function draw(entry: PlannedEntry): string {
  const children = [...entry.children].map(([name, child]) => name + draw(child));
  return `${entry.isSource ? '*' : ''}${children.length > 0 ? `(${children.sort().join(' ')})` : ''}`;
}

function paths(sources: (string | Uint8Array)[], workingDirectory = '/work'): string[] {
  return planSources(sources, workingDirectory).paths.map((path) =>
    Buffer.from(path).toString('latin1'),
  );
}

test('planSources() makes paths absolute and resolves dots as text', () => {
  assert.deepEqual(paths(['a', './b/../c', '/x//y/', '..', '../../../z']), ['/']);
  assert.deepEqual(paths(['a', './b/../c', '/x//y/', '../../../z']), [
    '/work/a',
    '/work/c',
    '/x/y',
    '/z',
  ]);
  assert.deepEqual(paths(['.'], '/'), ['/']);
});

test('planSources() saves a source inside another once, by components and not by prefix', () => {
  assert.deepEqual(paths(['/c1/x', '/c1', '/c13', '/c1', '/c1/x/y']), ['/c1', '/c13']);
});

test('planSources() tells parents from sources', () => {
  const plan = planSources(['/home/alice', '/etc', '/home/bob/docs'], '/');

  assert.equal(draw(plan.root), '(etc* home(alice* bob(docs*)))');
});

test('planSources() keeps bytes that are no text', () => {
  const plan = planSources([Buffer.from([0x61, 0xff, 0x2f, 0xfe])], Buffer.from([0x2f, 0xfd]));

  assert.deepEqual(
    plan.paths.map((path) => Buffer.from(path).toString('hex')),
    ['2ffd2f61ff2ffe'],
  );
});

test('planSources() refuses an empty path and a zero byte', () => {
  assert.throws(() => planSources([''], '/'), RangeError);
  assert.throws(() => planSources(['/a\0b'], '/'), RangeError);
});
