/** Planted bugs that the simulation must see, those of the collector among them. */
import type { Canary } from './fault-canaries.ts';
import { runSimulation } from './sim-report.ts';

/** Looks at all faults of these histories, one after the other, until something is lost. */
function simCanary(bug: string, ...histories: string[]): Canary {
  return {
    bug,
    layer: 'simulation',
    operation: histories[0] as string,
    look: async () => {
      let count = 0;
      for (const history of histories) {
        const options = { from: 0, count: 1, history, workerCount: 1, bug };
        for (const { rows, losses } of await runSimulation(options)) {
          count += rows.reduce((sum, { seeds }) => sum + seeds, 0);
          const [loss] = losses;
          if (loss !== undefined) return { finding: `${loss.kind}: ${loss.texts[0]}`, count };
        }
      }
      return undefined;
    },
  };
}

/** A call after which a process must end, or what decides an order, moves a little with the program. */
function around(number: number, historyOf: (number: number) => string): string[] {
  const distances = Array.from({ length: 16 }, (_, i) => i);
  return distances.flatMap((i) => [...new Set([number + i, number - i])]).map(historyOf);
}

const collection = 'forgotten: a prune-now 0 @3';

export const SIM_CANARIES: readonly Canary[] = [
  simCanary('files are not synced', 'two: a snapshot 3 @1'),
  simCanary('directories are not synced', 'two: a snapshot 3 @1'),
  simCanary('the commit comes before its segments', 'two: a snapshot 3 @1'),
  simCanary('a segment comes before its packs', 'two: a snapshot 3 @1'),
  simCanary('packs are deleted before their sweep is there', collection),
  simCanary('a repack drops packs before the new ones are there', collection),
  simCanary(
    'nobody looks again before the sweep',
    ...around(8, (salt) => `forgotten: a snapshot 0 + b prune-now 1 @${Math.max(0, salt)}`),
  ),
  simCanary('segments go before the compacted one is there', 'segments: a prune-now 0 @3'),
  simCanary(
    'a collection relies on tombs that are not durable',
    ...around(57, (call) => `two: a forget 0 !${call} @5; b prune-now 0 @6`),
  ),
  simCanary(
    'a session relies on segments that are not durable',
    ...around(127, (call) => `two: a snapshot 3 !${call} @5; b snapshot 3 @6`),
  ),
  simCanary(
    'an adopted pack is not made durable',
    ...around(107, (call) => `two: a snapshot 3 !${call} @5; b snapshot 3 @6`),
  ),
];
