/** `npm run reliability -- simulated`: the campaign, its tables, and one history again. */
import { table } from './fault-reports.ts';
import { pointRange } from './point-range.ts';
import {
  describeLoss,
  replayHistory,
  runSimulation,
  type SimResult,
  type SimTotals,
  totalsBy,
} from './sim-report.ts';

/** Some more than a million seeds. */
const historyCount = 1800;
const workerCount = 2;

/**
 * Runs the histories that `TEST_POINTS=<from>-<to>` names, less what stands in the file beside that which
 * `TEST_LOG` names. With `TEST_HISTORY` only that one, call by call.
 * @returns how many losses there were.
 */
export async function runSimulatedPart(say: (text: string) => void): Promise<number> {
  const { TEST_HISTORY, TEST_LOG } = process.env;
  if (TEST_HISTORY !== undefined) return await replay(TEST_HISTORY);
  const [from, to] = pointRange(historyCount);
  let seeds = 0;
  const results = await runSimulation({
    from,
    count: to - from,
    workerCount,
    resultsFile: TEST_LOG === undefined ? undefined : `${TEST_LOG}.simulated`,
    onResult: (result) => {
      seeds += result.rows.reduce((sum, row) => sum + row.seeds, 0);
      say(`histories ${result.from} to ${result.from + result.count - 1}: ${seeds} seeds so far`);
      for (const loss of result.losses.slice(0, 1)) say(describeLoss(loss));
    },
  });
  console.log(`${simulationTable('operation', results)}\n`);
  console.log(`${simulationTable('kind', results)}\n`);
  const losses = results.flatMap((result) => result.losses);
  for (const loss of losses) console.log(describeLoss(loss));
  return losses.length;
}

async function replay(text: string): Promise<number> {
  const { lines, loss } = await replayHistory(text);
  for (const line of lines) console.log(line);
  console.log(loss === undefined ? 'nothing is lost' : describeLoss(loss));
  return loss === undefined ? 0 : 1;
}

function simulationTable(by: 'operation' | 'kind', results: readonly SimResult[]): string {
  const row = (name: string, totals: SimTotals): (string | number)[] => [
    name,
    totals.seeds,
    totals.states,
    totals.inFull,
    totals.losses,
    Math.round(totals.seconds),
  ];
  const rows = [...totalsBy(results, (one) => one[by])].map(([name, totals]) => row(name, totals));
  rows.sort(([a], [b]) => (String(a) < String(b) ? -1 : 1));
  for (const [name, totals] of totalsBy(results, () => '**together**'))
    rows.push(row(name, totals));
  const title = by === 'operation' ? 'operation' : 'kind of fault';
  return table([title, 'seeds', 'distinct states', 'used afterwards', 'losses', 'seconds'], rows);
}
