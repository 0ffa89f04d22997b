/** `varve snapshots`: what there is, by host and source. */
import type { Command } from 'commander';
import { shortId } from '../../id.ts';
import type { ForgottenSnapshot, Repository, Snapshot } from '../../index.ts';
import { encodeUtf8 } from '../../util/bytes.ts';
import { printable } from '../../util/printable.ts';
import { tellDamaged } from '../damaged-snapshots.ts';
import { formatBytes, formatCount, formatLocalTime, secondsOfNs } from '../format.ts';
import { type JsonFields, outsideText, outsideTexts, rfc3339OfNs } from '../json.ts';
import { addFilterOptions, type CommonOptions, type FilterOptions, filterOf } from '../options.ts';
import type { Output } from '../output.ts';
import { parseCount } from '../parse-values.ts';
import { type Runtime, withRepository } from '../runtime.ts';
import { formatTable } from '../table.ts';

interface SnapshotsOptions extends CommonOptions, FilterOptions {
  latest?: number;
  forgotten?: boolean;
}

/** Of a forgotten one also when that was. */
type ListedSnapshot = Snapshot & Partial<Pick<ForgottenSnapshot, 'forgottenMs'>>;

export function addSnapshotsCommand(program: Command, runtime: Runtime): void {
  const command = program
    .command('snapshots')
    .alias('list')
    .summary('list snapshots')
    .description('List snapshots by host and source, oldest first.');
  addFilterOptions(command)
    .option('--latest <n>', 'only the newest n of each host and source', parseCount)
    .option('--forgotten', 'those that "varve undelete" may bring back, instead')
    .action(async () => {
      runtime.exitCode = await snapshots(runtime, command.optsWithGlobals<SnapshotsOptions>());
    });
}

interface Group {
  host: Uint8Array;
  source: Uint8Array;
  snapshots: ListedSnapshot[];
}

async function snapshots(runtime: Runtime, options: SnapshotsOptions): Promise<number> {
  const { output } = runtime;
  const listed = await withRepository(runtime, options, (repository) =>
    listSnapshots(repository, options),
  );
  const groups = groupSnapshots(listed.snapshots, options.latest);
  const code = tellDamaged(output, listed.damaged, 'list');
  if (output.isJson) printJson(output, groups, { code, errorCount: listed.damaged.length });
  else printGroups(output, groups, options.forgotten ? 'forgotten snapshot' : 'snapshot');
  return code;
}

function listSnapshots(
  repository: Repository,
  options: SnapshotsOptions,
): ReturnType<Repository['snapshots']> {
  const filter = filterOf(options);
  return options.forgotten === true ? repository.forgotten(filter) : repository.snapshots(filter);
}

/** By host, then source, both as bytes; snapshots stay in their order. */
function groupSnapshots(all: readonly ListedSnapshot[], latest: number | undefined): Group[] {
  const groups = new Map<string, Group>();
  for (const snapshot of all) {
    const { host, source } = snapshot.manifest;
    const key = `${Buffer.from(host).toString('hex')} ${Buffer.from(source).toString('hex')}`;
    const group = groups.get(key) ?? { host, source, snapshots: [] };
    group.snapshots.push(snapshot);
    groups.set(key, group);
  }
  const inOrder = [...groups].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, group]) => group);
  if (latest === undefined) return inOrder;
  return inOrder.map((group) => ({ ...group, snapshots: group.snapshots.slice(-latest) }));
}

function printGroups(output: Output, groups: readonly Group[], kind: string): void {
  let count = 0;
  for (const { host, source, snapshots } of groups) {
    output.result(`${printable(host)}  ${printable(source)}`);
    const rows = snapshots.map(rowOf);
    for (const line of formatTable(rows, ['left', 'left', 'right', 'right', 'left'])) {
      output.result(`  ${line}`);
    }
    output.result('');
    count += snapshots.length;
  }
  output.report(formatCount(count, kind));
}

/** Id, time, files, size, tags and marks. */
function rowOf({ id, manifest, forgottenMs }: ListedSnapshot): string[] {
  const tags = manifest.tags.map((tag) => printable(encodeUtf8(tag))).join(', ');
  const marks = manifest.isPartial ? 'partial' : '';
  const forgotten = forgottenMs === undefined ? '' : `forgotten ${timeOfMs(forgottenMs)}`;
  const files = manifest.stats['files'];
  return [
    shortId(id),
    formatLocalTime(secondsOfNs(manifest.startedNs)),
    files === undefined ? '' : formatCount(files, 'file'),
    formatBytes(manifest.root.bytes),
    [tags, marks, forgotten].filter((text) => text !== '').join('  '),
  ];
}

function timeOfMs(ms: number): string {
  return formatLocalTime(BigInt(Math.floor(ms / 1000)));
}

function printJson(
  output: Output,
  groups: readonly Group[],
  end: { code: number; errorCount: number },
): void {
  let count = 0;
  for (const group of groups) {
    for (const snapshot of group.snapshots) {
      output.event('snapshot', { ...snapshotFields(snapshot), ...forgottenFields(snapshot) });
    }
    count += group.snapshots.length;
  }
  output.event('summary', { code: end.code, snapshots: count, error_count: end.errorCount });
}

function forgottenFields({ forgottenMs }: ListedSnapshot): JsonFields {
  if (forgottenMs === undefined) return {};
  return { forgotten_time: rfc3339OfNs(BigInt(forgottenMs) * 1_000_000n) };
}

export function snapshotFields({ id, manifest }: Snapshot): JsonFields {
  const { stats } = manifest;
  return {
    id,
    short_id: shortId(id),
    time: rfc3339OfNs(manifest.startedNs),
    parent: manifest.parents[0],
    ...outsideText('hostname', manifest.host),
    ...outsideText('username', manifest.user),
    ...outsideText('source', manifest.source),
    ...outsideTexts('paths', manifest.roots),
    tags: manifest.tags,
    partial: manifest.isPartial,
    size: manifest.root.bytes,
    summary: {
      backup_start: rfc3339OfNs(manifest.startedNs),
      backup_end: rfc3339OfNs(manifest.endedNs),
      files_new: stats['files_new'],
      files_changed: stats['files_changed'],
      files_unmodified: stats['files_unchanged'],
      total_files_processed: stats['files'],
      total_bytes_processed: stats['bytes'],
      data_blobs: stats['new_blobs'],
      data_added: stats['new_bytes'],
      error_count: manifest.errorCount,
    },
  };
}
