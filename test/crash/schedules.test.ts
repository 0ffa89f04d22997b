/** A few schedules of processes of several clients; `npm run reliability -- schedules` plays 1,000. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runSchedules } from '../helpers/schedule-runs.ts';
import { memoryDir } from '../helpers/test-repository.ts';

test('clients that are stopped, killed and fenced lose nothing', {
  timeout: 300_000,
}, async (t) => {
  const tally = await runSchedules({ directory: memoryDir(t), range: [0, 3] });

  assert.deepEqual(tally.losses, []);
  assert.ok(tally.sweeps > 0 && tally.stops > 0 && tally.fenced > 0);
});

test('a fence that is not looked at before the commit is seen', { timeout: 300_000 }, async (t) => {
  const bug = 'a fence is not looked at before the commit';

  const directory = memoryDir(t);
  const tally = await runSchedules({ directory, range: [0, 20], bug, stopsAtLoss: true });

  assert.match(tally.losses[0] ?? '', /is not what it did/);
});
