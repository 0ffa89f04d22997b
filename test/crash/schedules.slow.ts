/** All schedules of processes of several clients, and the planted bugs that they must see. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pointRange } from '../helpers/point-range.ts';
import { runSchedules, SCHEDULE_CANARIES, SCHEDULE_COUNT } from '../helpers/schedule-runs.ts';
import { memoryDir } from '../helpers/test-repository.ts';

test('clients that are stopped, killed and fenced lose nothing in any schedule', async (t) => {
  const range = pointRange(SCHEDULE_COUNT);

  const directory = memoryDir(t);
  const onProgress = (text: string): void => t.diagnostic(text);
  const tally = await runSchedules({ directory, range, laneCount: 2, onProgress });

  assert.deepEqual(tally.losses, []);
  assert.ok(2 * tally.schedulesWithSweep > tally.schedules);
  assert.ok(4 * tally.schedulesWithFence > tally.schedules);
});

for (const { bug, look } of SCHEDULE_CANARIES) {
  test(`schedules see the planted bug "${bug}"`, async (t) => {
    const caught = await look(memoryDir(t));

    assert.ok(caught !== undefined);
    t.diagnostic(`after ${caught.count} schedules: ${caught.finding}`);
  });
}
