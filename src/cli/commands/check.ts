/** `varve check`: is everything there and intact? */
import type { Command } from 'commander';
import { shortId } from '../../id.ts';
import type { CheckResult, Finding } from '../../index.ts';
import { escapeControls, printable } from '../../util/printable.ts';
import { exitCodes } from '../exit-code.ts';
import { formatBytes, formatCount, formatElapsed, secondsOf } from '../format.ts';
import { outsideTexts } from '../json.ts';
import type { CommonOptions } from '../options.ts';
import type { Output } from '../output.ts';
import { type Runtime, withRepository } from '../runtime.ts';

interface CheckOptions extends CommonOptions {
  readData?: boolean;
}

export function addCheckCommand(program: Command, runtime: Runtime): void {
  const command = program
    .command('check')
    .summary('look for damage')
    .description(
      'Check that every snapshot is there with all its trees, and that everything they need is ' +
        'where the index says. With --read-data every stored byte is read and verified. Damage ' +
        'is reported, never changed; the exit code is then 4.',
    )
    .option('--read-data', 'read and verify all packs')
    .action(async () => {
      runtime.exitCode = await check(runtime, command.optsWithGlobals<CheckOptions>());
    });
}

async function check(runtime: Runtime, options: CheckOptions): Promise<number> {
  const { output, signal } = runtime;
  const result = await withRepository(runtime, options, (repository) =>
    repository.check({
      isReadingData: options.readData === true,
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
    const { kind, severity, object, message, snapshots, paths } = finding;
    output.event('finding', {
      kind,
      severity,
      object,
      message,
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
    bytes_read: result.bytesRead,
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
  if (damaged > 0) output.result(`Damage: ${formatCount(damaged, 'finding')}`);
  else output.report('No damage found');
}

/** What, where, and whom it hurts. */
function findingLines({ kind, severity, object, message, snapshots, paths }: Finding): string[] {
  const lines = [`${severity}: ${kind} ${escapeControls(object)}`, `  ${escapeControls(message)}`];
  if (snapshots.length > 0) lines.push(`  in snapshots ${snapshots.map(shortId).join(' ')}`);
  return [...lines, ...paths.map((path) => `  hurts ${printable(path)}`)];
}
