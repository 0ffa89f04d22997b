/** `varve diff`: what differs between two snapshots, or between one and the live tree. */
import type { Command } from 'commander';
import { shortId } from '../../id.ts';
import type {
  Difference,
  DifferenceKind,
  Node,
  Repository,
  Snapshot,
  SnapshotPath,
} from '../../index.ts';
import { printable } from '../../util/printable.ts';
import { typeNames } from '../entry-text.ts';
import { addExcludeOptions, type ExcludeFlags, excludesOf } from '../exclude-options.ts';
import { errorCodeOf, exitCodes, UsageError } from '../exit-code.ts';
import { formatBytes, formatCount, formatLocalTime, secondsOfNs } from '../format.ts';
import { type JsonFields, outsideText } from '../json.ts';
import { addFilterOptions, type CommonOptions, type FilterOptions } from '../options.ts';
import type { Output } from '../output.ts';
import { type Runtime, withRepository } from '../runtime.ts';
import { addSelectorHelp, parseSnapshotPath, selectSnapshotPath } from '../snapshot-path.ts';

interface DiffOptions extends CommonOptions, FilterOptions, ExcludeFlags {
  metadata?: boolean;
}

/** What stands for the live tree. */
const LIVE = ':live';

const excludeFlags = [
  'exclude',
  'excludeFile',
  'excludeCaches',
  'excludeIfPresent',
  'oneFileSystem',
];

export function addDiffCommand(program: Command, runtime: Runtime): void {
  const command = program
    .command('diff')
    .summary('tell what differs between two snapshots')
    .description(
      'Tell what differs between two snapshots, or between one and the live files: "+" is new in ' +
        'the second, "-" gone, "M" has other content, "T" is of another type, "U" has other ' +
        'metadata. A path named with one of the snapshots counts for both.',
    )
    .argument('<snapshot[:path]>', 'the earlier one')
    .argument('<other[:path]>', 'the later one, or ":live"')
    .option('--metadata', 'tell of other modes, owners and times, too');
  addSelectorHelp(addFilterOptions(addExcludeOptions(command)))
    .addHelpText(
      'after',
      `
Examples:
  varve diff --repo /mnt/backup/varve latest~1 latest
  varve diff --metadata latest:/home/alice :live --exclude '*.tmp'`,
    )
    .action(async (first: string, second: string) => {
      const isFlagged = excludeFlags.some((key) => command.getOptionValueSource(key) === 'cli');
      if (isFlagged && second !== LIVE) throw new UsageError(`excludes are for "${LIVE}" only`);
      const operands = { first, second };
      runtime.exitCode = await diff(runtime, operands, command.optsWithGlobals<DiffOptions>());
    });
}

async function diff(
  runtime: Runtime,
  { first, second }: { first: string; second: string },
  options: DiffOptions,
): Promise<number> {
  const { output } = runtime;
  const before = parseSnapshotPath(first);
  const after = second === LIVE ? undefined : parseOther(second);
  const excludes = after === undefined ? excludesOf(options) : undefined;
  const counts = new DifferenceCounts();
  await withRepository(runtime, options, async (repository) => {
    const select = (text: ReturnType<typeof parseSnapshotPath>) =>
      selectSnapshotPath(repository, { output, text, filter: options });
    const chosen = await select(before);
    const other = after && (await select(after));
    tellPlaces(output, chosen.snapshot, other?.snapshot);
    counts.name(chosen.snapshot, other?.snapshot);
    const differences =
      other === undefined
        ? diffLive(runtime, repository, { ...chosen, excludes, counts })
        : repository.diff({
            before: { ...chosen, path: chosen.path ?? other.path },
            after: { ...other, path: other.path ?? chosen.path },
            signal: runtime.signal,
          });
    for await (const difference of differences) {
      counts.add(difference);
      const isTold = difference.kind !== 'metadata' || options.metadata === true;
      if (isTold) tell(output, difference, options);
      await output.drain();
    }
  });
  const code = counts.errorCount > 0 ? exitCodes.partial : exitCodes.done;
  if (output.isJson) output.event('summary', { code, ...counts.fields });
  else output.report('', ...counts.lines(options.metadata === true));
  return code;
}

function parseOther(text: string): ReturnType<typeof parseSnapshotPath> {
  if (text.startsWith(':')) throw new UsageError(`"${text}" is no snapshot; expected "${LIVE}"`);
  return parseSnapshotPath(text);
}

function diffLive(
  { output, signal }: Runtime,
  repository: Repository,
  place: SnapshotPath & {
    excludes: ReturnType<typeof excludesOf> | undefined;
    counts: DifferenceCounts;
  },
): AsyncGenerator<Difference, void, undefined> {
  const { counts, ...rest } = place;
  return repository.diffLive({
    ...rest,
    signal,
    onError: (error) => {
      counts.errorCount += 1;
      const { message, path: item } = error;
      output.problem({ message, during: 'diff', code: errorCodeOf(error), item, error });
    },
  });
}

