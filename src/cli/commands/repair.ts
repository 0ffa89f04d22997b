/** `varve repair`: heals what `varve check` finds. It writes new objects and deletes none. */
import { type Command, Option } from 'commander';
import { shortId } from '../../id.ts';
import {
  type DamagedObject,
  type IndexRepair,
  openRepository,
  type PacksRepair,
  type Repair,
  type SnapshotsRepair,
} from '../../index.ts';
import { encodeUtf8 } from '../../util/bytes.ts';
import { escapeControls, printable } from '../../util/printable.ts';
import { exitCodes, UsageError } from '../exit-code.ts';
import { formatBytes, formatCount } from '../format.ts';
import { outsideText, outsideTexts } from '../json.ts';
import type { CommonOptions } from '../options.ts';
import {
  type FromPassphraseOptions,
  findFromPassphraseSource,
  readPassphrase,
} from '../passphrase.ts';
import { absoluteArgument } from '../raw-argument.ts';
import { type Runtime, withRepository } from '../runtime.ts';
import { askConsent } from '../terminal.ts';

interface RepairOptions extends CommonOptions {
  dryRun?: boolean;
  yes?: boolean;
}

interface PacksOptions extends RepairOptions, FromPassphraseOptions {
  readData?: boolean;
  live?: string;
  from?: string;
}

interface SnapshotsOptions extends RepairOptions {
  readData?: boolean;
}

export function addRepairCommand(program: Command, runtime: Runtime): void {
  const repair = program
    .command('repair')
    .summary('heal what is damaged')
    .description(
      'Heal what "varve check" finds. A repair writes new objects; it never changes or deletes ' +
        'one. Each shows its plan first and asks on a terminal, without one it needs --yes. What ' +
        'cannot be healed is named; the exit code is then 3.',
    )
    .helpCommand('help [command]', 'print help for a command');
  addIndexCommand(repair, runtime);
  addPacksCommand(repair, runtime);
  addSnapshotsCommand(repair, runtime);
}

function addIndexCommand(repair: Command, runtime: Runtime): void {
  const command = addPlanOptions(
    repair
      .command('index')
      .summary('name packs whose index segment is lost')
      .description(
        'Name packs in new index segments whose own segment is lost or damaged. Damaged segments ' +
          'are listed and stay where they are.',
      ),
  ).action(async () => {
    runtime.exitCode = await repairIndex(runtime, command.optsWithGlobals<RepairOptions>());
  });
}

function addPacksCommand(repair: Command, runtime: Runtime): void {
  const command = addPlanOptions(
    repair
      .command('packs')
      .summary('store damaged data again')
      .description(
        'Store damaged and missing data again, from whatever has it still: other copies in the ' +
          'repository, the files it came from, another copy of the repository. What is stored ' +
          'is read back before it counts.',
      )
      .option('--read-data', 'read all packs first, to find damage not known yet')
      .option(
        '--live <directory>',
        'take it from files: those in this directory that were saved, or a restore of them ' +
          'below it under their whole paths',
      )
      .option('--from <location>', 'take it from a copy of the repository')
      .addOption(
        new Option('--from-password-file <file>', 'read its passphrase from a file').conflicts(
          'fromPasswordCommand',
        ),
      )
      .option('--from-password-command <command>', 'run a command that prints its passphrase'),
  ).action(async () => {
    runtime.exitCode = await repairPacks(runtime, command.optsWithGlobals<PacksOptions>());
  });
}

function addSnapshotsCommand(repair: Command, runtime: Runtime): void {
  const command = addPlanOptions(
    repair
      .command('snapshots')
      .summary('make snapshots without what is lost')
      .description(
        'Make a new snapshot of each that is damaged, without what is lost. It has the tag ' +
          '"repaired". The old one stays until it is forgotten.',
      )
      .option('--read-data', 'read all packs first, to find damage not known yet'),
  ).action(async () => {
    runtime.exitCode = await repairSnapshots(runtime, command.optsWithGlobals<SnapshotsOptions>());
  });
}

function addPlanOptions(command: Command): Command {
  return command
    .option('-n, --dry-run', 'show the plan and write nothing')
    .option('--yes', 'do not ask');
}

