/**
 * Real processes that die by SIGKILL at every passing of every failpoint of the storage and of the
 * session during one snapshot; then the same repository again and again, without starting afresh.
 */
import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { REPOSITORY_FAILPOINTS } from '../../src/repository/failpoints.ts';
import { STORAGE_FAILPOINTS } from '../../src/storage/failpoints.ts';
import { sourceTree } from '../helpers/repository-crash.ts';
import { continueAfter, preparedRepository, runChild } from '../helpers/repository-kill.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';

/** All that a snapshot passes: it makes no repository or keys, is not given up, has hard links. */
const POINTS = [...REPOSITORY_FAILPOINTS, ...STORAGE_FAILPOINTS].filter(
  (name) => !/^init\.|^key\.|^session\.fence\.|-rename$/.test(name),
);

for (const point of POINTS) {
  test(`a process killed at every passing of ${point} loses nothing acknowledged`, async (t) => {
    const directory = tempDir(t);
    const prepared = await preparedRepository(join(directory, 'prepared'));

    for (let count = 1; ; count++) {
      const place = join(directory, String(count));
      cpSync(join(directory, 'prepared'), place, { recursive: true });
      const ledger = prepared.copy();
      ledger.trees.push(sourceTree(2));
      const { wasKilled, id } = await runChild(place, 2, { point, count });
      if (id !== undefined) ledger.acknowledged.set(id, sourceTree(2));
      await continueAfter(place, ledger, 2);
      if (wasKilled) continue;
      assert.ok(count > 1, `${point} was not passed`);
      t.diagnostic(`${count - 1} kills`);
      return;
    }
  });
}

test('a repository whose writers are killed again and again takes no harm', async (t) => {
  const directory = tempDir(t);
  const ledger = await preparedRepository(directory);
  const random = seededRandom(31);

  for (let round = 2; round < 40; round++) {
    ledger.trees.push(sourceTree(round));
    const point = POINTS[random.below(POINTS.length)] as string;
    const { id } = await runChild(directory, round, { point, count: 1 + random.below(3) });
    if (id !== undefined) ledger.acknowledged.set(id, sourceTree(round));
    if (round % 8 === 0) await continueAfter(directory, ledger, round);
  }

  await continueAfter(directory, ledger, 40);
  assert.ok(ledger.acknowledged.size > 5);
});
