/** A tenth of the simulation of docs/reliability.md, and the planted bugs that it must see. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SIM_CANARIES } from '../helpers/sim-canaries.ts';
import { describeLoss, runSimulation, totalsBy } from '../helpers/sim-report.ts';

test('nothing acknowledged is lost in 100,000 simulated seeds', async (t) => {
  const results = await runSimulation({ from: 100_000, count: 230, workerCount: 2 });

  const losses = results.flatMap((result) => result.losses);
  assert.deepEqual(losses.map(describeLoss), []);
  const together = totalsBy(results, () => 'all').get('all');
  t.diagnostic(`${together?.seeds} seeds, ${together?.states} distinct states`);
});

for (const canary of SIM_CANARIES) {
  test(`a planted bug is seen: ${canary.bug}`, async (t) => {
    const caught = await canary.look('');

    assert.ok(caught !== undefined);
    t.diagnostic(`after ${caught.count} seeds: ${caught.finding}`);
  });
}
