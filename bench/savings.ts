/**
 * How much is stored of many versions of the same: `npm run bench -- savings`. Every program takes a
 * snapshot of each version of a data set in turn and restores two of them (savings/history.ts); what
 * is compared above all is the size of the repositories. Sets are made from seeds and from what the
 * machine has (savings/data-sets.ts).
 */
import { join } from 'node:path';
import { versionOf, withSnapshotOptions } from '../src/cli/benchmark/programs.ts';
import { describeMachine } from './machine.ts';
import { type BenchProgram, ownProgram, peers } from './peers.ts';
import { type DataSet, keptSets, prepareDataSet, recipesOf } from './savings/data-sets.ts';
import { type HistoryResult, runHistories } from './savings/history.ts';
import { parseSavingsOptions, type SavingsOptions } from './savings/options.ts';
import { type SetResult, writeReport } from './savings/report.ts';
import { UsageError } from './sizes.ts';
import { type Work, withWorkDirectory } from './work-directory.ts';

export async function run(args: string[]): Promise<void> {
  const options = parseSavingsOptions(args);
  const programs = findPrograms(options.tools);
  await withWorkDirectory(options.parent, async (work) => {
    const versions = Object.fromEntries([...programs].map(([{ name }, text]) => [name, text]));
    const about = { machine: describeMachine(work.directory), versions };
    const sets: SetResult[] = [];
    let page = '';
    for await (const set of prepareSets(work, options)) {
      sets.push(
        await measureSet(work, set, { programs: [...programs.keys()], runs: options.runs }),
      );
      page = writeReport(options.resultsDirectory, about, sets);
    }
    console.log(page);
  });
}

/** All that can save many versions in one repository, as far as they are wanted and there. */
function findPrograms(wanted: readonly string[] | undefined): Map<BenchProgram, string> {
  const own = [
    withSnapshotOptions(ownProgram, ['--similarity', 'on']),
    { ...withSnapshotOptions(ownProgram, ['--similarity', 'off']), name: 'varve-off' },
  ];
  const known = [...own, ...peers.filter(({ isIncremental }) => isIncremental)];
  for (const name of wanted ?? []) {
    if (known.some((program) => program.name === name)) continue;
    throw new UsageError(`no tool "${name}", only ${known.map((one) => one.name).join(', ')}`);
  }
  const found = new Map<BenchProgram, string>();
  for (const program of known) {
    if (wanted !== undefined && !wanted.includes(program.name)) continue;
    const version = versionOf(program);
    if (version === undefined) console.error(`${program.name} is not there`);
    else found.set(program, version);
  }
  return found;
}

/** One set after the other, so that measuring begins before all are made. */
async function* prepareSets(work: Work, options: SavingsOptions): AsyncGenerator<DataSet> {
  const { setsDirectory = join(work.directory, 'sets'), sources, words, versionCountMax } = options;
  const recipes = recipesOf(sources, words);
  const known = [...new Set([...recipes.map(({ name }) => name), ...keptSets(setsDirectory)])];
  const wanted = options.only ?? known;
  for (const name of wanted) {
    if (known.includes(name)) continue;
    throw new UsageError(`no set "${name}", only ${known.join(', ')}; --git adds some`);
  }
  for (const name of wanted) {
    const recipe = recipes.find((one) => one.name === name);
    yield await prepareDataSet(setsDirectory, name, {
      recipe,
      versionCountMax,
      signal: work.signal,
    });
  }
}

async function measureSet(
  work: Work,
  set: DataSet,
  options: { programs: readonly BenchProgram[]; runs: number },
): Promise<SetResult> {
  const { programs, runs } = options;
  const { name, about, versions } = set;
  const results = programs.map(({ name: program }): HistoryResult => ({ program, histories: [] }));
  for (let run = 0; run < runs; run++) await runHistories(work, set, programs, results);
  if (results.some(({ failure }) => failure !== undefined)) process.exitCode = 1;
  return { name, about, versions, results };
}
