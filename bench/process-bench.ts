/**
 * The frame of the benches that run whole programs: reads the options, finds the programs, makes
 * what is to be saved, hands both to the bench for each source, and reports.
 */

import { ChildFailed } from '../src/cli/benchmark/child.ts';
import { versionOf } from '../src/cli/benchmark/programs.ts';
import { describeMachine } from './machine.ts';
import { type BenchProgram, ownProgram, peers } from './peers.ts';
import {
  type ProcessOptions,
  parseProcessOptions,
  prepareSources,
  type Source,
} from './process-options.ts';
import { startReport } from './report.ts';
import { BenchRepository } from './repositories.ts';
import { type Contender, type Result, type RoundsOptions, runRounds } from './rounds.ts';
import { type Work, withWorkDirectory } from './work-directory.ts';

export interface ProcessBench {
  name: string;
  /** In the order in which they are measured. */
  cases: readonly string[];
  /** Cases that change what was saved. */
  casesChanging: readonly string[];
  measure: (bench: BenchRun) => Promise<void>;
}

/** One source in one bench. */
export interface BenchRun {
  work: Work;
  source: Source;
  programs: readonly BenchProgram[];
  isWanted: (name: string) => boolean;
  /** Measures a case and reports it; without contenders there is no such case. */
  measureCase: (
    name: string,
    contenders: readonly Contender[],
    options?: Pick<RoundsOptions, 'beforeRound'>,
  ) => Promise<void>;
}

export async function runProcessBench(bench: ProcessBench, args: string[]): Promise<void> {
  const options = parseProcessOptions(args, bench.cases);
  await withWorkDirectory(options.parent, async (work) => {
    const machine = describeMachine(work.directory);
    const versions = findPrograms(options.isComparing);
    const report = startReport({
      machine,
      versions: Object.fromEntries([...versions].map(([{ name }, version]) => [name, version])),
      settings: { bench: bench.name, ...options },
      jsonPath: options.jsonPath,
      yardsticks: [...versions.keys()].filter((one) => !one.isIncremental).map(({ name }) => name),
    });
    const willChange = options.cases.some((name) => bench.casesChanging.includes(name));
    for (const source of await prepareSources(work, options, willChange)) {
      await bench.measure({
        work,
        source,
        programs: [...versions.keys()],
        isWanted: (name) => options.cases.includes(name),
        measureCase: async (name, contenders, extra = {}) => {
          if (contenders.length === 0) return;
          const rounds = { ...roundsOf(bench, name, options), ...extra };
          const results = await runRounds(work, contenders, rounds);
          report({ bench: bench.name, name, source, results });
          if (results.some(hasFailed)) process.exitCode = 1;
        },
      });
    }
  });
}

function roundsOf(bench: ProcessBench, name: string, options: ProcessOptions): RoundsOptions {
  const { runs, isCold } = options;
  return { label: `${bench.name}, ${name}`, runs, isCold };
}

function hasFailed({ failure }: Result): boolean {
  return failure !== undefined;
}

/** varve and, for a comparison, every peer that is there, each with its version. */
function findPrograms(isComparing: boolean): Map<BenchProgram, string> {
  const found = new Map<BenchProgram, string>();
  for (const program of [ownProgram, ...(isComparing ? peers : [])]) {
    const version = versionOf(program);
    if (version === undefined) console.error(`${program.name} is not there`);
    else found.set(program, version);
  }
  return found;
}

/** A repository for each program with one snapshot of the source; without programs that fail. */
export async function keepRepositories(
  { work, source }: BenchRun,
  programs: readonly BenchProgram[],
): Promise<BenchRepository[]> {
  const kept: BenchRepository[] = [];
  for (const program of programs) {
    console.error(`filling a repository of ${program.name}`);
    const options = { label: 'kept', sources: source.paths };
    const repository = new BenchRepository(work, program, options);
    try {
      await repository.init();
      await repository.run(repository.snapshot());
      kept.push(repository);
    } catch (error) {
      if (!(error instanceof ChildFailed)) throw error;
      console.error(error.message);
      process.exitCode = 1;
    }
  }
  return kept;
}
