/**
 * The simulation as a part of `npm run reliability`: worker processes take ranges of histories, and what
 * they count is added up. Ranges that are done stand in a file of results, so a run can be ended at any
 * time and goes on where it was.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { testSeed } from './seeded-random.ts';
import type { SimLoss, SimRow } from './sim-campaign.ts';

export interface SimRange {
  readonly from: number;
  readonly count: number;
  /** Instead of those with these numbers. */
  readonly history?: string | undefined;
}

export interface SimResult extends SimRange {
  readonly rows: readonly SimRow[];
  readonly losses: readonly SimLoss[];
  /** Why a worker could not go on. */
  readonly failure?: string;
}

export interface SimulationOptions extends SimRange {
  readonly workerCount: number;
  /** Histories in a range. */
  readonly rangeSize?: number;
  /** Where results are kept, and taken from: JSON lines. */
  readonly resultsFile?: string | undefined;
  readonly bug?: string;
  /** Told of each range. */
  readonly onResult?: (result: SimResult) => void;
}

/** Runs what is not in the file of results yet, and gives everything. */
export async function runSimulation(options: SimulationOptions): Promise<SimResult[]> {
  const {
    from,
    count,
    workerCount,
    rangeSize = 10,
    history,
    resultsFile,
    onResult = () => {},
  } = options;
  const results = readResults(resultsFile).filter(
    (one) => one.from >= from && one.from < from + count,
  );
  const done = new Set(results.map((one) => one.from));
  const ranges: SimRange[] = [];
  for (let at = from; at < from + count; at += rangeSize) {
    const range = { from: at, count: Math.min(rangeSize, from + count - at), history };
    if (!done.has(at)) ranges.push(range);
  }
  const next = (): SimRange | undefined => ranges.shift();
  const take = (result: SimResult): void => {
    results.push(result);
    onResult(result);
    if (resultsFile !== undefined) {
      appendFileSync(resultsFile, `${JSON.stringify({ seed: testSeed, ...result })}\n`);
    }
  };
  const { bug } = options;
  await Promise.all(Array.from({ length: workerCount }, () => runWorker({ next, take, bug })));
  return results;
}

function readResults(file: string | undefined): SimResult[] {
  if (file === undefined || !existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '');
  return lines
    .map((line) => JSON.parse(line) as SimResult & { seed: number })
    .filter(({ seed }) => seed === testSeed);
}

function startWorker(bug?: string): ChildProcess {
  const { VARVE_TEST_BUG: _none, ...env } = process.env;
  return fork(fileURLToPath(new URL('./sim-worker.js', import.meta.url)), {
    execArgv: ['--enable-source-maps', '--max-semi-space-size=64'],
    env: bug === undefined ? env : { ...env, VARVE_TEST_BUG: bug },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
}

async function runWorker(options: {
  next: () => SimRange | undefined;
  take: (result: SimResult) => void;
  bug: string | undefined;
}): Promise<void> {
  const { next, take, bug } = options;
  const first = next();
  if (first === undefined) return;
  const worker = startWorker(bug);
  try {
    await message(worker);
    for (let range: SimRange | undefined = first; range !== undefined; range = next()) {
      worker.send(range);
      const result = (await message(worker)) as SimResult;
      if (result.failure !== undefined) throw new Error(result.failure);
      take(result);
    }
  } finally {
    if (worker.connected) worker.disconnect();
  }
}

/** What happens in a history, and what is lost by the faults of its last step. */
export async function replayHistory(history: string): Promise<{ lines: string[]; loss?: SimLoss }> {
  const worker = startWorker();
  try {
    await message(worker);
    worker.send({ from: 0, count: 0, history });
    const answer = (await message(worker)) as { lines: string[]; loss?: SimLoss; failure?: string };
    if (answer.failure !== undefined) throw new Error(answer.failure);
    return answer;
  } finally {
    if (worker.connected) worker.disconnect();
  }
}

function message(worker: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const fail = (code: number | null): void => reject(new Error(`a worker ended with ${code}`));
    worker.once('exit', fail);
    worker.once('message', (value) => {
      worker.off('exit', fail);
      resolve(value);
    });
  });
}

export type SimTotals = Omit<SimRow, 'operation' | 'kind'>;

/** Rows added up by something that they have in common. */
export function totalsBy(
  results: readonly SimResult[],
  keyOf: (row: SimRow) => string,
): Map<string, SimTotals> {
  const totals = new Map<string, SimTotals>();
  for (const row of results.flatMap(({ rows }) => rows)) {
    const key = keyOf(row);
    const sum = totals.get(key) ?? { seeds: 0, states: 0, inFull: 0, losses: 0, seconds: 0 };
    sum.seeds += row.seeds;
    sum.states += row.states;
    sum.inFull += row.inFull;
    sum.losses += row.losses;
    sum.seconds += row.seconds;
    totals.set(key, sum);
  }
  return totals;
}

/** How a loss is shown: what is lost, where, and how to see it again. */
export function describeLoss({ history, kind, where, texts }: SimLoss): string {
  const again = `TEST_SEED=${testSeed} TEST_HISTORY='${history}' npm run reliability -- simulated`;
  return `LOSS ${kind} at ${where}\n  ${texts.join('\n  ')}\n  ${again}`;
}
