/** `varve forget`: which snapshots go by a policy, told before it happens, or those that are named. */
import { type Command, InvalidArgumentError } from 'commander';
import { shortId } from '../../id.ts';
import {
  checkRetention,
  type ForgetPlan,
  type ForgetResult,
  type GroupKey,
  type Repository,
  type RetentionGroup,
  type RetentionPolicy,
  type RetentionReason,
  type RetentionVerdict,
} from '../../index.ts';
import { encodeUtf8 } from '../../util/bytes.ts';
import { printable } from '../../util/printable.ts';
import { exitCodes, UsageError } from '../exit-code.ts';
import { formatCount, formatLocalTime, secondsOfNs } from '../format.ts';
import { type JsonFields, outsideText, rfc3339OfNs } from '../json.ts';
import {
  addFilterOptions,
  type CommonOptions,
  collect,
  type FilterOptions,
  filterOf,
} from '../options.ts';
import type { Output } from '../output.ts';
import { parseCount } from '../parse-values.ts';
import { type Runtime, withRepository } from '../runtime.ts';
import { addSelectorHelp } from '../snapshot-path.ts';
import { formatTable } from '../table.ts';
import { askConsent } from '../terminal.ts';

interface ForgetOptions extends CommonOptions, FilterOptions {
  keepLast?: number;
  keepHourly?: number;
  keepDaily?: number;
  keepWeekly?: number;
  keepMonthly?: number;
  keepYearly?: number;
  keepWithin?: string;
  keepTag?: string[];
  groupBy?: GroupKey[];
  allowEmpty?: boolean;
  explain?: boolean;
  dryRun?: boolean;
  yes?: boolean;
}

const keepKeys = [
  'keepLast',
  'keepHourly',
  'keepDaily',
  'keepWeekly',
  'keepMonthly',
  'keepYearly',
  'keepWithin',
  'keepTag',
] as const;
const groupKeys: readonly string[] = ['host', 'source', 'tags'];

export function addForgetCommand(program: Command, runtime: Runtime): void {
  const command = program
    .command('forget')
    .summary('take snapshots out of the repository')
    .description(
      'Forget all snapshots that no --keep option keeps, or those that are named. The plan is ' +
        'shown first; on a terminal it asks, without one it needs --yes. No data is deleted ' +
        'here, and "varve undelete" brings snapshots back until it is.',
    )
    .argument('[snapshot...]', 'snapshots to forget, instead of a policy')
    .option('--keep-last <n>', 'keep the newest n', parseCount)
    .option('--keep-hourly <n>', 'keep the last of each of n hours', parseCount)
    .option('--keep-daily <n>', 'keep the last of each of n days', parseCount)
    .option('--keep-weekly <n>', 'keep the last of each of n weeks', parseCount)
    .option('--keep-monthly <n>', 'keep the last of each of n months', parseCount)
    .option('--keep-yearly <n>', 'keep the last of each of n years', parseCount)
    .option('--keep-within <span>', 'keep all so long before the newest: 1y6m14d12h')
    .option('--keep-tag <tag>', 'keep all with this tag; may be repeated', collect)
    .option('--group-by <what>', 'host, source, tags, or none (host,source)', parseGroupBy);
  addSelectorHelp(addFilterOptions(command))
    .option('--explain', 'show each snapshot, and why it goes or stays')
    .option('--allow-empty', 'let nothing be left of a host and source')
    .option('-n, --dry-run', 'show the plan, and forget nothing')
    .option('--yes', 'do not ask')
    .addHelpText(
      'after',
      '\nExamples:\n  varve forget --keep-daily 7 --keep-weekly 5 --keep-monthly 12 --dry-run' +
        '\n  varve forget 3f2a1b4c',
    )
    .action(async (selectors: string[]) => {
      // A policy from the environment is for whoever names no snapshots.
      const isGiven = keepKeys.some((key) => command.getOptionValueSource(key) === 'cli');
      if (selectors.length > 0 && isGiven) {
        throw new UsageError('snapshots are named, so no --keep option can be given');
      }
      const options = command.optsWithGlobals<ForgetOptions>();
      runtime.exitCode = await forget(runtime, selectors, options);
    });
}

/** "host,source"; "none" is all in one. @throws InvalidArgumentError */
function parseGroupBy(text: string): GroupKey[] {
  if (text === 'none') return [];
  const keys = text.split(',');
  if (keys.every((key): key is GroupKey => groupKeys.includes(key))) return keys;
  throw new InvalidArgumentError('Expected host, source and tags, or none.');
}

async function forget(
  runtime: Runtime,
  selectors: readonly string[],
  options: ForgetOptions,
): Promise<number> {
  const { dryRun: isDryRun = false, yes = false } = options;
  const isAsking = !isDryRun && !yes;
  const policy = selectors.length > 0 ? undefined : policyOf(options);
  if (selectors.includes('')) throw new UsageError('a snapshot to forget is empty');
  if (isAsking && !process.stdin.isTTY) {
    throw new UsageError('without a terminal "varve forget" needs --yes, or --dry-run');
  }
  const { output } = runtime;
  const show = (plan: ForgetPlan): void => showPlan(output, plan, options);
  const result = await withRepository(runtime, options, (repository) =>
    refusing(repository, {
      policy,
      groupBy: options.groupBy,
      snapshots: policy === undefined ? selectors : undefined,
      filter: filterOf(options),
      mayEmpty: options.allowEmpty,
      isDryRun,
      signal: runtime.signal,
      confirm: async (plan) => {
        show(plan);
        output.flush();
        return !isAsking || (await askConsent(questionOf(plan)));
      },
    }),
  );
  const isShown = !isDryRun && result.forgotten.length > 0;
  if (!isShown) show(result);
  const isDeclined = isShown && !result.isDone;
  const code = isDeclined ? exitCodes.failed : codeOf(result);
  if (output.isJson) output.event('summary', { code, ...summaryFields(result, isDryRun) });
  else output.report(...summaryLines(result, { isDryRun, isDeclined }));
  return code;
}

