/** `varve stats`: how much there is, and how much it takes. */
import type { Command } from 'commander';
import type { Repository, Snapshot, Stats } from '../../index.ts';
import { exitCodes } from '../exit-code.ts';
import { formatBytes, formatCount } from '../format.ts';
import { addFilterOptions, type CommonOptions, type FilterOptions, filterOf } from '../options.ts';
import type { Output } from '../output.ts';
import { type Runtime, withRepository } from '../runtime.ts';
import { addSelectorHelp } from '../snapshot-path.ts';
import { formatTable } from '../table.ts';

interface StatsOptions extends CommonOptions, FilterOptions {}

export function addStatsCommand(program: Command, runtime: Runtime): void {
  const command = program
    .command('stats')
    .summary('tell how much there is')
    .description(
      'Tell how much a snapshot holds and what that takes; without one, all snapshots, and what ' +
        'the repository takes. Each size has a factor: how many bytes of files there are to one ' +
        'of it.',
    )
    .argument('[snapshot]', 'a snapshot');
  addSelectorHelp(addFilterOptions(command)).action(async (selector: string | undefined) => {
    runtime.exitCode = await stats(runtime, selector, command.optsWithGlobals<StatsOptions>());
  });
}

async function stats(
  runtime: Runtime,
  selector: string | undefined,
  options: StatsOptions,
): Promise<number> {
  const { output, signal } = runtime;
  const result = await withRepository(runtime, options, async (repository) => {
    const snapshots = await chooseSnapshots(repository, selector, options);
    return await repository.stats({ snapshots, signal, onProgress: output.onProgress });
  });
  output.endProgress();
  if (output.isJson) printJson(output, result);
  else printTable(output, result);
  return exitCodes.done;
}

/** Undefined where all are meant, and the repository with them. */
async function chooseSnapshots(
  repository: Repository,
  selector: string | undefined,
  options: FilterOptions,
): Promise<Snapshot[] | undefined> {
  const filter = filterOf(options);
  if (selector !== undefined) return [await repository.select(selector, filter)];
  if (Object.values(filter).every((value) => value === undefined)) return undefined;
  return (await repository.snapshots(filter)).snapshots;
}

function printJson(output: Output, result: Stats): void {
  const { rawSize, uniqueSize, compressedSize, stored } = result;
  output.event('summary', {
    code: exitCodes.done,
    snapshots_count: result.snapshots,
    total_file_count: result.files,
    total_directory_count: result.directories,
    total_other_count: result.others,
    total_blob_count: result.blobs,
    raw_size: rawSize,
    unique_size: uniqueSize,
    unique_factor: factorOf(rawSize, uniqueSize),
    delta_size: result.deltaSize,
    compressed_size: compressedSize,
    compressed_factor: factorOf(rawSize, compressedSize),
    pack_count: stored?.packs,
    stored_size: stored?.storedSize,
    stored_factor: stored && factorOf(rawSize, stored.storedSize),
  });
}

function printTable(output: Output, result: Stats): void {
  const { snapshots, files, directories, others, blobs, rawSize, stored } = result;
  const row = (name: string, size: number, note = ''): string[] => {
    const factor = factorOf(rawSize, size);
    return [name, formatBytes(size), factor === undefined ? '' : `${factor.toFixed(2)} : 1`, note];
  };
  const rows = [
    ['raw', formatBytes(rawSize), '', entryCounts({ files, directories, others })],
    row('unique', result.uniqueSize, formatCount(blobs, 'blob')),
    ['as deltas', formatBytes(result.deltaSize), '', ''],
    row('compressed', result.compressedSize),
  ];
  if (stored !== undefined) {
    rows.push(row('stored', stored.storedSize, formatCount(stored.packs, 'pack')));
  }
  output.result(formatCount(snapshots, 'snapshot'));
  for (const line of formatTable(rows, ['left', 'right', 'right', 'left'])) {
    output.result(`  ${line}`);
  }
}

function entryCounts(counts: Pick<Stats, 'files' | 'directories' | 'others'>): string {
  const { files, directories, others } = counts;
  const parts = [formatCount(files, 'file'), formatCount(directories, 'directory', 'directories')];
  if (others > 0) parts.push(formatCount(others, 'other entry', 'other entries'));
  return parts.join(', ');
}

/** Undefined where there is nothing to compare. */
function factorOf(rawSize: bigint, size: number): number | undefined {
  return size === 0 ? undefined : Number(rawSize) / size;
}
