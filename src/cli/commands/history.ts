/** `varve history`: what became of one path over the snapshots. */
import type { Command } from 'commander';
import { shortId } from '../../id.ts';
import type { PathChange, PathHistory, PathSpan } from '../../index.ts';
import { printable } from '../../util/printable.ts';
import { tellDamaged } from '../damaged-snapshots.ts';
import { entryDetails, entryFields } from '../entry-text.ts';
import { UsageError } from '../exit-code.ts';
import { formatCount, formatLocalTime, secondsOfNs } from '../format.ts';
import { outsideText } from '../json.ts';
import { addFilterOptions, type CommonOptions, type FilterOptions, filterOf } from '../options.ts';
import type { Output } from '../output.ts';
import { absoluteArgument } from '../raw-argument.ts';
import { type Runtime, withRepository } from '../runtime.ts';
import { rangeFields } from '../snapshot-ranges.ts';
import { formatTable } from '../table.ts';

interface HistoryOptions extends CommonOptions, FilterOptions {
  metadata?: boolean;
}

export function addHistoryCommand(program: Command, runtime: Runtime): void {
  const command = program
    .command('history')
    .summary('tell the versions of a file over all snapshots')
    .description(
      'Tell when a file or directory appeared (+), changed (M) and vanished (-) over the ' +
        'snapshots. What has the same content is the same version, with the same number.',
    )
    .argument('<path>', 'as it was saved; relative ones begin here')
    .option('--metadata', 'tell of other modes, owners and times, too (U)');
  addFilterOptions(command)
    .addHelpText(
      'after',
      '\nExample:\n  varve history --repo /mnt/backup/varve /home/alice/notes.txt',
    )
    .action(async (path: string) => {
      runtime.exitCode = await history(runtime, path, command.optsWithGlobals<HistoryOptions>());
    });
}

async function history(runtime: Runtime, text: string, options: HistoryOptions): Promise<number> {
  const { output, signal } = runtime;
  const path = absoluteArgument(text);
  if (path.length <= 1) throw new UsageError('"/" is in every snapshot; name a path below');
  const { histories, searched, damaged } = await withRepository(
    runtime,
    options,
    async (repository) => {
      const { snapshots, damaged } = await repository.snapshots(filterOf(options));
      const request = { path, snapshots, hasMetadata: options.metadata, signal };
      return { histories: await repository.history(request), searched: snapshots.length, damaged };
    },
  );
  const code = tellDamaged(output, damaged, 'history');
  const spans = histories.flatMap((one) => one.spans);
  const versions = new Set(spans.flatMap(({ version }) => version ?? [])).size;
  if (output.isJson) {
    for (const span of spans) tellFields(output, path, span);
    const counts = { versions, snapshots: searched, error_count: damaged.length };
    output.event('summary', { code, ...counts });
    return code;
  }
  for (const one of histories) tell(output, one);
  const found =
    versions === 0 ? `${printable(path)} is not there` : formatCount(versions, 'version');
  output.report(`${found} in ${formatCount(searched, 'snapshot')}`);
  return code;
}

const modifiers: Readonly<Record<PathChange, string>> = {
  appeared: '+',
  content: 'M',
  metadata: 'U',
  vanished: '-',
};

function tell(output: Output, { host, source, spans }: PathHistory): void {
  output.result(`${printable(host)}  ${printable(source)}`);
  const rows = spans.map(rowOf);
  for (const line of formatTable(rows, ['left', 'left', 'left', 'right', 'left', 'left'])) {
    output.result(`  ${line}`);
  }
  output.result('');
}

/** Sign, id and time of the first snapshot, how many, version, and the entry. */
function rowOf({ change, node, version, first, count }: PathSpan): string[] {
  return [
    modifiers[change],
    shortId(first.id),
    formatLocalTime(secondsOfNs(first.manifest.startedNs)),
    formatCount(count, 'snapshot'),
    version === undefined ? 'not there' : `version ${version}`,
    node === undefined ? '' : entryDetails(node),
  ];
}

function tellFields(output: Output, path: Uint8Array, span: PathSpan): void {
  const { change, node, version } = span;
  output.event('version', {
    ...outsideText('path', path),
    change,
    version,
    ...rangeFields(span),
    ...(node && entryFields(node)),
  });
}
