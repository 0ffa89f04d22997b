/** What `varve prune` is about to do and what it has done, as text for people and as JSON lines. */
import { shortId } from '../id.ts';
import type { PackReason, PackTotals, PruneResult, WaitingFor } from '../index.ts';
import { encodeUtf8 } from '../util/bytes.ts';
import { printable } from '../util/printable.ts';
import { formatBytes, formatCount, formatElapsed, formatLocalTime, secondsOf } from './format.ts';
import { type JsonFields, rfc3339OfNs } from './json.ts';
import type { Output } from './output.ts';
import { formatTable } from './table.ts';

interface ReasonTotals extends PackTotals {
  liveSize: number;
}

/** Whether there is anything to delete. */
export function hasPlan(planned: PruneResult): boolean {
  return packCountOf(planned) > 0;
}

export function packCountOf({ plan, unindexed, earlier }: PruneResult): number {
  return plan.length + unindexed.packs + earlier.packs;
}

/**
 * A line for each reason, what comes of it, and if wanted a line for each pack.
 *
 *     42 packs of 5.2 GiB, of which 27 go:
 *       dead    3 packs  600.0 MiB  nothing in them is needed
 *       waste   4 packs  512.0 MiB  of which 120.0 MiB are needed, and written again
 *       small  20 packs   30.0 MiB  of which 29.8 MiB are written again, into few packs
 *     Frees 992.2 MiB; writes 149.8 MiB again
 */
export function planLines(planned: PruneResult, isExplaining: boolean): string[] {
  const { before, plan, wasteLeft } = planned;
  const rows = plan.map(({ name, kind, reason, size, liveSize }) => {
    return [reason, name, kind, formatBytes(size), `${formatBytes(liveSize)} needed`];
  });
  const packs = formatTable(rows, ['left', 'left', 'left', 'right', 'right']);
  const all = `${formatCount(before.packs, 'pack')} of ${formatBytes(before.size)}`;
  return [
    ...(isExplaining ? packs : []),
    `${all}, of which ${packCountOf(planned).toLocaleString('en')} go:`,
    ...formatTable(reasonRows(planned), ['left', 'right', 'right', 'left']).map(
      (line) => `  ${line}`,
    ),
    ...gainLines(planned),
    ...(wasteLeft > 0 ? [wasteLine(planned)] : []),
    ...graceLines(planned),
  ];
}

function reasonRows({ plan, unindexed, earlier }: PruneResult): string[][] {
  const row = (reason: string, { packs, size }: PackTotals, note: string): string[][] =>
    packs === 0 ? [] : [[reason, formatCount(packs, 'pack'), formatBytes(size), note]];
  const totals = totalsByReason(plan);
  const { dead, waste, small } = totals;
  const [wasteLive, smallLive] = [formatBytes(waste.liveSize), formatBytes(small.liveSize)];
  return [
    ...row('earlier', earlier, 'an earlier prune has named them'),
    ...row('dead', dead, 'nothing in them is needed'),
    ...row('lost', unindexed, 'of writers that were stopped long ago'),
    ...row('waste', waste, `of which ${wasteLive} are needed, and written again`),
    ...row('small', small, `of which ${smallLive} are written again, into few packs`),
  ];
}

function totalsByReason(plan: PruneResult['plan']): Record<PackReason, ReasonTotals> {
  const none = (): ReasonTotals => ({ packs: 0, size: 0, liveSize: 0 });
  const totals = { dead: none(), waste: none(), small: none() };
  for (const { reason, size, liveSize } of plan) {
    totals[reason].packs += 1;
    totals[reason].size += size;
    totals[reason].liveSize += liveSize;
  }
  return totals;
}

/** Bytes; what is written again has to be taken off, and few packs may take more than many did. */
function freedSize({ dead, repacked, unindexed, earlier }: PruneResult): number {
  const gone = dead.size + repacked.size + unindexed.size + earlier.size;
  return Math.max(0, gone - repacked.liveSize);
}

function gainLines(planned: PruneResult): string[] {
  const { liveSize } = planned.repacked;
  const written = liveSize > 0 ? `, writes ${formatBytes(liveSize)} again` : '';
  return [`Frees ${formatBytes(freedSize(planned))}${written}`];
}

function wasteLine({ wasteLeft, isLimited }: PruneResult): string {
  const why = isLimited ? 'limits keep it there' : 'too little in each to write them again';
  return `${formatBytes(wasteLeft)} that nothing needs stay in packs that are kept: ${why}`;
}

function graceLines({ inGrace }: PruneResult): string[] {
  if (inGrace === 0) return [];
  const [what, whose] = inGrace === 1 ? ['is kept', 'its'] : ['are kept', 'their'];
  return [`${formatCount(inGrace, 'forgotten snapshot')} ${what} until ${whose} grace is over`];
}