function tellPlaces(output: Output, first: Snapshot, second: Snapshot | undefined): void {
  if (output.isJson) return;
  output.report(
    `From ${nameOf(first)} to ${second === undefined ? 'what is live' : nameOf(second)}`,
  );
}

function nameOf({ id, manifest }: Snapshot): string {
  return `${shortId(id)} (${formatLocalTime(secondsOfNs(manifest.startedNs))})`;
}

const modifiers: Readonly<Record<DifferenceKind, string>> = {
  added: '+',
  removed: '-',
  type: 'T',
  content: 'M',
  metadata: 'U',
};

function tell(output: Output, difference: Difference, { metadata }: DiffOptions): void {
  const { kind, path, before, after } = difference;
  const { type } = (after ?? before) as Node;
  if (output.isJson) output.event('change', changeFields(difference, metadata === true));
  else output.result(`${modifiers[kind].padEnd(4)} ${printable(path)}${type === 'd' ? '/' : ''}`);
}

function changeFields(difference: Difference, hasMetadata: boolean): JsonFields {
  const { kind, path, before, after, metadata } = difference;
  return {
    ...outsideText('path', path),
    modifier: modifiers[kind],
    type: typeNames[((after ?? before) as Node).type],
    size_before: before?.size,
    size: after?.size,
    metadata: hasMetadata && before && after ? metadata : undefined,
  };
}

interface SideCounts {
  files: number;
  dirs: number;
  others: number;
  bytes: bigint;
}

/** What was told, summed up. */
class DifferenceCounts {
  errorCount = 0;
  readonly #added: SideCounts = { files: 0, dirs: 0, others: 0, bytes: 0n };
  readonly #removed: SideCounts = { files: 0, dirs: 0, others: 0, bytes: 0n };
  readonly #changed = { files: 0, others: 0, bytesBefore: 0n, bytes: 0n };
  #types = 0;
  #metadata = 0;
  #source = '';
  #target: string | undefined;

  name(source: Snapshot, target: Snapshot | undefined): void {
    this.#source = source.id;
    this.#target = target?.id;
  }

  add({ kind, before, after }: Difference): void {
    if (kind === 'metadata') this.#metadata += 1;
    else if (kind === 'content') this.#addChanged(before as Node, after as Node);
    else {
      if (kind === 'type') this.#types += 1;
      if (before !== undefined) addTo(this.#removed, before);
      if (after !== undefined) addTo(this.#added, after);
    }
  }

  #addChanged(before: Node, after: Node): void {
    if (after.type !== 'f') {
      this.#changed.others += 1;
      return;
    }
    this.#changed.files += 1;
    this.#changed.bytesBefore += before.size ?? 0n;
    this.#changed.bytes += after.size ?? 0n;
  }

  /** For people. */
  lines(hasMetadata: boolean): string[] {
    const [added, removed, changed] = [this.#added, this.#removed, this.#changed];
    const size = `${formatBytes(changed.bytesBefore)} before, ${formatBytes(changed.bytes)} now`;
    return [
      `new      ${sideText(added)}`,
      `gone     ${sideText(removed)}`,
      `changed  ${formatCount(changed.files, 'file')} (${size}), ${others(changed.others)}`,
      ...(this.#types > 0 ? [`type     ${formatCount(this.#types, 'entry', 'entries')}`] : []),
      ...(hasMetadata ? [`metadata ${formatCount(this.#metadata, 'entry', 'entries')}`] : []),
    ];
  }

  /** For programs. */
  get fields(): JsonFields {
    const { files, others: otherCount, bytesBefore, bytes } = this.#changed;
    return {
      source_snapshot: this.#source,
      target_snapshot: this.#target,
      added: this.#added,
      removed: this.#removed,
      changed_files: files,
      changed_others: otherCount,
      changed_bytes_before: bytesBefore,
      changed_bytes: bytes,
      changed_types: this.#types,
      changed_metadata: this.#metadata,
      error_count: this.errorCount,
    };
  }
}

function addTo(counts: SideCounts, { type, size = 0n }: Node): void {
  if (type === 'f') counts.files += 1;
  else if (type === 'd') counts.dirs += 1;
  else counts.others += 1;
  counts.bytes += size;
}

function sideText(counts: SideCounts): string {
  const { files, dirs } = counts;
  const directories = formatCount(dirs, 'directory', 'directories');
  return `${formatCount(files, 'file')} (${formatBytes(counts.bytes)}), ${directories}, ${others(counts.others)}`;
}

function others(count: number): string {
  return formatCount(count, 'other entry', 'other entries');
}