/** What the library asks before it writes; undefined: it need not ask. */
function confirmation<Plan>(
  { output }: Runtime,
  { dryRun = false, yes = false }: RepairOptions,
  tell: (plan: Plan) => void,
): ((plan: Plan) => Promise<boolean>) | undefined {
  if (dryRun || yes) return undefined;
  if (!process.stdin.isTTY) throw new UsageError('without a terminal "varve repair" needs --yes');
  return async (plan) => {
    output.endProgress();
    tell(plan);
    output.flush();
    return await askConsent('Go on?');
  };
}

async function repairIndex(runtime: Runtime, options: RepairOptions): Promise<number> {
  const { output, signal } = runtime;
  const { onProgress } = output;
  const { dryRun: isDryRun } = options;
  const tell = (plan: IndexRepair): void => {
    output.report(...plan.packs.map((name) => `  ${name}`));
    output.report(`To be named again: ${formatCount(plan.packs.length, 'pack')}`);
  };
  const confirm = confirmation(runtime, options, tell);
  const repair = await withRepository(runtime, options, (repository) =>
    repository.repairIndex({ signal, onProgress, isDryRun, confirm }),
  );
  output.endProgress();
  const { packs, unreadable, suspects, isApplied } = repair;
  for (const damaged of unreadable) reportDamaged(output, damaged);
  const code = codeOf(repair, { isDryRun, planned: packs.length, left: unreadable.length });
  if (output.isJson) {
    output.event('summary', {
      code,
      dry_run: isDryRun === true,
      applied: isApplied,
      packs,
      suspects: suspects.map(({ name }) => name),
      error_count: unreadable.length,
    });
    return code;
  }
  for (const { name } of suspects) output.report(`suspect: ${escapeControls(name)}`);
  if (isDryRun === true) tell(repair);
  else if (isApplied) output.report(`Named again: ${formatCount(packs.length, 'pack')}`);
  else output.report(packs.length === 0 ? 'Every pack is named' : 'Nothing was written');
  return code;
}

async function repairPacks(runtime: Runtime, options: PacksOptions): Promise<number> {
  const { output, signal, environment } = runtime;
  const { onProgress } = output;
  const { dryRun: isDryRun, live, from, readData: isReadingData } = options;
  const tell = (plan: PacksRepair): void => {
    for (const line of lostLines(plan)) output.result(line);
    output.report(`To be stored again: ${healedText(plan)}`);
  };
  const confirm = confirmation(runtime, options, tell);
  const source = findFromPassphraseSource(options, environment);
  const repair = await withRepository(runtime, options, async (repository) => {
    const other =
      from === undefined
        ? undefined
        : await openRepository({
            location: from,
            passphrase: () => readPassphrase(source, `Passphrase of ${from}: `),
            cacheDirectory: options.cacheDir,
            jobs: options.jobs,
            memory: options.memory,
            onNotice: (text) => output.notice(text),
          });
    try {
      return await repository.repairPacks({
        live: live === undefined ? undefined : absoluteArgument(live),
        from: other,
        isReadingData,
        isDryRun,
        confirm,
        signal,
        onProgress,
      });
    } finally {
      await other?.close();
    }
  });
  output.endProgress();
  const { healed, lost, storedBytes, isApplied } = repair;
  const planned = healed.repository + healed.live + healed.from;
  const code = codeOf(repair, { isDryRun, planned, left: lost.length });
  if (output.isJson) {
    for (const { object, message, snapshots, paths } of lost) {
      output.event('lost_blob', {
        id: object,
        message,
        snapshots,
        ...outsideTexts('paths', paths),
      });
    }
    output.event('summary', {
      code,
      dry_run: isDryRun === true,
      applied: isApplied,
      healed_from_repository: healed.repository,
      healed_from_live: healed.live,
      healed_from_other: healed.from,
      stored_size: storedBytes,
      error_count: lost.length,
    });
    return code;
  }
  if (isDryRun === true) {
    tell(repair);
    return code;
  }
  for (const line of lostLines(repair)) output.result(line);
  if (isApplied) output.report(`Stored again: ${healedText(repair)}, ${formatBytes(storedBytes)}`);
  else output.report(planned === 0 ? 'Nothing can be healed' : 'Nothing was written');
  return code;
}