/** Lines about what became of it. */
export function resultLines(result: PruneResult): string[] {
  const { outcome, fenced } = result;
  const ended =
    fenced.length === 0
      ? []
      : [`Ended ${formatCount(fenced.length, 'session')} without a sign of life`];
  if (outcome === 'planned') return plannedLines(result);
  if (outcome === 'nothing') return [...ended, ...nothingLines(result)];
  if (outcome === 'waiting') return [...ended, ...waitingLines(result)];
  return [...ended, ...sweptLines(result)];
}

/** Of a dry run, or of a plan that was declined. */
function plannedLines(result: PruneResult): string[] {
  if (result.deleted.packs > 0) return [`${deletedLine(result)}, as agreed before; no others`];
  return hasPlan(result) ? ['Nothing was deleted'] : nothingLines(result);
}

function nothingLines(result: PruneResult): string[] {
  if (hasPlan(result)) return [deletedLine(result)];
  const { before, wasteLeft } = result;
  return [
    `Nothing to delete in ${formatCount(before.packs, 'pack')} of ${formatBytes(before.size)}`,
    ...(wasteLeft > 0 ? [wasteLine(result)] : []),
    ...graceLines(result),
  ];
}

function sweptLines(result: PruneResult): string[] {
  const { isAdopted, repacked, durationNs } = result;
  const written =
    repacked.packs === 0 ? [] : [`  written again  ${formatBytes(repacked.liveSize)}`];
  return [
    deletedLine(result),
    ...written,
    `  time           ${formatElapsed(secondsOf(durationNs))}`,
    ...(isAdopted
      ? ['This was the plan of another prune: run it again for what was forgotten since']
      : []),
  ];
}

/** Of what was planned; a snapshot that was taken meanwhile may need it after all. */
function deletedLine({ deleted }: PruneResult): string {
  if (deleted.packs === 0) return 'Nothing was deleted: all of it turned out to be needed';
  return `Deleted ${formatCount(deleted.packs, 'pack')} of ${formatBytes(deleted.size)}`;
}

function waitingLines(result: PruneResult): string[] {
  const { waitingFor, deleted } = result;
  const rows = waitingFor.map(({ id, host, lastSignMs }) => [
    shortId(id),
    printable(encodeUtf8(host ?? 'unknown host')),
    `last sign ${formatLocalTime(BigInt(Math.floor(lastSignMs / 1000)))}`,
  ]);
  return [
    deleted.packs > 0 ? deletedLine(result) : 'Nothing was deleted yet',
    `${formatCount(waitingFor.length, 'session')} began before and may still need something:`,
    ...formatTable(rows, ['left', 'left', 'left']).map((line) => `  ${line}`),
    'Run it again when they have ended. Those that died are ended by it a day after their last',
    'sign of life, or sooner with --fence-after',
  ];
}

/** Of each pack that goes. */
export function sendPacks(output: Output, { plan }: PruneResult): void {
  for (const { name, kind, reason, size, liveSize } of plan) {
    output.event('pack', { id: name, kind, reason, size, live_size: liveSize });
  }
}

export function planFields(planned: PruneResult): JsonFields {
  const { before, snapshots, inGrace, blobs, repacked, wasteLeft, isLimited } = planned;
  const { dead, unindexed, earlier } = planned;
  return {
    snapshots_count: snapshots,
    grace_snapshots_count: inGrace,
    blobs,
    ...totalsFields('total', before),
    ...totalsFields('dead', dead),
    ...totalsFields('repack', repacked),
    repack_live_size: repacked.liveSize,
    ...totalsFields('unindexed', unindexed),
    ...totalsFields('earlier', earlier),
    freed_size: freedSize(planned),
    waste_left: wasteLeft,
    limited: isLimited,
  };
}

export function sendWaiting(output: Output, { waitingFor }: PruneResult): void {
  for (const session of waitingFor) output.event('waiting', waitingFields(session));
}

function waitingFields({ id, host, writerId, lastSignMs }: WaitingFor): JsonFields {
  return {
    id,
    short_id: shortId(id),
    hostname: host,
    writer_id: writerId,
    last_sign: rfc3339OfNs(BigInt(lastSignMs) * 1_000_000n),
  };
}

export function resultFields(result: PruneResult): JsonFields {
  const { outcome, generation, deleted, repacked, wasteLeft, fenced, waitingFor } = result;
  return {
    outcome,
    generation,
    run_again: outcome === 'swept' && result.isAdopted,
    ...totalsFields('deleted', deleted),
    ...totalsFields('repack', repacked),
    repack_live_size: repacked.liveSize,
    waste_left: wasteLeft,
    fenced,
    waiting_count: waitingFor.length,
    total_duration: secondsOf(result.durationNs),
  };
}

function totalsFields(name: string, { packs, size }: PackTotals): JsonFields {
  return { [`${name}_packs`]: packs, [`${name}_size`]: size };
}
