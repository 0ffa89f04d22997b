/** `varve find`: where something of a name is, in which snapshots. */
import { type Command, InvalidArgumentError } from 'commander';
import {
  checkFindCriteria,
  type FindCriteria,
  type FoundEntry,
  type NodeType,
  type Repository,
  type Snapshot,
  type SnapshotRange,
} from '../../index.ts';
import { printable } from '../../util/printable.ts';
import { tellDamaged } from '../damaged-snapshots.ts';
import { longLine, nodeFields } from '../entry-text.ts';
import { UsageError } from '../exit-code.ts';
import { formatCount } from '../format.ts';
import {
  addFilterOptions,
  type CommonOptions,
  collect,
  type FilterOptions,
  filterOf,
} from '../options.ts';
import type { Output } from '../output.ts';
import { parseSizeOrZero, parseTime } from '../parse-values.ts';
import { rawArgument } from '../raw-argument.ts';
import { type Runtime, withRepository } from '../runtime.ts';
import { addSelectorHelp } from '../snapshot-path.ts';
import { rangeFields, rangeText, seriesText } from '../snapshot-ranges.ts';

interface FindOptions extends CommonOptions, FilterOptions {
  ignoreCase?: boolean;
  type?: NodeType[];
  oldest?: bigint;
  newest?: bigint;
  minSize?: number;
  maxSize?: number;
  snapshot?: string[];
  long?: boolean;
}

export function addFindCommand(program: Command, runtime: Runtime): void {
  const command = program
    .command('find')
    .summary('find files in all snapshots')
    .description(
      'Find entries by their names or paths in all snapshots at once. Each path is told with the ' +
        'snapshots it is in. A PATTERN is a name, or a path with a slash in it, as for --exclude of ' +
        '"varve snapshot".',
    )
    .argument('<pattern...>', 'what is looked for, such as "*.txt"')
    .option('-i, --ignore-case', 'capitals and small letters are the same')
    .option('--type <types>', 'only these: f, d, l, c, b, p, s, as of find(1)', parseTypes)
    .option('-O, --oldest <time>', 'only what was modified then or later', parseTime)
    .option('-N, --newest <time>', 'only what was modified then or before', parseTime)
    .option('--min-size <size>', 'only files that are not smaller', parseSizeOrZero)
    .option('--max-size <size>', 'only files that are not larger', parseSizeOrZero)
    .option('-s, --snapshot <snapshot>', 'only in this snapshot; may be repeated', collect)
    .option('-l, --long', 'tell versions apart, with mode, owner, size and time');
  addSelectorHelp(addFilterOptions(command))
    .addHelpText(
      'after',
      `
Examples:
  varve find --repo /mnt/backup/varve notes.txt
  varve find -l -i '*.jpg' --oldest 2026-01-01 --host laptop
  varve find --snapshot latest --type d '/home/alice/**/.git'`,
    )
    .action(async (patterns: string[]) => {
      runtime.exitCode = await find(runtime, patterns, command.optsWithGlobals<FindOptions>());
    });
}

/** "f", "f,d" or "fd". @throws InvalidArgumentError */
function parseTypes(text: string): NodeType[] {
  if (!/^[fdlcbps](?:,?[fdlcbps])*$/.test(text)) {
    throw new InvalidArgumentError('Expected some of f, d, l, c, b, p and s.');
  }
  return [...text.replaceAll(',', '')] as NodeType[];
}

async function find(
  runtime: Runtime,
  patterns: readonly string[],
  options: FindOptions,
): Promise<number> {
  const { output, signal } = runtime;
  const criteria = criteriaOf(patterns, options);
  let count = 0;
  const { snapshots: searched, damaged } = await withRepository(
    runtime,
    options,
    async (repository) => {
      const chosen = await chooseSnapshots(repository, options);
      const { snapshots } = chosen;
      const hasSeries = new Set(snapshots.map(seriesText)).size > 1;
      for await (const found of repository.find({ ...criteria, snapshots, signal })) {
        count += 1;
        if (output.isJson) tellFields(output, found);
        else tell(output, found, { isLong: options.long === true, hasSeries });
        await output.drain();
      }
      return chosen;
    },
  );
  const code = tellDamaged(output, damaged, 'find');
  if (output.isJson) {
    const counts = { paths: count, snapshots: searched.length, error_count: damaged.length };
    output.event('summary', { code, ...counts });
  } else {
    output.report(`${formatCount(count, 'path')} in ${formatCount(searched.length, 'snapshot')}`);
  }
  return code;
}

function criteriaOf(patterns: readonly string[], options: FindOptions): FindCriteria {
  const { ignoreCase, type, oldest, newest, minSize, maxSize } = options;
  const criteria = {
    patterns: patterns.map(rawArgument),
    isCaseIgnored: ignoreCase,
    types: type,
    oldestNs: oldest,
    newestNs: newest,
    sizeMin: minSize,
    sizeMax: maxSize,
  };
  try {
    checkFindCriteria(criteria);
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(error.message);
    throw error;
  }
  return criteria;
}

async function chooseSnapshots(
  repository: Repository,
  options: FindOptions,
): ReturnType<Repository['snapshots']> {
  const filter = filterOf(options);
  if (options.snapshot === undefined) return await repository.snapshots(filter);
  const chosen = new Map<string, Snapshot>();
  for (const selector of options.snapshot) {
    const snapshot = await repository.select(selector, filter);
    chosen.set(snapshot.id, snapshot);
  }
  return { snapshots: [...chosen.values()], damaged: [] };
}

function tell(
  output: Output,
  { path, ranges, versions }: FoundEntry,
  { isLong, hasSeries }: { isLong: boolean; hasSeries: boolean },
): void {
  const told = isLong ? versions : [{ entry: undefined, ranges }];
  for (const version of told) {
    const { entry } = version;
    output.result(entry === undefined ? printable(path) : longLine({ path, entry }));
    for (const range of version.ranges) output.result(`    ${placeOf(range, hasSeries)}`);
  }
}

function placeOf(range: SnapshotRange, hasSeries: boolean): string {
  return hasSeries ? `${rangeText(range)}  ${seriesText(range.first)}` : rangeText(range);
}

function tellFields(output: Output, { path, versions }: FoundEntry): void {
  for (const { entry, ranges } of versions) {
    output.event('match', {
      ...nodeFields({ path, entry }),
      snapshots: ranges.map(rangeFields),
    });
  }
}
