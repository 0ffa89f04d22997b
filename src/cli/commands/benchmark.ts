/** `varve benchmark`: what varve would save of data that somebody has. */
import { tmpdir } from 'node:os';
import type { Command } from 'commander';
import type { SourceError } from '../../errors.ts';
import { benchmarkLines, failuresOf, runFields } from '../benchmark/report.ts';
import { type BenchmarkResult, runBenchmark } from '../benchmark/run-benchmark.ts';
import { exitCodes, UsageError } from '../exit-code.ts';
import { FailedPaths } from '../failed-paths.ts';
import type { CommonOptions } from '../options.ts';
import type { Output } from '../output.ts';
import { absoluteArgument } from '../raw-argument.ts';
import type { Runtime } from '../runtime.ts';
import { savingsFields } from '../savings.ts';

interface BenchmarkOptions extends CommonOptions {
  scratch?: string;
  compare?: boolean;
}

export function addBenchmarkCommand(program: Command, runtime: Runtime): void {
  const command = program
    .command('benchmark')
    .summary('tell what would be saved of some data')
    .description(
      'Try varve on data of yours: save each PATH in turn as a version of the same, with similarity ' +
        'and without, then restore. Tells what was stored and how long it took. The data is only ' +
        'read; a scratch directory holds everything that is made, and is removed.',
    )
    .argument('<path...>', 'files or directories, each a version of the same, oldest first')
    .option('--compare', 'do the same with restic and borg, where they are')
    .option('--scratch <directory>', 'where the scratch directory is made')
    .addHelpText(
      'after',
      '\nOf one PATH a first snapshot and an unchanged one are taken. Several PATHs are\n' +
        'copied to one place in turn, as if the data there had changed.\n' +
        '\nThe scratch directory takes what is stored and a restored version; with several\n' +
        'PATHs a version more. It is made among temporary files, which may be in memory:\n' +
        'name a directory on a disk if they are.\n' +
        '\nExamples:\n  varve benchmark /home/alice/documents' +
        '\n  varve benchmark --compare --scratch /mnt/big monday.sql tuesday.sql' +
        '\n  varve benchmark release-1.0 release-1.1 release-1.2',
    )
    .action(async (paths: string[]) => {
      const options = command.optsWithGlobals<BenchmarkOptions>();
      runtime.exitCode = await benchmark(runtime, paths, options);
    });
}

async function benchmark(
  { output, signal }: Runtime,
  paths: readonly string[],
  options: BenchmarkOptions,
): Promise<number> {
  if (paths.includes('')) throw new UsageError('a path to save is empty');
  const { scratch = tmpdir(), compare: isComparing = false } = options;
  const failed = new FailedPaths();
  let errorCount = 0;
  const result = await runBenchmark({
    paths: paths.map(absoluteArgument),
    parent: scratch,
    isComparing,
    varveSettings: settingsOf(options),
    signal,
    onProgress: output.onProgress,
    onStep: (step) => {
      output.startClock();
      output.detail(step);
    },
    onError: (error) => {
      errorCount += 1;
      tellProblem(output, error);
      failed.add(error.reason, error.path);
    },
  });
  output.endProgress();
  const failures = failuresOf(result);
  const code = errorCount + failures.length > 0 ? exitCodes.partial : exitCodes.done;
  if (output.isJson) {
    printJson(output, result, { code, errorCount });
    return code;
  }
  for (const line of benchmarkLines(result)) output.result(line);
  for (const failure of failures) output.notice(failure);
  const { notFound } = result;
  if (notFound.length > 0) output.notice(`not found on the PATH: ${notFound.join(', ')}`);
  failed.report(output, 'Not saved, or not as it is');
  return code;
}

function tellProblem(output: Output, error: SourceError): void {
  const { message, operation: during, reason: code, path: item } = error;
  output.problem({ message, during, code, item, error });
}

/** What the user says of threads and memory holds for the runs that are measured. */
function settingsOf({ jobs, memory }: CommonOptions): Record<string, string> {
  return {
    ...(jobs !== undefined && { VARVE_JOBS: String(jobs) }),
    ...(memory !== undefined && { VARVE_MEMORY: String(memory) }),
  };
}

function printJson(
  output: Output,
  { versionCount, runs, savings, notFound }: BenchmarkResult,
  { code, errorCount }: { code: number; errorCount: number },
): void {
  for (const run of runs) output.event('benchmark', runFields(run, savings.rawSize));
  output.event('summary', {
    code,
    versions: versionCount,
    ...savingsFields(savings),
    not_found: notFound,
    error_count: errorCount,
  });
}
