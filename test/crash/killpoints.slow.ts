/**
 * Every operation killed, failed and put to sleep at its calls to the system, as a real process. All
 * points of kills, a seeded share of those of errors (`RELIABILITY`); `TEST_POINTS=<from>-<to>`
 * takes only those points of each operation.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runCampaign } from '../helpers/fault-campaigns.ts';
import { COLLECTION_CANARIES, KILL_CANARIES } from '../helpers/fault-canaries.ts';
import { FAULT_OPERATIONS } from '../helpers/fault-operations.ts';
import { RELIABILITY_CAMPAIGNS } from '../helpers/fault-reports.ts';
import { lackOfStrace } from '../helpers/fault-strace.ts';
import { memoryDir } from '../helpers/test-repository.ts';

for (const { title, campaign, share, needsStrace } of RELIABILITY_CAMPAIGNS) {
  test(`${title}: nothing is lost by any operation`, async (t) => {
    const lack = needsStrace ? await lackOfStrace() : undefined;
    if (lack !== undefined) return t.skip(lack);
    const range = process.env['TEST_POINTS'] === undefined ? { sampleCount: share } : {};

    const tallies = await runCampaign(campaign, {
      directory: memoryDir(t),
      operations: FAULT_OPERATIONS,
      ...(share < 1 && range),
      onProgress: (text) => t.diagnostic(text),
    });

    for (const { losses } of tallies) assert.deepEqual(losses, []);
    assert.ok(tallies.every(({ hitCount, pointCount }) => hitCount > 0 || pointCount === 0));
  });
}

for (const canary of [...KILL_CANARIES, ...COLLECTION_CANARIES]) {
  test(`a planted bug is seen: ${canary.bug}`, async (t) => {
    const caught = await canary.look(memoryDir(t));

    assert.ok(caught !== undefined, 'the harness is blind');
    t.diagnostic(`${caught.count} points: ${caught.finding}`);
  });
}
