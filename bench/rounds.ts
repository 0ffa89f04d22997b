/**
 * Runs programs in rounds: in each round every program once, the first one another each time, so
 * that whatever disturbs the machine for a while disturbs all of them and figures of one round may
 * be divided by each other. One round that does not count comes first and warms all alike, unless
 * the page cache is dropped before each run. Before each run everything written is on the disk.
 *
 * A program that fails is left out of further rounds; the others go on.
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { ChildFailed, type Command } from '../src/cli/benchmark/child.ts';
import { measure, type Sample } from './measure.ts';
import type { Work } from './work-directory.ts';

/** What one program does in each round. */
export interface Contender {
  name: string;
  codesPartial: readonly number[];
  /** Gets everything ready, outside of the timing. @returns what is to be measured. */
  prepare: (round: number) => Promise<Command> | Command;
  /** Clears up, outside of the timing. @returns bytes that the run added to its repository. */
  finish: (round: number) => number | undefined;
}

export interface RoundSample extends Sample {
  round: number;
  storedSize?: number;
}

export interface Result {
  program: string;
  samples: RoundSample[];
  /** Why there are no more samples. */
  failure?: string;
}

export interface RoundsOptions {
  label: string;
  runs: number;
  isCold: boolean;
  /** Before each round; round 0 is the one that does not count. */
  beforeRound?: (round: number) => void;
}

export async function runRounds(
  work: Work,
  contenders: readonly Contender[],
  options: RoundsOptions,
): Promise<Result[]> {
  const { label, runs, isCold, beforeRound } = options;
  const results = contenders.map(({ name }): Result => ({ program: name, samples: [] }));
  for (let round = isCold ? 1 : 0; round <= runs; round++) {
    beforeRound?.(round);
    for (let turn = 0; turn < contenders.length; turn++) {
      const position = (round + turn) % contenders.length;
      const result = results[position]!;
      if (result.failure !== undefined) continue;
      await runOnce(work, contenders[position]!, { round, isCold, result });
      tell(`${label}: round ${round} of ${runs}`, result);
    }
  }
  return results;
}

async function runOnce(
  work: Work,
  contender: Contender,
  run: { round: number; isCold: boolean; result: Result },
): Promise<void> {
  const { round, isCold, result } = run;
  try {
    const command = await contender.prepare(round);
    settle(work.directory, isCold);
    const { signal } = work;
    const sample = await measure(command, { signal, codesAccepted: contender.codesPartial });
    const storedSize = contender.finish(round);
    if (round === 0) return;
    result.samples.push({ round, ...sample, ...(storedSize !== undefined && { storedSize }) });
  } catch (error) {
    if (!(error instanceof ChildFailed)) throw error;
    result.failure = error.message;
  }
}

/** Leaves nothing to be written back during the run; `isCold` leaves nothing to be found, either. */
function settle(directory: string, isCold: boolean): void {
  execFileSync('sync', ['-f', directory]);
  if (!isCold) return;
  execFileSync('sync');
  writeFileSync('/proc/sys/vm/drop_caches', '3\n');
}

function tell(what: string, { program, failure, samples }: Result): void {
  const seconds = samples.at(-1)?.wallSeconds.toFixed(2);
  const how = failure === undefined ? `${seconds ?? 'warm-up'}` : `failed: ${failure}`;
  console.error(`${what}: ${program} ${how}`);
}
