/** `varve restore`: a snapshot, or a part of one, back into a directory. */
import type { Command } from 'commander';
import type { Repository, RestoreResult } from '../../index.ts';
import { printable } from '../../util/printable.ts';
import { errorCodeOf, exitCodes, UsageError } from '../exit-code.ts';
import { FailedPaths } from '../failed-paths.ts';
import { formatBytes, formatCount, formatElapsed, secondsOf } from '../format.ts';
import { addFilterOptions, type CommonOptions, type FilterOptions } from '../options.ts';
import type { Output } from '../output.ts';
import { absoluteArgument } from '../raw-argument.ts';
import { type Runtime, withRepository } from '../runtime.ts';
import {
  addSelectorHelp,
  parseSnapshotPath,
  type SnapshotPathText,
  selectSnapshotPath,
} from '../snapshot-path.ts';

interface RestoreOptions extends CommonOptions, FilterOptions {
  target?: string;
}

export function addRestoreCommand(program: Command, runtime: Runtime): void {
  const command = program
    .command('restore')
    .alias('extract')
    .summary('restore a snapshot')
    .description(
      'Restore a snapshot, or a path of it, into a new or empty directory. A whole snapshot ' +
        'keeps its absolute paths below the target; of SNAPSHOT:PATH the target gets what is ' +
        'in that directory. What cannot be written is named; the exit code is then 3.',
    )
    .argument('<snapshot[:path]>', 'a snapshot, or a path in one')
    .option('--target <directory>', 'restore into this directory');
  addSelectorHelp(addFilterOptions(command))
    .addHelpText(
      'after',
      '\nExample:\n  varve restore --repo /mnt/backup/varve latest:/home/alice --target alice',
    )
    .action(async (operand: string) => {
      runtime.exitCode = await restore(runtime, operand, command.optsWithGlobals<RestoreOptions>());
    });
}

async function restore(
  runtime: Runtime,
  operand: string,
  options: RestoreOptions,
): Promise<number> {
  const { output } = runtime;
  const text = parseSnapshotPath(operand);
  const { target } = options;
  if (target === undefined) throw new UsageError('no --target named');
  const failed = new FailedPaths();
  const result = await withRepository(runtime, options, (repository) =>
    restoreInto(repository, { runtime, text, target, filter: options, failed }),
  );
  output.endProgress();
  const code = result.errorCount > 0 ? exitCodes.partial : exitCodes.done;
  if (output.isJson) printJson(output, result, code);
  else printSummary(output, result, absoluteArgument(target));
  if (!output.isJson) failed.report(output, 'Not restored, or not as it was');
  return code;
}

async function restoreInto(
  repository: Repository,
  call: {
    runtime: Runtime;
    text: SnapshotPathText;
    target: string;
    filter: FilterOptions;
    failed: FailedPaths;
  },
): Promise<RestoreResult> {
  const { runtime, text, target, filter, failed } = call;
  const { output, signal } = runtime;
  const chosen = await selectSnapshotPath(repository, { output, text, filter });
  return await repository.restore({
    ...chosen,
    target: absoluteArgument(target),
    signal,
    onProgress: output.onProgress,
    onError: (error, item) => {
      const [code, { message }] = [errorCodeOf(error), error];
      failed.add(code, item);
      output.problem({ message, during: 'restore', code, item, error });
    },
  });
}

function printJson(output: Output, result: RestoreResult, code: number): void {
  output.event('summary', {
    code,
    files_restored: result.files,
    directories_restored: result.directories,
    others_restored: result.others,
    bytes_restored: result.bytes,
    owner_not_set: result.ownerNotSetCount,
    error_count: result.errorCount,
    seconds_elapsed: Math.round(secondsOf(result.durationNs)),
    total_duration: secondsOf(result.durationNs),
  });
}

function printSummary(output: Output, result: RestoreResult, target: Uint8Array): void {
  const { files, directories, others, bytes, ownerNotSetCount } = result;
  const counts = [formatCount(files, 'file'), formatCount(directories, 'directory', 'directories')];
  if (others > 0) counts.push(formatCount(others, 'other entry', 'other entries'));
  output.report(
    `Restored ${counts.join(', ')} into ${printable(target)}`,
    `  written  ${formatBytes(bytes)}`,
    `  time     ${formatElapsed(secondsOf(result.durationNs))}`,
  );
  if (ownerNotSetCount > 0) {
    output.notice(`owner or group of ${formatCount(ownerNotSetCount, 'entry', 'entries')} not set`);
  }
}
