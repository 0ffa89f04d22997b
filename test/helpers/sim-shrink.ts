/** Makes a history that loses something smaller, and tells one call by call. */

import { recordFs } from './intercepted-fs.ts';
import { SimCampaign, type SimLoss } from './sim-campaign.ts';
import { SIM_KINDS } from './sim-faults.ts';
import {
  hasCalls,
  historyText,
  parseHistory,
  type SimHistory,
  type SimStep,
  stepText,
} from './sim-history.ts';
import { newWorld } from './sim-world.ts';

/** More than in a campaign: a smaller history has other calls, so the fault must be looked for. */
const counts = { cutsPerCall: 4, errorRuns: 30, secondRuns: 8 };

const attemptCountMax = 40;

/** The same loss with fewer steps and fewer faults, as far as one is found. */
export async function shrinkLoss(loss: SimLoss): Promise<SimLoss> {
  let best = loss;
  let attemptCount = 0;
  const attempt = async (history: SimHistory): Promise<boolean> => {
    attemptCount += 1;
    const found = attemptCount > attemptCountMax ? undefined : await findLoss(history);
    if (found === undefined) return false;
    best = found;
    return true;
  };
  for (let isSmaller = true; isSmaller; ) {
    isSmaller = false;
    for (const smaller of smallerOnes(parseHistory(best.history))) {
      isSmaller = await attempt(smaller);
      if (isSmaller) break;
    }
  }
  return best;
}

/** The loss with the simplest fault in the last step of a history. */
export async function findLoss(history: SimHistory): Promise<SimLoss | undefined> {
  const campaign = new SimCampaign(counts);
  await campaign.run(history, history.steps.length - 1);
  const { losses } = campaign.take();
  return losses.sort((a, b) => SIM_KINDS.indexOf(a.kind) - SIM_KINDS.indexOf(b.kind))[0];
}

function* smallerOnes({ base, steps }: SimHistory): Iterable<SimHistory> {
  for (let i = 0; i < steps.length - 1; i++) yield { base, steps: steps.toSpliced(i, 1) };
  for (const [i, step] of steps.entries()) {
    for (const simpler of simplerSteps(step)) yield { base, steps: steps.with(i, simpler) };
  }
  if (base !== 'two' && base !== 'new') yield { base: 'two', steps };
}

function* simplerSteps({ moves, salt, ...rest }: SimStep): Iterable<SimStep> {
  if (moves.length > 1) for (const move of moves) yield { ...rest, moves: [move], salt };
  if (rest.stopAt !== undefined) yield { moves, salt };
}

/** What happens in a history, and every call of its last step. */
export async function traceHistory(history: SimHistory): Promise<string[]> {
  const world = await newWorld(history.base);
  const lines = [historyText(history)];
  try {
    for (const [i, step] of history.steps.entries()) {
      const isLast = i === history.steps.length - 1 && hasCalls(step);
      const { fs, calls } = recordFs(world.disk);
      await world.perform(step, isLast ? { fs } : {});
      lines.push(...world.trace.splice(0));
      if (isLast) lines.push(...calls.map((call, n) => `  call ${n}: ${call}`));
      else lines.push(`  done: ${stepText(step)}`);
    }
  } finally {
    world.close();
  }
  return lines;
}
