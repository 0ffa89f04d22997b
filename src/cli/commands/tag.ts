/** `varve tag`: other tags for snapshots. */
import type { Command } from 'commander';
import { shortId } from '../../id.ts';
import { encodeUtf8 } from '../../util/bytes.ts';
import { printable } from '../../util/printable.ts';
import { exitCodes, UsageError } from '../exit-code.ts';
import { formatCount } from '../format.ts';
import {
  addFilterOptions,
  type CommonOptions,
  collect,
  type FilterOptions,
  filterOf,
} from '../options.ts';
import { type Runtime, withRepository } from '../runtime.ts';
import { addSelectorHelp } from '../snapshot-path.ts';

interface TagOptions extends CommonOptions, FilterOptions {
  add?: string[];
  remove?: string[];
  set?: string[];
}

export function addTagCommand(program: Command, runtime: Runtime): void {
  const command = program
    .command('tag')
    .summary('change the tags of snapshots')
    .description(
      'Change the tags of snapshots: those that are named, or all that --host and the like leave. ' +
        'Each is stored anew, under another id, and the old one is forgotten.',
    )
    .argument('[snapshot...]', 'snapshots; default: all')
    .option('--add <tag>', 'give this tag; may be repeated', collect)
    .option('--remove <tag>', 'take this tag away; may be repeated', collect)
    .option('--set <tag>', 'have these tags and no others; may be repeated', collect);
  addSelectorHelp(addFilterOptions(command))
    .addHelpText(
      'after',
      `
Examples:
  varve tag --repo /mnt/backup/varve --add keep latest
  varve tag --remove daily --add monthly --tag daily @2026-01-31`,
    )
    .action(async (selectors: string[]) => {
      runtime.exitCode = await tag(runtime, selectors, command.optsWithGlobals<TagOptions>());
    });
}

async function tag(
  runtime: Runtime,
  selectors: readonly string[],
  options: TagOptions,
): Promise<number> {
  const { output, signal } = runtime;
  const { add, remove, set } = options;
  if (add === undefined && remove === undefined && set === undefined) {
    throw new UsageError('nothing to change: use --add, --remove or --set');
  }
  const { changed, unchangedCount } = await withRepository(runtime, options, (repository) =>
    repository.retag({
      snapshots: selectors.length > 0 ? selectors : undefined,
      filter: filterOf(options),
      add,
      remove,
      set,
      signal,
    }),
  );
  for (const { id, newId, tags } of changed) {
    if (output.isJson) {
      output.event('changed', { old_snapshot_id: id, new_snapshot_id: newId, tags });
    } else {
      const list = tags.map((one) => printable(encodeUtf8(one))).join(', ') || 'no tags';
      output.report(`${shortId(id)} is now ${shortId(newId)}  ${list}`);
    }
  }
  const code = exitCodes.done;
  if (output.isJson) {
    output.event('summary', {
      code,
      changed_snapshots: changed.length,
      unchanged_snapshots: unchangedCount,
    });
  } else output.report(`Changed the tags of ${formatCount(changed.length, 'snapshot')}`);
  return code;
}
