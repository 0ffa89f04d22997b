/** Both models of the protocol, all that docs/collection-model.md has: some minutes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nameOf, resultOf, TABLES } from './tables.ts';

for (const row of TABLES.flatMap(({ rows }) => rows)) {
  if (row.isQuick) continue;
  test(nameOf(row), () => {
    assert.deepEqual(resultOf(row.explore()), row.expected);
  });
}