async function repairSnapshots(runtime: Runtime, options: SnapshotsOptions): Promise<number> {
  const { output, signal } = runtime;
  const { onProgress } = output;
  const { dryRun: isDryRun, readData: isReadingData } = options;
  const tell = (plan: SnapshotsRepair): void => {
    for (const line of snapshotLines(plan)) output.result(line);
    output.report(`To be made anew: ${formatCount(plan.snapshots.length, 'snapshot')}`);
  };
  const confirm = confirmation(runtime, options, tell);
  const repair = await withRepository(runtime, options, (repository) =>
    repository.repairSnapshots({ isReadingData, isDryRun, confirm, signal, onProgress }),
  );
  output.endProgress();
  const { snapshots, refused, repairedBefore, isApplied } = repair;
  for (const { id, reason } of refused) {
    const error = new Error(`Cannot repair snapshot "${id}": ${reason}`);
    const { message } = error;
    output.problem({ message, during: 'repair', code: 'refused', item: encodeUtf8(id), error });
  }
  const code = codeOf(repair, { isDryRun, planned: snapshots.length, left: refused.length });
  if (output.isJson) {
    for (const { id, repairedId, lostCount, lost } of snapshots) {
      output.event('repaired_snapshot', { id, repaired_id: repairedId, lost_count: lostCount });
      for (const { path, code: reason } of lost) {
        output.event('lost_entry', { id, code: reason, ...outsideText('item', path) });
      }
    }
    output.event('summary', {
      code,
      dry_run: isDryRun === true,
      applied: isApplied,
      snapshots: snapshots.length,
      repaired_before: repairedBefore,
      error_count: refused.length,
    });
    return code;
  }
  for (const id of repairedBefore) output.report(`Snapshot ${shortId(id)} was repaired before`);
  if (isDryRun === true) tell(repair);
  else if (isApplied) {
    for (const line of snapshotLines(repair)) output.result(line);
    output.report('"varve forget" takes the damaged ones away');
  } else {
    output.report(snapshots.length === 0 ? 'No snapshot to repair' : 'Nothing was written');
  }
  return code;
}

/** Without consent nothing was done; what is left makes the rest a part of what was wanted. */
function codeOf(
  { isApplied }: Repair,
  {
    isDryRun = false,
    planned,
    left,
  }: { isDryRun?: boolean | undefined; planned: number; left: number },
): number {
  if (!isDryRun && !isApplied && planned > 0) return exitCodes.failed;
  return left > 0 ? exitCodes.partial : exitCodes.done;
}

function reportDamaged(output: Runtime['output'], { name, error }: DamagedObject): void {
  const { message } = error;
  output.problem({ message, during: 'read', code: 'damaged', item: encodeUtf8(name), error });
}

function healedText({ healed }: PacksRepair): string {
  const { repository, live, from } = healed;
  const parts = [
    [repository, 'other copies'],
    [live, 'live files'],
    [from, 'the other repository'],
  ] as const;
  const sources = parts.filter(([count]) => count > 0).map(([count, of]) => `${count} from ${of}`);
  const total = formatCount(repository + live + from, 'blob');
  return sources.length === 0 ? total : `${total} (${sources.join(', ')})`;
}

function lostLines({ lost }: PacksRepair): string[] {
  return lost.flatMap(({ message, snapshots, paths }) => [
    `lost: ${escapeControls(message)}`,
    ...(snapshots.length > 0 ? [`  in snapshots ${snapshots.map(shortId).join(' ')}`] : []),
    ...paths.map((path) => `  hurts ${printable(path)}`),
  ]);
}

function snapshotLines({ snapshots }: SnapshotsRepair): string[] {
  return snapshots.flatMap(({ id, repairedId, lostCount, lost }) => {
    const made = repairedId === undefined ? '' : ` is now ${shortId(repairedId)},`;
    return [
      `Snapshot ${shortId(id)}${made} without ${formatCount(lostCount, 'entry', 'entries')}`,
      ...lost.map(({ path, code }) => `  ${code}  ${printable(path)}`),
    ];
  });
}
