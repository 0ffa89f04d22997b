/** `varve ls`: what is in a snapshot. */
import type { Command } from 'commander';
import { printable } from '../../util/printable.ts';
import { longLine, nodeFields } from '../entry-text.ts';
import { exitCodes } from '../exit-code.ts';
import { addFilterOptions, type CommonOptions, type FilterOptions } from '../options.ts';
import { type Runtime, withRepository } from '../runtime.ts';
import { addSelectorHelp, parseSnapshotPath, selectSnapshotPath } from '../snapshot-path.ts';
import { snapshotFields } from './snapshots.ts';

interface LsOptions extends CommonOptions, FilterOptions {
  recursive?: boolean;
  long?: boolean;
}

export function addLsCommand(program: Command, runtime: Runtime): void {
  const command = program
    .command('ls')
    .summary('list what is in a snapshot')
    .description('List a directory of a snapshot, or one entry of it.')
    .argument('<snapshot[:path]>', 'a snapshot, or a path in one')
    .option('-R, --recursive', 'list everything below, too')
    .option('-l, --long', 'mode, owner, size and time as well');
  addSelectorHelp(addFilterOptions(command))
    .addHelpText('after', '\nExample:\n  varve ls --repo /mnt/backup/varve -l latest:/home/alice')
    .action(async (operand: string) => {
      runtime.exitCode = await ls(runtime, operand, command.optsWithGlobals<LsOptions>());
    });
}

async function ls(runtime: Runtime, operand: string, options: LsOptions): Promise<number> {
  const { output, signal } = runtime;
  const text = parseSnapshotPath(operand);
  const { recursive: isRecursive, long: isLong = false } = options;
  return await withRepository(runtime, options, async (repository) => {
    const chosen = await selectSnapshotPath(repository, { output, text, filter: options });
    if (output.isJson) output.event('snapshot', snapshotFields(chosen.snapshot));
    let count = 0;
    for await (const listed of repository.list({ ...chosen, isRecursive, signal })) {
      count += 1;
      if (output.isJson) output.event('node', nodeFields(listed));
      else output.result(isLong ? longLine(listed) : printable(listed.path));
      await output.drain();
    }
    if (output.isJson) output.event('summary', { code: exitCodes.done, entries: count });
    return exitCodes.done;
  });
}
