/**
 * Real processes that die by SIGKILL at each step of the commit protocol. What they leave is no
 * damage and needs no repair; what was durable is found by the next snapshot.
 */
import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { REPOSITORY_FAILPOINTS } from '../../src/repository/failpoints.ts';
import { mapConcurrent } from '../../src/util/concurrent.ts';
import { sourceTree } from '../helpers/repository-crash.ts';
import { continueAfter, preparedRepository, runChild } from '../helpers/repository-kill.ts';
import { tempDir } from '../helpers/temp-dir.ts';

const SESSION_POINTS = REPOSITORY_FAILPOINTS.filter((name) => /^session\.\d/.test(name));
/** From here on the packs of the killed session are durable, and are adopted or found. */
const DURABLE_FROM = SESSION_POINTS.indexOf('session.3.after-pack');

test('a process killed at any step of a session costs at most its own snapshot', async (t) => {
  const directory = tempDir(t);
  const prepared = await preparedRepository(join(directory, 'prepared'));

  await mapConcurrent([...SESSION_POINTS.entries()], 2, async ([i, point]) => {
    const place = join(directory, point);
    cpSync(join(directory, 'prepared'), place, { recursive: true });
    const ledger = prepared.copy();
    ledger.trees.push(sourceTree(2));

    const { wasKilled, id } = await runChild(place, 2, { point, count: 1 });
    const next = await continueAfter(place, ledger, 2);

    assert.ok(wasKilled, point);
    assert.equal(id, undefined, point);
    assert.equal(next.newBytes === 0, i >= DURABLE_FROM, `${point}: ${next.newBytes} new bytes`);
  });
});

test('a process killed during init leaves a repository or lets init be repeated', async (t) => {
  const directory = tempDir(t);

  for (const point of ['init.before-slot', 'init.before-config', 'init.after-config']) {
    const place = join(directory, point);

    const first = await runChild(place, 'init', { point, count: 1 });

    assert.ok(first.wasKilled, point);
    if (point !== 'init.after-config') {
      const second = await runChild(place, 'init', { point: 'none', count: 1 });
      assert.equal(second.wasKilled, false, point);
    }
    const snapshot = await runChild(place, 1, { point: 'none', count: 1 });
    assert.ok(snapshot.id !== undefined, point);
  }
});
