/** `varve rewrite`: paths go from history. */
import type { Command } from 'commander';
import { shortId } from '../../id.ts';
import type { DroppedCounts, RewriteResult, RewrittenSnapshot } from '../../index.ts';
import { excludesOf } from '../exclude-options.ts';
import { exitCodes, UsageError } from '../exit-code.ts';
import { formatBytes, formatCount, formatLocalTime, secondsOfNs } from '../format.ts';
import type { JsonFields } from '../json.ts';
import {
  addFilterOptions,
  type CommonOptions,
  collect,
  type FilterOptions,
  filterOf,
} from '../options.ts';
import type { Output } from '../output.ts';
import { type Runtime, withRepository } from '../runtime.ts';
import { addSelectorHelp } from '../snapshot-path.ts';
import { formatTable } from '../table.ts';
import { askConsent } from '../terminal.ts';

interface RewriteOptions extends CommonOptions, FilterOptions {
  exclude?: string[];
  excludeFile?: string[];
  forget?: boolean;
  dryRun?: boolean;
  yes?: boolean;
}

export function addRewriteCommand(program: Command, runtime: Runtime): void {
  const command = program
    .command('rewrite')
    .summary('drop paths from snapshots')
    .description(
      'Make new snapshots without what fits a pattern, with the times of the old ones: of those ' +
        'that are named, or all that --host and the like leave. The plan is shown first; on a ' +
        'terminal it asks, without one it needs --yes. The old snapshots stay, and with them ' +
        'what was dropped, unless --forget is given.',
    )
    .argument('[snapshot...]', 'snapshots; default: all')
    .option('-e, --exclude <pattern>', 'drop what fits; may be repeated', collect)
    .option('--exclude-file <file>', 'read patterns from a file; may be repeated', collect)
    .option('--forget', 'forget the old snapshots')
    .option('-n, --dry-run', 'show the plan and write nothing')
    .option('--yes', 'do not ask');
  addSelectorHelp(addFilterOptions(command))
    .addHelpText(
      'after',
      `
Examples:
  varve rewrite --repo /mnt/backup/varve --exclude '*.iso' --dry-run
  varve rewrite --exclude /home/alice/secret --forget --host laptop`,
    )
    .action(async (selectors: string[]) => {
      const options = command.optsWithGlobals<RewriteOptions>();
      // What the variables leave out of snapshots was never meant to be taken from old ones.
      for (const key of ['exclude', 'excludeFile'] as const) {
        if (command.getOptionValueSource(key) !== 'cli') delete options[key];
      }
      runtime.exitCode = await rewrite(runtime, selectors, options);
    });
}

async function rewrite(
  runtime: Runtime,
  selectors: readonly string[],
  options: RewriteOptions,
): Promise<number> {
  const { output, signal } = runtime;
  const { exclude, excludeFile, forget: isForgetting = false } = options;
  const { dryRun: isDryRun = false, yes: isConsented = false } = options;
  const { patterns: excludes = [] } = excludesOf({
    ...(exclude && { exclude }),
    ...(excludeFile && { excludeFile }),
  });
  if (excludes.length === 0) throw new UsageError('nothing to drop: use --exclude');
  if (!isDryRun && !isConsented && !process.stdin.isTTY) {
    throw new UsageError('without a terminal "varve rewrite" needs --yes');
  }
  const result = await withRepository(runtime, options, (repository) =>
    repository.rewrite({
      snapshots: selectors.length > 0 ? selectors : undefined,
      filter: filterOf(options),
      excludes,
      isForgetting,
      isDryRun,
      signal,
      confirm: async (plan) => {
        if (isConsented) return true;
        tellPlan(output, plan);
        output.flush();
        return await askConsent(questionOf(plan, isForgetting));
      },
    }),
  );
  return report(output, result, { isDryRun, isForgetting });
}

function questionOf({ snapshots }: RewriteResult, isForgetting: boolean): string {
  const what = formatCount(snapshots.length, 'snapshot');
  return isForgetting ? `Rewrite ${what} and forget the old ones?` : `Rewrite ${what}?`;
}

function report(
  output: Output,
  result: RewriteResult,
  { isDryRun, isForgetting }: { isDryRun: boolean; isForgetting: boolean },
): number {
  const { snapshots, refused, untouchedCount, isApplied } = result;
  const isDeclined = !isApplied && !isDryRun && snapshots.length > 0;
  const code = isDeclined
    ? exitCodes.failed
    : refused.length > 0
      ? exitCodes.partial
      : exitCodes.done;
  tellRefused(output, result);
  if (output.isJson) {
    for (const one of snapshots) output.event('rewritten_snapshot', fieldsOf(one));
    output.event('summary', {
      code,
      dry_run: isDryRun,
      applied: isApplied,
      forgotten: isApplied && isForgetting,
      snapshots: snapshots.length,
      unchanged_snapshots: untouchedCount,
      error_count: refused.length,
    });
    return code;
  }
  if (isApplied || isDryRun) tellPlan(output, result);
  output.report(...summaryLines(result, { isDeclined, isForgetting }));
  return code;
}

function tellRefused(output: Output, { refused }: RewriteResult): void {
  for (const { snapshot, reason } of refused) {
    const message = `Cannot rewrite snapshot "${shortId(snapshot.id)}": ${reason}`;
    const item = new TextEncoder().encode(snapshot.id);
    const error = new Error(message);
    output.problem({ message, during: 'rewrite', code: 'not_rewritten', item, error });
  }
}

/** Id, time, what goes, and the new id once there is one. */
function tellPlan(output: Output, { snapshots }: RewriteResult): void {
  if (output.isJson) return;
  const rows = snapshots.map(({ snapshot, rewrittenId, dropped }) => [
    shortId(snapshot.id),
    formatLocalTime(secondsOfNs(snapshot.manifest.startedNs)),
    droppedText(dropped),
    rewrittenId === undefined ? '' : `is now ${shortId(rewrittenId)}`,
  ]);
  for (const line of formatTable(rows, ['left', 'left', 'left', 'left'])) output.result(line);
}

function droppedText({ files, directories, others, bytes }: DroppedCounts): string {
  const parts = [
    `${formatCount(files, 'file')} (${formatBytes(bytes)})`,
    formatCount(directories, 'directory', 'directories'),
    formatCount(others, 'other entry', 'other entries'),
  ];
  return `drops ${parts.join(', ')}`;
}

function summaryLines(
  { snapshots, untouchedCount, isApplied }: RewriteResult,
  { isDeclined, isForgetting }: { isDeclined: boolean; isForgetting: boolean },
): string[] {
  const [count, rest] = [
    formatCount(snapshots.length, 'snapshot'),
    `${untouchedCount.toLocaleString('en')} have nothing of it`,
  ];
  if (isDeclined) return ['Nothing was rewritten'];
  if (snapshots.length === 0) return [`Nothing to rewrite; ${rest}`];
  if (!isApplied) return [`Would rewrite ${count}; ${rest}`];
  const old = isForgetting ? 'the old ones are forgotten' : 'the old ones are still there';
  return [`Rewrote ${count}, and ${old}; ${rest}`];
}

function fieldsOf({ snapshot, rewrittenId, dropped }: RewrittenSnapshot): JsonFields {
  return {
    id: snapshot.id,
    rewritten_id: rewrittenId,
    dropped_files: dropped.files,
    dropped_directories: dropped.directories,
    dropped_others: dropped.others,
    dropped_bytes: dropped.bytes,
  };
}
