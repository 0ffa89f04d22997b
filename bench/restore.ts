/**
 * Restoring a whole snapshot: `npm run bench -- restore`. Each run restores into a new directory on
 * the file system of the repository. Whether all bytes came back is looked at, not their content.
 */

import { removeTree } from '../src/cli/benchmark/scratch.ts';
import { type BenchRun, keepRepositories, runProcessBench } from './process-bench.ts';
import { type Source, sizeOf } from './process-options.ts';
import type { BenchRepository } from './repositories.ts';
import type { Contender } from './rounds.ts';

const caseName = 'whole';

export async function run(args: string[]): Promise<void> {
  const bench = { name: 'restore', cases: [caseName], casesChanging: [], measure };
  await runProcessBench(bench, args);
}

async function measure(bench: BenchRun): Promise<void> {
  const repositories = await keepRepositories(bench, bench.programs);
  const contenders = repositories.map((repository) => restore(repository, bench.source));
  await bench.measureCase(caseName, contenders);
  for (const repository of repositories) repository.remove();
}

function restore(repository: BenchRepository, source: Source): Contender {
  const { name, codesPartial } = repository.program;
  return {
    name,
    codesPartial,
    prepare: () => repository.restore(),
    finish: () => {
      const restoredSize = sizeOf(repository.target);
      if (restoredSize !== source.size) {
        console.error(`${name} restored ${restoredSize} of ${source.size} bytes`);
      }
      removeTree(repository.target);
      return undefined;
    },
  };
}
