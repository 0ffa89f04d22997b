/** The damages of docs/reliability.md: what is run of each, and the table that it is shown in. */
import { damageEverywhere } from './damage-everywhere.ts';
import { flipLarge } from './damage-large.ts';
import { table } from './fault-reports.ts';
import { pointRange } from './point-range.ts';
import { damageAndRepair, damageWorld } from './random-damage.ts';
import { inScope, type Scope } from './test-repository.ts';

type Say = (text: string) => void;

/** Gives the table, and a line for each loss. */
type Part = (scope: Scope, say: Say) => Promise<{ table: string; losses: readonly string[] }>;

const LARGE_FLIP_COUNT = 10_000;
const REPAIR_COUNT = 1000;
const repairProgressEvery = 100;

/** `TEST_POINTS=<from>-<to>` takes those damages of a part. */
export const DAMAGE_PARTS: Readonly<Record<string, Part>> = {
  'damage-everywhere': async (scope, say) => {
    const range = pointRange(Number.POSITIVE_INFINITY);
    const tallies = await damageEverywhere(scope, { range, onProgress: say });
    const title = 'every damage of a small repository';
    return { table: tallies.table(title), losses: tallies.losses };
  },

  'damage-large': async (scope, say) => {
    const range = pointRange(LARGE_FLIP_COUNT);
    const { tallies, size } = await flipLarge(scope, { range, onProgress: say });
    const title = `random flips in ${(size / 1e6).toFixed(0)} MB`;
    return { table: tallies.table(title), losses: tallies.losses };
  },

  'damage-repairs': async (scope, say) => {
    const [from, to] = pointRange(REPAIR_COUNT);
    const counts = new Map<string, number>();
    const losses: string[] = [];
    const world = await damageWorld(scope);
    for (let salt = from; salt < to; salt++) {
      try {
        for (const damage of await damageAndRepair(world, salt)) {
          const [what = ''] = damage.split(' ', 1);
          counts.set(what, (counts.get(what) ?? 0) + 1);
        }
      } catch (error) {
        losses.push(`salt ${salt}: ${(error as Error).message}`);
      }
      if ((salt + 1) % repairProgressEvery === 0) {
        say(`${salt + 1} repositories damaged and repaired, ${losses.length} losses`);
      }
    }
    const head = ['damaged at random, then repaired', ...counts.keys(), 'losses'];
    const row = [`${to - from} repositories`, ...counts.values(), losses.length];
    return { table: table(head, [row]), losses };
  },
};

/** Runs the parts, or all of them; gives the number of losses. */
export async function runDamages(names: readonly string[], say: Say): Promise<number> {
  let lossCount = 0;
  for (const name of names) {
    const part = DAMAGE_PARTS[name];
    if (part === undefined) continue;
    await inScope(async (scope) => {
      const result = await part(scope, say);
      console.log(`${result.table}\n`);
      for (const loss of result.losses) console.log(`LOSS ${loss}`);
      lossCount += result.losses.length;
    });
  }
  return lossCount;
}
