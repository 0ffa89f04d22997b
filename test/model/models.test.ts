/**
 * Both models of the protocol, the small part of docs/collection-model.md: every rule that is removed
 * must be missed. A model that finds nothing wrong without a rule would say nothing about it.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { exploreBreadthFirst, exploreDepthFirst, type Model } from './explorer.ts';
import { formatTable, nameOf, resultOf, TABLES } from './tables.ts';

for (const row of TABLES.flatMap(({ rows }) => rows)) {
  if (!row.isQuick) continue;
  test(nameOf(row), () => {
    assert.deepEqual(resultOf(row.explore()), row.expected);
  });
}

test('docs/collection-model.md has the tables', () => {
  const page = readFileSync(new URL('../../../docs/collection-model.md', import.meta.url), 'utf8');

  for (const table of TABLES) assert.ok(page.includes(formatTable(table)), table.title);
});

/** Two counters below a bound; it is wrong that both are somewhere. */
function counters(bound: number, wrong: readonly [number, number]): Model<[number, number]> {
  return {
    initial: [0, 0],
    expand([a, b], step) {
      if (a < bound) step('a', [a + 1, b]);
      if (b < bound) step('b', [a, b + 1]);
    },
    violation: ([a, b]) => (a === wrong[0] && b === wrong[1] ? 'wrong' : undefined),
    encode([a, b], words) {
      words[0] = a;
      words[1] = b;
      return 2;
    },
  };
}

test('exploring sees every state once', () => {
  for (const explore of [exploreBreadthFirst, exploreDepthFirst]) {
    const { states, isComplete, violation } = explore(counters(399, [-1, -1]), 1_000_000);

    assert.deepEqual(
      { states, isComplete, violation },
      {
        states: 160_000,
        isComplete: true,
        violation: undefined,
      },
    );
  }
});

test('exploring stops at the limit, and says that it did not see all', () => {
  for (const explore of [exploreBreadthFirst, exploreDepthFirst]) {
    const { states, isComplete } = explore(counters(399, [-1, -1]), 1000);

    assert.equal(isComplete, false);
    assert.ok(states > 1000 && states < 2000);
  }
});

test('exploreBreadthFirst() gives a shortest way to what is wrong', () => {
  const { violation, trace } = exploreBreadthFirst(counters(9, [2, 3]), 1000);

  assert.equal(violation, 'wrong');
  assert.deepEqual(trace.sort(), ['a', 'a', 'b', 'b', 'b']);
});

test('exploreDepthFirst() finds what is wrong', () => {
  assert.equal(exploreDepthFirst(counters(9, [2, 3]), 1000).violation, 'wrong');
});
