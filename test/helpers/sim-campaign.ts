/**
 * Runs simulated histories with all their faults, counts what was judged and makes what fails smaller.
 */

import { seededRandom } from './seeded-random.ts';
import { dropCache } from './sim-cache.ts';
import {
  type FaultCounts,
  isJudgedInFull,
  runFaults,
  type SimKind,
  type SimState,
} from './sim-faults.ts';
import { hasCalls, historyText, operationOf, type SimHistory } from './sim-history.ts';
import { findFacts, newSimHome, type SimFacts, useAfterwards } from './sim-judge.ts';
import { lostObjects } from './sim-ledger.ts';
import { newWorld } from './sim-world.ts';

export interface SimRow {
  readonly operation: string;
  readonly kind: SimKind;
  seeds: number;
  /** Sets of objects that were not met before. */
  states: number;
  /** Of these, those that were used afterwards too. */
  inFull: number;
  losses: number;
  /** Of a processor. */
  seconds: number;
}

export interface SimLoss {
  /** As `parseHistory` reads it; its last step is the one with the fault. */
  readonly history: string;
  readonly kind: SimKind;
  readonly where: string;
  readonly texts: readonly string[];
}

export const SIM_COUNTS: FaultCounts = { cutsPerCall: 5, errorRuns: 8, secondRuns: 2 };

/** States are remembered over all histories of a campaign. */
export class SimCampaign {
  readonly #rows = new Map<string, SimRow>();
  readonly losses: SimLoss[] = [];
  readonly #known = new Set<string>();
  readonly #counts: FaultCounts;
  #lastUsage = process.cpuUsage();

  constructor(counts: FaultCounts = SIM_COUNTS) {
    this.#counts = counts;
  }

  get rows(): SimRow[] {
    return [...this.#rows.values()];
  }

  /** What was counted since the last time; the states that were met stay known. */
  take(): { rows: SimRow[]; losses: SimLoss[] } {
    const taken = { rows: this.rows, losses: this.losses.splice(0) };
    this.#rows.clear();
    return taken;
  }

  /** @param from the first step that has faults. */
  async run(history: SimHistory, from = 0): Promise<void> {
    const world = await newWorld(history.base);
    const facts = new Map<string, SimFacts>();
    try {
      for (const [i, step] of history.steps.entries()) {
        if (i < from || !hasCalls(step)) await world.perform(step);
        else {
          const text = historyText({ ...history, steps: history.steps.slice(0, i + 1) });
          const operation = operationOf(step);
          await runFaults(world, step, {
            counts: this.#counts,
            onState: (state) => this.#judge(state, { text, operation, facts }),
          });
        }
        const isQuiet = seededRandom(300_000_000 + step.salt).below(2) === 0;
        if (isQuiet) world.disk.settle();
      }
    } finally {
      world.close();
    }
  }

  async #judge(
    state: SimState,
    { text, operation, facts }: { text: string; operation: string; facts: Map<string, SimFacts> },
  ): Promise<void> {
    const { kind, where, described, ledger } = state;
    const row = this.#row(operation, kind);
    row.seeds += 1;
    const mayRebuild = ledger.isDamaged;
    const key = `${described.digest} ${mayRebuild}`;
    const isNew = !this.#known.has(key);
    let found = facts.get(key);
    if (found === undefined) {
      found = await findFacts(state.disk, described, mayRebuild);
      facts.set(key, found);
    }
    const texts = [...state.failures, ...ledger.lossesIn(found)];
    if (texts.length === 0) texts.push(...lostObjects(state.before, found, state.mayDelete));
    if (isNew) {
      this.#known.add(key);
      row.states += 1;
      const isInFull = isJudgedInFull(described) && texts.length === 0 && !ledger.isDamaged;
      if (isInFull) {
        row.inFull += 1;
        texts.push(...(await this.#useAfterwards(state)));
      }
    }
    for (const { cacheDirectory } of state.homes?.values() ?? []) dropCache(cacheDirectory);
    if (texts.length > 0) {
      row.losses += 1;
      this.losses.push({ history: text, kind, where, texts });
    }
    // To ask for it takes a tenth of what a disk takes that is known.
    if (isNew) row.seconds += this.#secondsSinceLast();
  }

  /** By the client that was at work, as the fault left it, or by one that knows nothing. */
  async #useAfterwards({ disk, ledger, homes }: SimState): Promise<string[]> {
    const home = [...(homes?.values() ?? [])].at(-1) ?? newSimHome();
    try {
      return await useAfterwards(disk.fork(), ledger, home);
    } finally {
      dropCache(home.cacheDirectory);
    }
  }

  /** The run that led to states, and those that were known, count for the next new one. */
  #secondsSinceLast(): number {
    const { user, system } = process.cpuUsage(this.#lastUsage);
    this.#lastUsage = process.cpuUsage();
    return (user + system) / 1e6;
  }

  #row(operation: string, kind: SimKind): SimRow {
    const key = `${operation} ${kind}`;
    let row = this.#rows.get(key);
    if (row === undefined) {
      row = { operation, kind, seeds: 0, states: 0, inFull: 0, losses: 0, seconds: 0 };
      this.#rows.set(key, row);
    }
    return row;
  }
}
