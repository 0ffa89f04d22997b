/** `varve prune`: packs that no snapshot needs any more go, told before it happens. */
import type { Command } from 'commander';
import type { OnProgress, PruneResult } from '../../index.ts';
import { exitCodes, UsageError } from '../exit-code.ts';
import { formatCount } from '../format.ts';
import type { CommonOptions } from '../options.ts';
import type { Output } from '../output.ts';
import { parseDuration, parseSizeOrZero } from '../parse-values.ts';
import {
  hasPlan,
  packCountOf,
  planFields,
  planLines,
  resultFields,
  resultLines,
  sendPacks,
  sendWaiting,
} from '../prune-report.ts';
import { type Runtime, withRepository } from '../runtime.ts';
import { askConsent } from '../terminal.ts';

interface PruneFlags extends CommonOptions {
  /** Bytes. */
  maxRepackSize?: number;
  /** These three in milliseconds. */
  maxDuration?: number;
  grace?: number;
  fenceAfter?: number;
  explain?: boolean;
  dryRun?: boolean;
  yes?: boolean;
}

export function addPruneCommand(program: Command, runtime: Runtime): void {
  const command = program
    .command('prune')
    .aliases(['gc', 'compact'])
    .summary('delete what no snapshot needs')
    .description(
      'Delete what no snapshot needs any more. The plan is shown first; on a terminal it asks, ' +
        'without one it needs --yes. Others may go on writing, and it may be stopped at any ' +
        'time: the next one goes on from there.',
    )
    .option('--max-repack-size <size>', 'write at most so much again; 0: nothing', parseSizeOrZero)
    .option('--max-duration <duration>', 'begin nothing new after so long', parseDuration)
    .option(
      '--grace <duration>',
      'keep what was forgotten for so long, instead of a day; 0: not at all',
      parseDuration,
    )
    .option(
      '--fence-after <duration>',
      'end sessions that gave no sign of life for so long, instead of a day',
      parseDuration,
    )
    .option('--explain', 'show each pack that goes, and why')
    .option('-n, --dry-run', 'show the plan, and delete nothing')
    .option('--yes', 'do not ask')
    .addHelpText(
      'after',
      '\nA DURATION is written 90s, 30m, 2h or 1d12h; m are minutes.' +
        '\n\nExamples:\n  varve prune --dry-run\n  varve prune --yes --max-duration 2h',
    )
    .action(async () => {
      runtime.exitCode = await prune(runtime, command.optsWithGlobals<PruneFlags>());
    });
}

async function prune(runtime: Runtime, flags: PruneFlags): Promise<number> {
  const { output, signal } = runtime;
  const { dryRun: isDryRun = false, yes = false } = flags;
  const isAsking = !isDryRun && !yes;
  if (isAsking && !process.stdin.isTTY) {
    throw new UsageError('without a terminal "varve prune" needs --yes, or --dry-run');
  }
  let isShown = false;
  const show = (planned: PruneResult): void => {
    isShown = true;
    showPlan(output, planned, flags);
  };
  const result = await withRepository(runtime, flags, (repository) =>
    sayingWhatIsLeft(runtime, () =>
      repository.prune({
        isDryRun,
        repackSizeMax: flags.maxRepackSize,
        durationMaxMs: flags.maxDuration,
        graceMs: flags.grace,
        sessionTtlMs: flags.fenceAfter,
        signal,
        onProgress: progressOf(output),
        confirm: async (planned) => {
          output.endProgress();
          show(planned);
          output.flush();
          const isWanted = !isAsking || (await askConsent(questionOf(planned)));
          output.startClock();
          return isWanted;
        },
      }),
    ),
  );
  output.endProgress();
  if (!isShown) show(result);
  const isDeclined = !isDryRun && result.outcome === 'planned';
  const code = isDeclined ? exitCodes.failed : codeOf(result);
  if (output.isJson) {
    sendWaiting(output, result);
    output.event('summary', { code, dry_run: isDryRun, ...resultFields(result) });
  } else printResult(output, result);
  return code;
}

/** What a stop costs is what somebody wants to know who has just done it. */
async function sayingWhatIsLeft<T>(
  { output, signal }: Runtime,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (signal.aborted) output.notice('no snapshot has lost anything; the next prune goes on');
    throw error;
  }
}

/** Waiting may take hours, and is told also where there is no progress line. */
function progressOf(output: Output): OnProgress {
  const { onProgress } = output;
  let isWaitTold = false;
  return (progress) => {
    const { phase, filesDone } = progress;
    if (phase === 'sessions' && !isWaitTold) {
      isWaitTold = true;
      output.notice(`waiting for ${formatCount(filesDone, 'session')}: see "varve sessions"`);
    }
    onProgress?.(progress);
  };
}

function showPlan(output: Output, planned: PruneResult, flags: PruneFlags): void {
  const { explain: isExplaining = false, quiet = false, yes = false } = flags;
  if (output.isJson) {
    sendPacks(output, planned);
    output.event('plan', planFields(planned));
  } else if (hasPlan(planned) && !(quiet && yes)) {
    for (const line of planLines(planned, isExplaining || output.isVerbose)) output.result(line);
  }
}

function questionOf(planned: PruneResult): string {
  return `Delete ${formatCount(packCountOf(planned), 'pack')}?`;
}

/** A failure is told even where summaries are not. */
function printResult(output: Output, result: PruneResult): void {
  const lines = resultLines(result);
  if (codeOf(result) === exitCodes.done) output.report(...lines);
  else for (const line of lines) output.result(line);
}

function codeOf({ outcome }: PruneResult): number {
  return outcome === 'waiting' ? exitCodes.busy : exitCodes.done;
}
