/** `varve snapshot`: saves files and directories. */
import { type Command, Option } from 'commander';
import { shortId } from '../../id.ts';
import type { EntryAction, Repository, Similarity, SnapshotResult } from '../../index.ts';
import { printable } from '../../util/printable.ts';
import { addExcludeOptions, type ExcludeFlags, excludesOf } from '../exclude-options.ts';
import { exitCodes, UsageError } from '../exit-code.ts';
import { FailedPaths } from '../failed-paths.ts';
import { formatBytes, formatCount, formatElapsed, secondsOf } from '../format.ts';
import { jsonLine, outsideText } from '../json.ts';
import { type CommonOptions, collect } from '../options.ts';
import type { Output } from '../output.ts';
import { parseTime } from '../parse-values.ts';
import { rawArgument } from '../raw-argument.ts';
import { type Runtime, withRepository } from '../runtime.ts';

interface SnapshotOptions extends CommonOptions, ExcludeFlags {
  tag?: string[];
  host?: string;
  source?: string;
  /** Nanoseconds since 1970. */
  time?: bigint;
  parent?: string;
  force?: boolean;
  dryRun?: boolean;
  similarity?: Similarity;
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
    .option('--time <time>', 'when it was taken, instead of now', parseTime)
    .option('--parent <id>', 'read only what changed since this snapshot')
    .option('--force', 'read everything, changed or not')
    .addOption(
      new Option('--similarity <when>', 'keep chunks as deltas against similar ones')
        .choices(['on', 'local', 'off'])
        .default('on'),
    )
    .option('-n, --dry-run', 'read and count, but store nothing')
    .addHelpText(
      'after',
      '\nA TIME is written 2026-01-31T12:00 where it is local, 2026-01-31T12:00:00+01:00\n' +
        'or 2026-01-31T11:00:00Z where it is not.\n' +
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
  const { dryRun: isDryRun = false } = options;
  const failed = new FailedPaths();
  const result = await withRepository(runtime, options, (repository) =>
    takeSnapshot(repository, { runtime, paths, options, failed }),
  );
  output.endProgress();
  const code = exitCodeOfResult(result);
  if (output.isJson) {
    output.event('summary', { code, dry_run: isDryRun, ...summaryFields(result, isDryRun) });
    return code;
  }
  output.report(...summaryLines(result, isDryRun));
  if (result.isForgotten) output.notice('the snapshot was forgotten by somebody at once');
  failed.report(output, 'Not saved, or not as it is');
  return code;
}

async function takeSnapshot(
  repository: Repository,
  call: {
    runtime: Runtime;
    paths: readonly string[];
    options: SnapshotOptions;
    failed: FailedPaths;
  },
): Promise<SnapshotResult> {
  const { runtime, paths, options, failed } = call;
  const { output, signal } = runtime;
  const { host, source, tag, time, parent, force, dryRun, similarity } = options;
  return await repository.snapshot({
    paths: paths.map(rawArgument),
    host: host === undefined ? undefined : rawArgument(host),
    source: source === undefined ? undefined : rawArgument(source),
    tags: tag,
    excludes: excludesOf(options),
    timeNs: time,
    parent,
    isForced: force,
    isDryRun: dryRun,
    similarity,
    signal,
    onProgress: output.onProgress,
    onEntry: output.isVerbose ? traceEntries(output) : undefined,
    onError: (error) => {
      const { message, operation: during, reason: code, path: item } = error;
      failed.add(code, item);
      output.problem({ message, during, code, item, error });
    },
  });
}

/** "unchanged  /home/alice/notes", or an event. */
function traceEntries(
  output: Output,
): (path: Uint8Array, action: EntryAction, size: number) => void {
  if (!output.isJson) {
    return (path, action) => output.trace(`${action.padEnd(9)}  ${printable(path)}`);
  }
  return (path, action, size) => {
    const named = action === 'changed' ? 'modified' : action;
    const fields = { action: named, ...outsideText('item', path), data_size: size };
    output.trace(jsonLine('verbose_status', fields));
  };
}

function exitCodeOfResult({ isForgotten, errorCount }: SnapshotResult): number {
  if (isForgotten) return exitCodes.failed;
  return errorCount > 0 ? exitCodes.partial : exitCodes.done;
}

function summaryFields(result: SnapshotResult, isDryRun: boolean) {
  return {
    snapshot_id: isDryRun ? undefined : result.id,
    forgotten: result.isForgotten,
    parent: result.parent,
    files_new: result.filesNew,
    files_changed: result.filesChanged,
    files_unmodified: result.filesUnchanged,
    total_files_processed: result.files,
    total_directories_processed: result.directories,
    total_others_processed: result.others,
    total_excluded: result.excluded,
    total_bytes_processed: result.bytes,
    bytes_read: result.bytesRead,
    data_blobs: result.newBlobs,
    data_added: result.newBytes,
    delta_blobs: result.deltaBlobs,
    data_delta: result.deltaBytes,
    data_delta_encoded: result.deltaEncodedBytes,
    data_compressed: result.compressedBytes,
    data_added_packed: result.storedBytes,
    error_count: result.errorCount,
    total_duration: secondsOf(result.durationNs),
  };
}

function summaryLines(result: SnapshotResult, isDryRun: boolean): string[] {
  const { id, parent, files, directories, others, excluded, newBlobs, bytes, bytesRead } = result;
  const counts = [formatCount(files, 'file'), formatCount(directories, 'directory', 'directories')];
  if (others > 0) counts.push(formatCount(others, 'other entry', 'other entries'));
  const size = bytesRead === bytes ? '' : ` of ${formatBytes(bytes)}`;
  return [
    isDryRun ? 'Dry run: nothing was stored. It would be:' : `Snapshot ${shortId(id)} (${id})`,
    `  saved       ${counts.join(', ')}`,
    ...(excluded > 0 ? [`  left out    ${formatCount(excluded, 'entry', 'entries')}`] : []),
    ...(parent === undefined
      ? []
      : [`  files       ${changesOf(result)} since ${shortId(parent)}`]),
    `  read        ${formatBytes(bytesRead)}${size}`,
    `  new         ${formatBytes(result.newBytes)} in ${formatCount(newBlobs, 'blob')}`,
    ...deltaLines(result),
    `  compressed  ${formatBytes(result.compressedBytes)}`,
    `  written     ${formatBytes(result.storedBytes)}${ratio(result)}`,
    `  time        ${formatElapsed(secondsOf(result.durationNs))}`,
  ];
}

/** What of the new data resembled what was there. */
function deltaLines({ deltaBlobs, deltaBytes, deltaEncodedBytes }: SnapshotResult): string[] {
  if (deltaBlobs === 0) return [];
  const sizes = `${formatBytes(deltaBytes)} to ${formatBytes(deltaEncodedBytes)}`;
  return [`  as deltas   ${sizes} in ${formatCount(deltaBlobs, 'blob')}`];
}

/** "1 new, 2 changed, 3 unchanged". */
function changesOf({ filesNew, filesChanged, filesUnchanged }: SnapshotResult): string {
  const counts = { new: filesNew, changed: filesChanged, unchanged: filesUnchanged };
  return Object.entries(counts)
    .map(([what, count]) => `${count.toLocaleString('en')} ${what}`)
    .join(', ');
}

/** How many bytes were read for each that was written. */
function ratio({ bytesRead, storedBytes }: SnapshotResult): string {
  if (bytesRead === 0n || storedBytes === 0) return '';
  return `, ratio ${(Number(bytesRead) / storedBytes).toFixed(2)} : 1`;
}
