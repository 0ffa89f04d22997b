/**
 * Power cuts below ext4, xfs and btrfs: every operation and histories of many, each disk that may be
 * left mounted and judged. Needs root, FUSE and loop devices (docs/testing.md).
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeBlocks, lackOfBlockDevices, runBlocks } from '../helpers/block-runs.ts';
import { BLOCK_CANARIES } from '../helpers/fault-canaries.ts';
import { BLOCK_PLANS } from '../helpers/fault-reports.ts';
import { memoryDir } from '../helpers/test-repository.ts';

for (const plan of BLOCK_PLANS) {
  test(`${plan.title}: a power cut loses nothing acknowledged`, async (t) => {
    const lack = await lackOfBlockDevices();
    if (lack !== undefined) return t.skip(lack);

    const tallies = await runBlocks({ ...plan, directory: memoryDir(t) });

    for (const tally of tallies) {
      t.diagnostic(describeBlocks(tally));
      assert.deepEqual(tally.losses, []);
    }
  });
}

for (const canary of BLOCK_CANARIES) {
  test(`a planted bug is seen by ${canary.layer}: ${canary.bug}`, async (t) => {
    const lack = await lackOfBlockDevices();
    if (lack !== undefined) return t.skip(lack);

    const caught = await canary.look(memoryDir(t));

    assert.ok(caught !== undefined, 'the harness is blind');
    t.diagnostic(`${caught.count} states: ${caught.finding}`);
  });
}
