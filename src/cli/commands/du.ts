/** `varve du`: what snapshots and directories hold, and what is stored for each of them alone. */
import type { Command } from 'commander';
import { shortId } from '../../id.ts';
import type { DirectorySize, ExclusiveSize, SnapshotSize, TreeSizes } from '../../index.ts';
import { printable } from '../../util/printable.ts';
import { exitCodes, UsageError } from '../exit-code.ts';
import { formatBytes, formatCount, formatLocalTime, secondsOfNs } from '../format.ts';
import { type JsonFields, outsideText, rfc3339OfNs } from '../json.ts';
import { addFilterOptions, type CommonOptions, type FilterOptions, filterOf } from '../options.ts';
import type { Output } from '../output.ts';
import { parseDepth } from '../parse-values.ts';
import { type Runtime, withRepository } from '../runtime.ts';
import { addSelectorHelp, parseSnapshotPath, selectSnapshotPath } from '../snapshot-path.ts';
import { formatTable } from '../table.ts';

interface DuOptions extends CommonOptions, FilterOptions {
  maxDepth?: number;
}

/** The longest text of a size is "1023.9 KiB". */
const sizeWidth = 10;

export function addDuCommand(program: Command, runtime: Runtime): void {
  const command = program
    .command('du')
    .summary('tell what would be free without a snapshot or directory')
    .description(
      'Tell how much the directories of a snapshot hold, and how much is stored for each of them ' +
        'alone: what could be freed if just this one were gone. Without a snapshot, the same of ' +
        'all snapshots.',
    )
    .argument('[snapshot[:path]]', 'a snapshot, or a path in one')
    .option('-d, --max-depth <n>', 'show directories down to n levels below', parseDepth);
  addSelectorHelp(addFilterOptions(command))
    .addHelpText('after', '\nExample:\n  varve du --repo /mnt/backup/varve -d 1 latest:/home')
    .action(async (operand: string | undefined) => {
      const options = command.optsWithGlobals<DuOptions>();
      if (operand !== undefined) {
        runtime.exitCode = await duTree(runtime, operand, options);
        return;
      }
      // A variable is for whoever names a snapshot.
      const isGiven = command.getOptionValueSource('maxDepth') === 'cli';
      if (isGiven) throw new UsageError('--max-depth needs a snapshot');
      runtime.exitCode = await duSnapshots(runtime, options);
    });
}

async function duSnapshots(runtime: Runtime, options: DuOptions): Promise<number> {
  const { output, signal } = runtime;
  const sizes = await withRepository(runtime, options, async (repository) => {
    const { snapshots } = await repository.snapshots(filterOf(options));
    return await repository.snapshotSizes({ snapshots, signal, onProgress: output.onProgress });
  });
  output.endProgress();
  if (output.isJson) {
    for (const size of sizes) output.event('snapshot_size', snapshotFields(size));
    output.event('summary', { code: exitCodes.done, snapshots: sizes.length });
    return exitCodes.done;
  }
  const rows = [['raw', 'exclusive', 'snapshot', 'time', 'host', 'source'], ...sizes.map(rowOf)];
  for (const line of formatTable(rows, ['right', 'right', 'left', 'left', 'left', 'left'])) {
    output.result(line);
  }
  output.report(formatCount(sizes.length, 'snapshot'));
  return exitCodes.done;
}

async function duTree(runtime: Runtime, operand: string, options: DuOptions): Promise<number> {
  const { output, signal } = runtime;
  const text = parseSnapshotPath(operand);
  const sizes = await withRepository(runtime, options, async (repository) => {
    const chosen = await selectSnapshotPath(repository, { output, text, filter: options });
    const { onProgress } = output;
    const { maxDepth: depthMax } = options;
    return await repository.treeSizes({ ...chosen, depthMax, signal, onProgress });
  });
  output.endProgress();
  await printTree(output, sizes);
  return exitCodes.done;
}

async function printTree(output: Output, { snapshot, directories }: TreeSizes): Promise<void> {
  if (output.isJson) output.event('snapshot_size', snapshotFields(snapshot));
  else {
    const { rawSize, exclusiveSize } = snapshot;
    const [raw, exclusive] = [formatBytes(rawSize), formatBytes(exclusiveSize)];
    output.result(
      `Snapshot ${shortId(snapshot.snapshot.id)} holds ${raw}; ${exclusive} are stored for it alone`,
    );
    output.result(sizeLine('raw', 'exclusive', 'path'));
  }
  let count = 0;
  for (const directory of directories) {
    count += 1;
    if (output.isJson) output.event('directory_size', directoryFields(directory));
    else output.result(lineOf(directory));
    await output.drain();
  }
  if (output.isJson) output.event('summary', { code: exitCodes.done, directories: count });
}

function lineOf({ rawSize, exclusiveSize, path }: DirectorySize): string {
  return sizeLine(formatBytes(rawSize), formatBytes(exclusiveSize), printable(path));
}

function sizeLine(raw: string, exclusive: string, path: string): string {
  return `${raw.padStart(sizeWidth)}  ${exclusive.padStart(sizeWidth)}  ${path}`;
}

function rowOf({ snapshot, rawSize, exclusiveSize }: SnapshotSize): string[] {
  const { host, source, startedNs } = snapshot.manifest;
  return [
    formatBytes(rawSize),
    formatBytes(exclusiveSize),
    shortId(snapshot.id),
    formatLocalTime(secondsOfNs(startedNs)),
    printable(host),
    printable(source),
  ];
}

function snapshotFields(size: SnapshotSize): JsonFields {
  const { id, manifest } = size.snapshot;
  return {
    id,
    short_id: shortId(id),
    time: rfc3339OfNs(manifest.startedNs),
    ...outsideText('hostname', manifest.host),
    ...outsideText('source', manifest.source),
    ...sizeFields(size),
  };
}

function directoryFields(size: DirectorySize): JsonFields {
  return { ...outsideText('path', size.path), ...sizeFields(size) };
}

function sizeFields({ rawSize, exclusiveSize, exclusiveBlobs }: ExclusiveSize): JsonFields {
  return {
    raw_size: rawSize,
    exclusive_size: exclusiveSize,
    exclusive_blob_count: exclusiveBlobs,
  };
}
