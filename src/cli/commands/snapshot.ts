/** `varve snapshot`: saves files and directories. */
import type { Command } from 'commander';
import { shortId } from '../../id.ts';
import type { ExcludeOptions, Repository, SnapshotResult, SourceError } from '../../index.ts';
import { printable } from '../../util/printable.ts';
import { addExcludeOptions, type ExcludeFlags, excludesOf } from '../exclude-options.ts';
import { exitCodes, UsageError } from '../exit-code.ts';
import { formatBytes, formatCount, formatElapsed, secondsOf } from '../format.ts';
import { type CommonOptions, collect } from '../options.ts';
import type { Output } from '../output.ts';
import { rawArgument } from '../raw-argument.ts';
import { type Runtime, withRepository } from '../runtime.ts';

/** So many paths are named in the summary; each was told of when it happened. */
const LISTED_ERROR_COUNT_MAX = 1000;

interface SnapshotOptions extends CommonOptions, ExcludeFlags {
  tag?: string[];
  host?: string;
  source?: string;
}

export function addSnapshotCommand(program: Command, runtime: Runtime): void {
  const command = program
    .command('snapshot')
    .aliases(['backup', 'create'])
    .summary('save files and directories')
    .description(
      'Save files and directories. What cannot be read is named and left out; the exit code is ' +
        'then 3. What is in the repository already is not stored again.',
    )
    .argument('<path...>', 'files and directories to save');
  addExcludeOptions(command)
    .option('--tag <tag>', 'give the snapshot a tag; may be repeated', collect)
    .option('--host <name>', 'save under this host name instead of the own one')
    .option('--source <name>', 'name of what is saved, instead of its paths')
    .addHelpText(
      'after',
      '\nExamples:\n  varve snapshot --repo /mnt/backup/varve --tag daily /home/alice /etc' +
        "\n  varve snapshot -x --exclude node_modules --exclude '*.tmp' /home/alice",
    )
    .action(async (paths: string[], _: unknown, command: Command) => {
      const options = command.optsWithGlobals<SnapshotOptions>();
      runtime.exitCode = await snapshot(runtime, paths, options);
    });
}

async function snapshot(
  runtime: Runtime,
  paths: readonly string[],
  options: SnapshotOptions,
): Promise<number> {
  if (paths.includes('')) throw new UsageError('a path to save is empty');
  const { output } = runtime;
  const errors: SourceError[] = [];
  const excludes = excludesOf(options);
  const result = await withRepository(runtime, options, (repository) =>
    takeSnapshot(repository, { runtime, paths, options, excludes, errors }),
  );
  output.endProgress();
  const exitCode = exitCodeOfResult(result);
  if (output.isJson) printJson(output, result, exitCode);
  else printSummary(output, result, errors);
  return exitCode;
}

async function takeSnapshot(
  repository: Repository,
  call: {
    runtime: Runtime;
    paths: readonly string[];
    options: SnapshotOptions;
    excludes: ExcludeOptions;
    errors: SourceError[];
  },
): Promise<SnapshotResult> {
  const { runtime, paths, options, excludes, errors } = call;
  const { output, signal } = runtime;
  return await repository.snapshot({
    paths: paths.map(rawArgument),
    host: options.host,
    source: options.source,
    tags: options.tag,
    excludes,
    signal,
    onProgress: output.onProgress,
    onError: (error) => {
      if (errors.length < LISTED_ERROR_COUNT_MAX) errors.push(error);
      const { message, operation: during, reason: code, path: item } = error;
      output.problem({ message, during, code, item, error });
    },
  });
}

function exitCodeOfResult({ isForgotten, errorCount }: SnapshotResult): number {
  if (isForgotten) return exitCodes.failed;
  return errorCount > 0 ? exitCodes.partial : exitCodes.done;
}

function printJson(output: Output, result: SnapshotResult, code: number): void {
  output.event('summary', {
    code,
    snapshot_id: result.id,
    forgotten: result.isForgotten,
    total_files_processed: result.files,
    total_directories_processed: result.directories,
    total_others_processed: result.others,
    total_excluded: result.excluded,
    total_bytes_processed: result.bytes,
    data_blobs: result.newBlobs,
    data_added: result.newBytes,
    data_compressed: result.compressedBytes,
    data_added_packed: result.storedBytes,
    error_count: result.errorCount,
    total_duration: secondsOf(result.durationNs),
  });
}

function printSummary(
  output: Output,
  result: SnapshotResult,
  errors: readonly SourceError[],
): void {
  const { id, files, directories, others, excluded, bytes, errorCount } = result;
  const counts = [formatCount(files, 'file'), formatCount(directories, 'directory', 'directories')];
  if (others > 0) counts.push(formatCount(others, 'other entry', 'other entries'));
  output.report(
    `Snapshot ${shortId(id)} (${id})`,
    `  saved       ${counts.join(', ')}`,
    ...(excluded > 0 ? [`  left out    ${formatCount(excluded, 'entry', 'entries')}`] : []),
    `  read        ${formatBytes(bytes)}`,
    `  new         ${formatBytes(result.newBytes)} in ${formatCount(result.newBlobs, 'blob')}`,
    `  compressed  ${formatBytes(result.compressedBytes)}`,
    `  written     ${formatBytes(result.storedBytes)}${ratio(result)}`,
    `  time        ${formatElapsed(secondsOf(result.durationNs))}`,
  );
  if (result.isForgotten) output.notice('the snapshot was forgotten by somebody at once');
  if (errorCount === 0) return;
  output.report(`Not saved, or not as it is: ${formatCount(errorCount, 'path')}`);
  for (const { reason, path } of errors) output.report(`  ${reason}  ${printable(path)}`);
  const unnamed = errorCount - errors.length;
  if (unnamed > 0) output.report(`  and ${unnamed.toLocaleString('en')} more`);
}

/** How many bytes were read for each that was written. */
function ratio({ bytes, storedBytes }: SnapshotResult): string {
  if (bytes === 0n || storedBytes === 0) return '';
  return `, ratio ${(Number(bytes) / storedBytes).toFixed(2)} : 1`;
}
