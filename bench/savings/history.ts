/**
 * One data set through all programs: each version is laid over the last one under the same path, and
 * every program takes its snapshot of it before the next one comes. Then the last and a middle
 * version are restored and compared with what they were. A program that fails is left out from there
 * on.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ChildFailed, type Command } from '../../src/cli/benchmark/child.ts';
import { layVersion } from '../../src/cli/benchmark/lay-version.ts';
import { removeTree } from '../../src/cli/benchmark/scratch.ts';
import { openRepository } from '../../src/repository/open-repository.ts';
import { openStorage } from '../../src/storage/location.ts';
import { measure, type Sample } from '../measure.ts';
import type { BenchProgram } from '../peers.ts';
import { sizeOf } from '../process-options.ts';
import { BenchRepository } from '../repositories.ts';
import type { Work } from '../work-directory.ts';
import type { DataSet, Version } from './data-sets.ts';
import { countDecodings, type Decodings } from './decodings.ts';
import { differences } from './version-tree.ts';

export interface Restored extends Sample {
  version: string;
  /** Bytes that the program and its children got from read calls, its own code included. */
  readSize: number;
}

/** What one program did with all versions once. */
export interface History {
  /** In the order of the versions. */
  snapshots: Sample[];
  /** Bytes of all files of the repository. */
  storedSize: number;
  /** Of these, frames with content of files; of varve only. */
  dataSize?: number;
  /** Of the chunks of the last version; of varve only. */
  decodings?: Decodings;
  last?: Restored;
  /** Missing where a program cannot restore an older snapshot by its name. */
  middle?: Restored;
}

export interface HistoryResult {
  program: string;
  /** One of each run. */
  histories: History[];
  /** Why there are no more. */
  failure?: string;
}

const differencesShownMax = 3;

/** Bytes read are added to those of the shell as its child ends. */
const countReads = 'counts=$1; shift; "$@"; code=$?; cat /proc/$$/io > "$counts"; exit $code';

/** Runs all programs over the set once, the first one another each time, and adds to the results. */
export async function runHistories(
  work: Work,
  set: DataSet,
  programs: readonly BenchProgram[],
  results: HistoryResult[],
): Promise<void> {
  const live = join(work.directory, 'data');
  const runners = programs.map((program, i): Runner => {
    const repository = new BenchRepository(work, program, { label: set.name, sources: [live] });
    return { work, set, repository, live, result: results[i]!, history: newHistory() };
  });
  await turn(runners, 0, ({ repository }) => repository.init());
  for (const [i, version] of set.versions.entries()) {
    await layVersion(live, set.directoryOf(version), work);
    await turn(runners, i, takeSnapshot);
    console.error(`${set.name}: ${version.name}, ${i + 1} of ${set.versions.length}`);
  }
  await turn(runners, 0, measureStored);
  await turn(runners, 0, restoreVersions);
  for (const { repository, result, history } of runners) {
    repository.remove();
    if (result.failure === undefined) result.histories.push(history);
  }
  removeTree(live);
}

interface Runner {
  work: Work;
  set: DataSet;
  live: string;
  repository: BenchRepository;
  result: HistoryResult;
  history: History;
}

function newHistory(): History {
  return { snapshots: [], storedSize: 0 };
}

/** Lets each do its step with all that was written before on the disk. */
async function turn(
  runners: readonly Runner[],
  first: number,
  step: (runner: Runner) => Promise<void>,
): Promise<void> {
  for (let i = 0; i < runners.length; i++) {
    const runner = runners[(first + i) % runners.length]!;
    if (runner.result.failure !== undefined) continue;
    execFileSync('sync', ['-f', runner.work.directory]);
    try {
      await step(runner);
    } catch (error) {
      if (!(error instanceof ChildFailed)) throw error;
      runner.result.failure = error.message;
      console.error(error.message);
    }
  }
}

/** A snapshot that leaves anything out is a failure here: a saving by it would be none. */
async function takeSnapshot({ work, repository, history }: Runner): Promise<void> {
  history.snapshots.push(await measure(repository.snapshot(), { signal: work.signal }));
}

async function measureStored({ repository, history }: Runner): Promise<void> {
  history.storedSize = sizeOf(repository.path);
  const { stats } = repository.program;
  if (stats === undefined) return;
  const { argv, environment } = repository.command(stats);
  const [program = '', ...args] = argv;
  const answer = execFileSync(program, args, { env: environment, encoding: 'utf8' });
  const summary = answer.trim().split('\n').at(-1)!;
  const { compressed_size } = JSON.parse(summary) as { compressed_size: number };
  history.dataSize = compressed_size;
  history.decodings = await readDecodings(repository.path, environment['VARVE_PASSWORD']);
}

/** With a cache and a state of its own, so that those of the program stay as they are. */
async function readDecodings(path: string, passphrase: string | undefined): Promise<Decodings> {
  const home = mkdtempSync(join(dirname(path), 'decodings-'));
  const storage = await openStorage(path);
  const repository = await openRepository({
    storage,
    askPassphrase: async () => passphrase,
    cacheDirectory: join(home, 'cache'),
    stateDirectory: join(home, 'state'),
  });
  try {
    return await countDecodings(repository);
  } finally {
    await repository.close();
    removeTree(home);
  }
}

async function restoreVersions(runner: Runner): Promise<void> {
  const { set, history, repository } = runner;
  const last = set.versions.length - 1;
  history.last = await restoreVersion(runner, last);
  if (repository.program.restoresLast || last === 0) return;
  history.middle = await restoreVersion(runner, last >> 1);
}

async function restoreVersion(runner: Runner, i: number): Promise<Restored> {
  const { work, set, repository, live } = runner;
  const version: Version = set.versions[i]!;
  const counts = join(work.directory, 'io');
  const command = repository.restore(i);
  const argv = ['sh', '-c', countReads, 'sh', counts, ...command.argv];
  const counted: Command = { ...command, argv };
  try {
    const sample = await measure(counted, { signal: work.signal });
    const readSize = Number(/^rchar: (\d+)$/m.exec(readFileSync(counts, 'latin1'))?.[1]);
    const wrong = differences(set.directoryOf(version), join(repository.target, live));
    if (wrong.length > 0) {
      const shown = wrong.slice(0, differencesShownMax).join(', ');
      throw new ChildFailed(
        `${repository.program.name} restored ${version.name} with ${wrong.length} differences: ${shown}`,
      );
    }
    return { version: version.name, ...sample, readSize };
  } finally {
    removeTree(repository.target);
  }
}
