/**
 * A process that runs simulated histories for `sim-report.ts`: ranges of numbers come as messages, what
 * was counted and lost goes back. A bug may be planted into the program that it simulates.
 */
import './sim-machine.ts';
import { register } from 'node:module';
import type { SimRange } from './sim-report.ts';

const { VARVE_TEST_BUG: bug } = process.env;
if (bug !== undefined) register('./planted-loader.js', import.meta.url, { data: bug });

const { useMemoryCaches } = await import('./sim-cache.ts');
const { SimCampaign } = await import('./sim-campaign.ts');
const { historyOf, parseHistory } = await import('./sim-history.ts');
const { findLoss, shrinkLoss, traceHistory } = await import('./sim-shrink.ts');

useMemoryCaches();
// Most errors here are expected, and half of their price is the stack.
Error.stackTraceLimit = 4;

const campaign = new SimCampaign();

async function runRange({ from, count, history }: SimRange): Promise<void> {
  for (let number = from; number < from + count; number++) {
    await campaign.run(history === undefined ? historyOf(number) : parseHistory(history));
  }
  const { rows, losses } = campaign.take();
  // All of them say the same, as a rule; one is made smaller.
  const [first, ...others] = losses;
  const small =
    first === undefined || bug !== undefined ? losses : [await shrinkLoss(first), ...others];
  process.send?.({ from, count, rows, losses: small });
}

/** One history call by call, and with all faults of its last step. */
async function replay(text: string): Promise<void> {
  const history = parseHistory(text);
  process.send?.({ lines: await traceHistory(history), loss: await findLoss(history) });
}

process.on('message', (range: SimRange) => {
  const run = range.count === 0 ? replay(range.history ?? '') : runRange(range);
  run.catch((error: Error) => {
    process.send?.({ ...range, rows: [], losses: [], failure: error.stack });
  });
});
process.on('disconnect', () => process.exit());
process.send?.('ready');
