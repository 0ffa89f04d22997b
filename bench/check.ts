/**
 * Checking a repository of one snapshot: `npm run bench -- check`, `plain` as a program does it
 * unless told more, and `read-data` with everything read and verified. The programs check different
 * things when told nothing: restic and varve read no data, borg reads all of it for its check sums.
 */
import type { Argv, Place } from '../src/cli/benchmark/programs.ts';
import type { BenchProgram } from './peers.ts';
import { type BenchRun, keepRepositories, runProcessBench } from './process-bench.ts';
import type { BenchRepository } from './repositories.ts';
import type { Contender } from './rounds.ts';

type Check = (place: Place) => Argv;

export async function run(args: string[]): Promise<void> {
  const bench = { name: 'check', cases: ['plain', 'read-data'], casesChanging: [], measure };
  await runProcessBench(bench, args);
}

async function measure(bench: BenchRun): Promise<void> {
  const programs = bench.programs.filter(({ check, checkReadData }) => check ?? checkReadData);
  const repositories = await keepRepositories(bench, programs);
  const contenders = (commandOf: (program: BenchProgram) => Check | undefined): Contender[] =>
    repositories.flatMap((repository) => {
      const command = commandOf(repository.program);
      return command === undefined ? [] : [check(repository, command)];
    });
  const { isWanted, measureCase } = bench;
  if (isWanted('plain'))
    await measureCase(
      'plain',
      contenders((program) => program.check),
    );
  if (isWanted('read-data')) {
    const readers = contenders(({ checkReadData }) => checkReadData);
    await measureCase('read-data', readers);
  }
  for (const repository of repositories) repository.remove();
}

/** An exit code other than 0 is never partial here: it would be a finding. */
function check(repository: BenchRepository, command: Check): Contender {
  return {
    name: repository.program.name,
    codesPartial: [],
    prepare: () => repository.command(command),
    finish: () => undefined,
  };
}
