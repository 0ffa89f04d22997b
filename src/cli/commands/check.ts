/** `varve check`: is everything there and intact? */
import { type Command, InvalidArgumentError } from 'commander';
import { shortId } from '../../id.ts';
import { type CheckResult, checkDataSubset, type DataSubset, type Finding } from '../../index.ts';
import { escapeControls, printable } from '../../util/printable.ts';
import { exitCodes } from '../exit-code.ts';
import {
  formatBytes,
  formatCount,
  formatElapsed,
  formatLocalTime,
  secondsOf,
  secondsOfNs,
} from '../format.ts';
import { outsideTexts, rfc3339OfNs } from '../json.ts';
import type { CommonOptions } from '../options.ts';
import type { Output } from '../output.ts';
import { type Runtime, withRepository } from '../runtime.ts';

interface CheckOptions extends CommonOptions {
  readData?: boolean;
  readDataSubset?: DataSubset;
}

export function addCheckCommand(program: Command, runtime: Runtime): void {
  const command = program
    .command('check')
    .summary('look for damage')
    .description(
      'Check that every snapshot is there with all its trees, and that everything they need is ' +
        'where the index says. With --read-data every stored byte is read and verified. Damage ' +
        'is told with the command that heals it, never changed; the exit code is then 4.',
    )
    .option('--read-data', 'read and verify all packs')
    .option(
      '--read-data-subset <part>',
      'read a part of the packs: 1/12 is the first of twelve parts, 5% those longest not read',
      parseSubset,
    )
    .action(async () => {
      runtime.exitCode = await check(runtime, command.optsWithGlobals<CheckOptions>());
    });
}

async function check(runtime: Runtime, options: CheckOptions): Promise<number> {
  const { output, signal } = runtime;
  const result = await withRepository(runtime, options, (repository) =>
    repository.check({
      isReadingData: options.readData === true,
      dataSubset: options.readDataSubset,
      signal,
      onProgress: output.onProgress,
    }),
  );
  output.endProgress();
  const code = result.isDamaged ? exitCodes.damaged : exitCodes.done;
  if (output.isJson) printJson(output, result, code);
  else printResult(output, result);
  return code;
}

/** "3/12", or "5%". @throws InvalidArgumentError */
function parseSubset(text: string): DataSubset {
  const [, part, of] = /^(\d{1,5})\/(\d{1,5})$/.exec(text) ?? [];
  const [, percent] = /^(\d{1,3}(?:\.\d{1,3})?)%$/.exec(text) ?? [];
  const subset =
    percent === undefined ? { part: Number(part), of: Number(of) } : { percent: Number(percent) };
  try {
    checkDataSubset(subset);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new InvalidArgumentError('Expected a part such as 1/12, or a share such as 5%.');
  }
  return subset;
}

/** Names of the packs that are missing or damaged themselves. */
function brokenPacks({ findings }: CheckResult): string[] {
  const broken = findings.filter(
    ({ kind }) => kind.startsWith('pack-') && kind !== 'pack-unindexed',
  );
  return [...new Set(broken.map(({ object }) => object.replace(/^.*\//, '')))];
}

function damageCount({ findings }: CheckResult): number {
  return findings.filter(({ severity }) => severity === 'damage').length;
}

function printJson(output: Output, result: CheckResult, code: number): void {
  for (const finding of result.findings) {
    const { kind, severity, object, message, heal, snapshots, paths } = finding;
    output.event('finding', {
      kind,
      severity,
      object,
      message,
      heal,
      snapshots,
      ...outsideTexts('paths', paths),
    });
  }
  output.event('summary', {
    code,
    num_errors: damageCount(result),
    broken_packs: brokenPacks(result),
    num_notes: result.findings.length - damageCount(result),
    snapshots: result.snapshots,
    packs: result.packs,
    entries: result.entries,
    packs_read: result.packsRead,
    bytes_read: result.bytesRead,
    packs_unread: result.packsUnread,
    oldest_read: readTime(result, rfc3339OfNs),
    total_duration: secondsOf(result.durationNs),
  });
}

function printResult(output: Output, result: CheckResult): void {
  const damaged = damageCount(result);
  for (const finding of result.findings) {
    for (const line of findingLines(finding)) {
      if (finding.severity === 'damage') output.result(line);
      else output.report(line);
    }
  }
  const { snapshots, packs, entries, bytesRead, durationNs } = result;
  const looked = [formatCount(snapshots, 'snapshot'), formatCount(packs, 'pack')];
  looked.push(formatCount(entries, 'entry', 'entries'));
  if (bytesRead > 0) looked.push(`${formatBytes(bytesRead)} read`);
  output.report(`Checked ${looked.join(', ')} in ${formatElapsed(secondsOf(durationNs))}`);
  output.report(readHistory(result));
  if (damaged > 0) output.result(`Damage: ${formatCount(damaged, 'finding')}`);
  else output.report('No damage found');
}

function readTime<T>({ oldestReadMs }: CheckResult, format: (ns: bigint) => T): T | undefined {
  return oldestReadMs === undefined ? undefined : format(BigInt(oldestReadMs) * 1_000_000n);
}

/** How long ago the data of all packs was read, as far as this client knows. */
function readHistory(result: CheckResult): string {
  const { packs, packsUnread } = result;
  const oldest = readTime(result, (ns) => formatLocalTime(secondsOfNs(ns)));
  if (packs === 0) return 'There is no data yet';
  if (oldest === undefined) return 'No pack has been read and found good by this client';
  const unread = packsUnread === 0 ? '' : `, ${formatCount(packsUnread, 'pack')} not yet`;
  return `Packs were last read and found good ${oldest} or later${unread}`;
}

/** What, where, whom it hurts, and what to do. */
function findingLines(finding: Finding): string[] {
  const { kind, severity, object, message, heal, snapshots, paths } = finding;
  const lines = [`${severity}: ${kind} ${escapeControls(object)}`, `  ${escapeControls(message)}`];
  if (snapshots.length > 0) lines.push(`  in snapshots ${snapshots.map(shortId).join(' ')}`);
  lines.push(...paths.map((path) => `  hurts ${printable(path)}`));
  return heal === undefined ? lines : [...lines, `  heal with: ${heal}`];
}
