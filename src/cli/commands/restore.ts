/** `varve restore`: a snapshot, or a part of one, back into a directory. */
import { type Command, Option } from 'commander';
import {
  checkRestorePatterns,
  type Overwrite,
  type Repository,
  type RestorePatterns,
  type RestoreResult,
} from '../../index.ts';
import { printable } from '../../util/printable.ts';
import { errorCodeOf, exitCodes, UsageError } from '../exit-code.ts';
import { FailedPaths } from '../failed-paths.ts';
import { formatBytes, formatCount, formatElapsed, secondsOf } from '../format.ts';
import { addFilterOptions, type CommonOptions, collect, type FilterOptions } from '../options.ts';
import type { Output } from '../output.ts';
import { absoluteArgument, rawArgument } from '../raw-argument.ts';
import { type Runtime, withRepository } from '../runtime.ts';
import {
  addSelectorHelp,
  parseSnapshotPath,
  type SnapshotPathText,
  selectSnapshotPath,
} from '../snapshot-path.ts';

interface RestoreOptions extends CommonOptions, FilterOptions {
  target?: string;
  include?: string[];
  exclude?: string[];
  overwrite?: Overwrite;
  numericOwner?: boolean;
  specialFiles?: boolean;
  allXattrs?: boolean;
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
    .option('--target <directory>', 'restore into this directory')
    .option('--include <pattern>', 'restore only what fits; may be repeated', collect)
    .option('--exclude <pattern>', 'do not restore what fits; may be repeated', collect)
    .addOption(
      new Option('--overwrite <when>', 'restore onto what is there, and replace files').choices([
        'never',
        'if-changed',
        'if-newer',
        'always',
      ]),
    )
    .option('--numeric-owner', 'owners by number, not by name')
    .option('--special-files', 'make FIFOs and, as root, devices')
    .option('--all-xattrs', 'also trusted, SELinux and other such attributes');
  addSelectorHelp(addFilterOptions(command))
    .addHelpText(
      'after',
      '\nExamples:\n  varve restore --repo /mnt/backup/varve latest:/home/alice --target alice' +
        "\n  varve restore --include '*.txt' --exclude tmp latest --target texts",
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
  const patterns = patternsOf(options);
  const failed = new FailedPaths();
  const result = await withRepository(runtime, options, (repository) =>
    restoreInto(repository, { runtime, text, target, patterns, options, failed }),
  );
  output.endProgress();
  const code = result.errorCount > 0 ? exitCodes.partial : exitCodes.done;
  if (output.isJson) printJson(output, result, code);
  else printSummary(output, result, absoluteArgument(target));
  if (!output.isJson) failed.report(output, 'Not restored, or not as it was');
  return code;
}

/** @throws UsageError */
function patternsOf({ include = [], exclude = [] }: RestoreOptions): RestorePatterns {
  const patterns = { includes: include.map(rawArgument), excludes: exclude.map(rawArgument) };
  try {
    checkRestorePatterns(patterns);
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(error.message);
    throw error;
  }
  return patterns;
}

async function restoreInto(
  repository: Repository,
  call: {
    runtime: Runtime;
    text: SnapshotPathText;
    target: string;
    patterns: RestorePatterns;
    options: RestoreOptions;
    failed: FailedPaths;
  },
): Promise<RestoreResult> {
  const { runtime, text, target, patterns, options, failed } = call;
  const { output, signal } = runtime;
  const chosen = await selectSnapshotPath(repository, { output, text, filter: options });
  return await repository.restore({
    ...chosen,
    ...patterns,
    target: absoluteArgument(target),
    overwrite: options.overwrite,
    isNumericOwner: options.numericOwner,
    withSpecialFiles: options.specialFiles,
    withAllAttributes: options.allXattrs,
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
    entries_kept: result.kept,
    bytes_restored: result.bytes,
    owner_not_set: result.ownerNotSetCount,
    xattrs_left_out: result.attributesLeftOutCount,
    error_count: result.errorCount,
    seconds_elapsed: Math.round(secondsOf(result.durationNs)),
    total_duration: secondsOf(result.durationNs),
  });
}

function printSummary(output: Output, result: RestoreResult, target: Uint8Array): void {
  const { files, directories, others, bytes, ownerNotSetCount, attributesLeftOutCount } = result;
  const counts = [formatCount(files, 'file'), formatCount(directories, 'directory', 'directories')];
  if (others > 0) counts.push(formatCount(others, 'other entry', 'other entries'));
  const { kept } = result;
  output.report(
    `Restored ${counts.join(', ')} into ${printable(target)}`,
    ...(kept > 0 ? [`  kept     ${formatCount(kept, 'entry', 'entries')}`] : []),
    `  written  ${formatBytes(bytes)}`,
    `  time     ${formatElapsed(secondsOf(result.durationNs))}`,
  );
  if (ownerNotSetCount > 0) {
    output.notice(`owner or group of ${formatCount(ownerNotSetCount, 'entry', 'entries')} not set`);
  }
  if (attributesLeftOutCount > 0) {
    const count = formatCount(attributesLeftOutCount, 'attribute');
    output.notice(`${count} of trusted and security left out: see --all-xattrs`);
  }
}