/** What only the repository can tell of a policy is a mistake in the command line, too. */
async function refusing(
  repository: Repository,
  options: Parameters<Repository['forget']>[0],
): Promise<ForgetResult> {
  try {
    return await repository.forget(options);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new UsageError(`${error.message}: --allow-empty lets that be`);
  }
}

/** @throws UsageError when it keeps nothing, or makes no sense. */
function policyOf(options: ForgetOptions): RetentionPolicy {
  const policy = {
    last: options.keepLast,
    hourly: options.keepHourly,
    daily: options.keepDaily,
    weekly: options.keepWeekly,
    monthly: options.keepMonthly,
    yearly: options.keepYearly,
    within: options.keepWithin,
    tags: options.keepTag,
  };
  if (keepKeys.every((key) => options[key] === undefined)) {
    throw new UsageError('nothing says what to forget: name snapshots, or use --keep options');
  }
  try {
    checkRetention(policy);
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(error.message);
    throw error;
  }
  return policy;
}

function showPlan(output: Output, plan: ForgetPlan, options: ForgetOptions): void {
  for (const { name, error } of plan.damaged) {
    const { message } = error;
    output.problem({ message, during: 'forget', code: 'damaged', item: encodeUtf8(name), error });
  }
  const { explain: isExplaining = false, quiet = false, yes = false } = options;
  for (const group of plan.groups) {
    const shown = group.verdicts.filter(({ isKept }) => isExplaining || !isKept);
    if (output.isJson) {
      for (const verdict of shown) output.event('retention', verdictFields(verdict));
    } else if (shown.length > 0 && !(quiet && yes))
      printGroup(output, { group, shown, isExplaining });
  }
}

function printGroup(
  output: Output,
  printed: { group: RetentionGroup; shown: readonly RetentionVerdict[]; isExplaining: boolean },
): void {
  const { group, shown, isExplaining } = printed;
  output.result(headingOf(group));
  const rows = shown.map(({ snapshot, isKept, reasons }) => [
    isKept ? 'keep' : 'forget',
    shortId(snapshot.id),
    formatLocalTime(secondsOfNs(snapshot.manifest.startedNs)),
    tagsText(snapshot.manifest.tags),
    isExplaining ? reasons.map(reasonText).join(', ') : '',
  ]);
  for (const line of formatTable(rows, ['left', 'left', 'left', 'left', 'left'])) {
    output.result(`  ${line}`);
  }
  output.result('');
}

function headingOf({ host, source, tags }: RetentionGroup): string {
  const parts = [host, source].flatMap((bytes) => (bytes === undefined ? [] : [printable(bytes)]));
  if (tags !== undefined) parts.push(tags.length === 0 ? 'no tags' : tagsText(tags));
  return parts.length === 0 ? 'all snapshots' : parts.join('  ');
}

function tagsText(tags: readonly string[]): string {
  return tags.map((tag) => printable(encodeUtf8(tag))).join(', ');
}

/** "daily 2026-10-25", "oldest for yearly", "beyond last". */
function reasonText({ rule, outcome, period }: RetentionReason): string {
  const name = period === undefined ? rule : `${rule} ${period}`;
  if (outcome === 'kept' || outcome === 'named') return name;
  return outcome === 'oldest' ? `oldest for ${rule}` : `${outcome} ${name}`;
}

function questionOf({ forgotten }: ForgetPlan): string {
  return `Forget ${formatCount(forgotten.length, 'snapshot')}?`;
}

function codeOf({ damaged }: ForgetResult): number {
  return damaged.length > 0 ? exitCodes.partial : exitCodes.done;
}

function summaryLines(
  { forgotten, kept }: ForgetResult,
  { isDryRun, isDeclined }: { isDryRun: boolean; isDeclined: boolean },
): string[] {
  const [going, staying] = [
    formatCount(forgotten.length, 'snapshot'),
    kept.length.toLocaleString('en'),
  ];
  if (isDeclined) return ['Nothing was forgotten'];
  if (isDryRun) return [`Would forget ${going} and keep ${staying}`];
  if (forgotten.length === 0) return [`Nothing to forget; ${staying} kept`];
  return [
    `Forgot ${going} and kept ${staying}`,
    '"varve undelete" brings them back until they are pruned',
  ];
}

function summaryFields(
  { forgotten, kept, damaged, isDone }: ForgetResult,
  isDryRun: boolean,
): JsonFields {
  return {
    dry_run: isDryRun,
    done: isDone,
    forgotten: forgotten.length,
    kept: kept.length,
    error_count: damaged.length,
  };
}

function verdictFields({ snapshot, isKept, reasons }: RetentionVerdict): JsonFields {
  const { id, manifest } = snapshot;
  return {
    id,
    short_id: shortId(id),
    time: rfc3339OfNs(manifest.startedNs),
    ...outsideText('hostname', manifest.host),
    ...outsideText('source', manifest.source),
    tags: manifest.tags,
    keep: isKept,
    reasons: reasons.map(reasonText),
  };
}
