/**
 * Taking snapshots: `npm run bench -- snapshot`. `first` goes to an empty repository, a new one for
 * each run; `unchanged` and `changed` to one that has the snapshot before, with nothing changed and
 * with 1 % changed since (corpus-change.ts). What is stored is what a run adds to its repository.
 */
import { changeALittle } from './corpus-change.ts';
import type { BenchProgram } from './peers.ts';
import { type BenchRun, keepRepositories, runProcessBench } from './process-bench.ts';
import { sizeOf } from './process-options.ts';
import { BenchRepository } from './repositories.ts';
import type { Contender } from './rounds.ts';

export async function run(args: string[]): Promise<void> {
  const bench = {
    name: 'snapshot',
    cases: ['first', 'unchanged', 'changed'],
    casesChanging: ['changed'],
    measure,
  };
  await runProcessBench(bench, args);
}

async function measure(bench: BenchRun): Promise<void> {
  const { programs, source, isWanted, measureCase } = bench;
  if (isWanted('first')) {
    const contenders = programs.map((program) => firstSnapshot(bench, program));
    await measureCase('first', contenders);
  }
  if (!isWanted('unchanged') && !isWanted('changed')) return;
  const incremental = programs.filter(({ isIncremental }) => isIncremental);
  const repositories = await keepRepositories(bench, incremental);
  const contenders = repositories.map(nextSnapshot);
  if (isWanted('unchanged')) await measureCase('unchanged', contenders);
  if (isWanted('changed')) {
    const beforeRound = (round: number): void => changeALittle(source.paths, round);
    await measureCase('changed', contenders, { beforeRound });
  }
  for (const repository of repositories) repository.remove();
}

function firstSnapshot({ work, source }: BenchRun, program: BenchProgram): Contender {
  const options = { label: 'new', sources: source.paths };
  let repository = new BenchRepository(work, program, options);
  let sizeBefore = 0;
  return {
    name: program.name,
    codesPartial: program.codesPartial,
    prepare: async () => {
      repository = new BenchRepository(work, program, options);
      await repository.init();
      sizeBefore = sizeOf(repository.path);
      return repository.snapshot();
    },
    finish: () => {
      const added = sizeOf(repository.path) - sizeBefore;
      repository.remove();
      return added;
    },
  };
}

function nextSnapshot(repository: BenchRepository): Contender {
  let sizeBefore = 0;
  return {
    name: repository.program.name,
    codesPartial: repository.program.codesPartial,
    prepare: () => {
      sizeBefore = sizeOf(repository.path);
      return repository.snapshot();
    },
    finish: () => sizeOf(repository.path) - sizeBefore,
  };
}
