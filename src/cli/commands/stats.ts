/** `varve stats`: how much there is, and how much it takes. */
import type { Command } from 'commander';
import type { Repository, Snapshot, Stats } from '../../index.ts';
import { exitCodes } from '../exit-code.ts';
import { formatCount } from '../format.ts';
import { addFilterOptions, type CommonOptions, type FilterOptions, filterOf } from '../options.ts';
import type { Output } from '../output.ts';
import { type Runtime, withRepository } from '../runtime.ts';
import { type Savings, savingsFields, savingsLines } from '../savings.ts';
import { addSelectorHelp } from '../snapshot-path.ts';

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
  output.event('summary', {
    code: exitCodes.done,
    snapshots_count: result.snapshots,
    total_file_count: result.files,
    total_directory_count: result.directories,
    total_other_count: result.others,
    total_blob_count: result.blobs,
    ...savingsFields(savingsOf(result)),
    pack_count: result.stored?.packs,
  });
}

function printTable(output: Output, result: Stats): void {
  const { snapshots, blobs, stored } = result;
  const lines = savingsLines(savingsOf(result), {
    raw: entryCounts(result),
    unique: formatCount(blobs, 'blob'),
    stored: formatCount(stored?.packs ?? 0, 'pack'),
  });
  output.result(formatCount(snapshots, 'snapshot'));
  for (const line of lines) output.result(`  ${line}`);
}

function savingsOf(result: Stats): Savings {
  return { ...result, storedSize: result.stored?.storedSize };
}

function entryCounts(counts: Pick<Stats, 'files' | 'directories' | 'others'>): string {
  const { files, directories, others } = counts;
  const parts = [formatCount(files, 'file'), formatCount(directories, 'directory', 'directories')];
  if (others > 0) parts.push(formatCount(others, 'other entry', 'other entries'));
  return parts.join(', ');
}
