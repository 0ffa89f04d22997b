/**
 * A sample of the simulation: histories of several clients on a disk in memory, with power cuts, ended
 * processes, errors and wrong answers at their calls. `simulation.slow.ts` has more of them, and
 * `npm run reliability -- simulated` a million.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SIM_CANARIES } from '../helpers/sim-canaries.ts';
import { historyOf, historyText, parseHistory } from '../helpers/sim-history.ts';
import { describeLoss, runSimulation, totalsBy } from '../helpers/sim-report.ts';

test('nothing acknowledged is lost in simulated histories', async (t) => {
  const results = await runSimulation({ from: 0, count: 5, workerCount: 1 });

  const losses = results.flatMap((result) => result.losses);
  assert.deepEqual(losses.map(describeLoss), []);
  const together = totalsBy(results, () => 'all').get('all');
  assert.ok((together?.seeds ?? 0) > 1000);
  t.diagnostic(`${together?.seeds} seeds, ${together?.states} distinct states`);
});

test('the same number gives the same history and the same counts', async () => {
  const runs = [];
  for (let i = 0; i < 2; i++) runs.push(await runSimulation({ from: 3, count: 2, workerCount: 1 }));

  const [first, second] = runs.map((results) =>
    results.flatMap(({ rows }) => rows.map(({ seconds, ...counts }) => counts)),
  );
  assert.deepEqual(first, second);
});

test('parseHistory() gives back what historyText() wrote', () => {
  for (let number = 0; number < 200; number++) {
    const history = historyOf(number);

    assert.deepEqual(parseHistory(historyText(history)), history);
  }
});

test('a planted bug is seen: a segment comes before its packs', async (t) => {
  const canary = SIM_CANARIES.find(({ bug }) => bug === 'a segment comes before its packs');

  const caught = await canary?.look('');

  assert.ok(caught !== undefined);
  t.diagnostic(`after ${caught.count} seeds: ${caught.finding}`);
});
