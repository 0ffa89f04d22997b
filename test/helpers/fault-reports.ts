/** What is run for the figures of docs/reliability.md, and the tables that they are shown in. */
import type { BlockOptions, BlockTally } from './block-runs.ts';
import {
  type Campaign,
  fullDisks,
  lyingWrites,
  outrun,
  overlapped,
  seamErrors,
  seamKills,
  sleepers,
  systemErrors,
  systemKills,
  type Tally,
} from './fault-campaigns.ts';
import type { Canary, Caught } from './fault-canaries.ts';
import { FAULT_OPERATIONS } from './fault-operations.ts';

interface PlannedCampaign {
  readonly title: string;
  readonly campaign: Campaign;
  /** Of all its points. */
  readonly share: number;
  readonly needsStrace: boolean;
}

export const RELIABILITY_CAMPAIGNS: readonly PlannedCampaign[] = [
  { title: 'SIGKILL before a system call', campaign: systemKills, share: 1, needsStrace: true },
  { title: 'SIGKILL before a call of a seam', campaign: seamKills, share: 1, needsStrace: false },
  { title: 'asleep, fenced meanwhile', campaign: sleepers, share: 0.3, needsStrace: false },
  { title: 'asleep, collected meanwhile', campaign: outrun, share: 0.3, needsStrace: false },
  {
    title: 'asleep, overlapped by a snapshot',
    campaign: overlapped,
    share: 0.1,
    needsStrace: false,
  },
  { title: 'error of a system call', campaign: systemErrors, share: 0.02, needsStrace: true },
  { title: 'error of a call of a seam', campaign: seamErrors, share: 0.01, needsStrace: false },
  { title: 'full disk from a write on', campaign: fullDisks, share: 0.5, needsStrace: false },
  { title: 'write that keeps half', campaign: lyingWrites, share: 0.5, needsStrace: false },
];

type BlockPlan = Omit<BlockOptions, 'directory'> & { readonly title: string };

const operations = FAULT_OPERATIONS.map(({ name }) => name);

/** Histories with few writes between flushes give few states, so some file systems have more. */
const HISTORIES: Readonly<Record<string, number>> = {
  ext4: 6,
  'ext4 data=writeback': 6,
  xfs: 4,
  btrfs: 4,
};

export const BLOCK_PLANS: readonly BlockPlan[] = [
  ...Object.entries(HISTORIES).map(
    ([fileSystem, count]): BlockPlan => ({
      title: `${fileSystem}, histories`,
      fileSystem,
      histories: Array.from({ length: count }, (_, i) => i + 1),
      subsetsPerFlush: 6,
    }),
  ),
  ...['ext4', 'xfs', 'btrfs'].map(
    (fileSystem): BlockPlan => ({
      title: `${fileSystem}, operations`,
      ...{ fileSystem, operations },
      subsetsPerFlush: 3,
    }),
  ),
  {
    title: 'ext4, cache and writer state on it too',
    fileSystem: 'ext4',
    operations: ['first snapshot', 'incremental snapshot', 'rebuild-index', 'forget', 'prune'],
    subsetsPerFlush: 2,
    hasClient: true,
  },
];

/** The same, one operation or history at a time. */
export function singleRuns({ operations = [], histories = [], ...plan }: BlockPlan): BlockPlan[] {
  const title = (name: string): string => `${plan.title}: ${name}`;
  return [
    ...operations.map((name) => ({ ...plan, title: title(name), operations: [name] })),
    ...histories.map((seed) => ({ ...plan, title: title(`${seed}`), histories: [seed] })),
  ];
}

/** One row for each operation. */
export function campaignTable(title: string, tallies: readonly Tally[]): string {
  const rows = tallies.map((tally) => [
    tally.operation,
    tally.pointCount,
    tally.hitCount,
    tally.pointCount - tally.knownCount,
    tally.crashCount,
    tally.losses.length,
  ]);
  const sums = [1, 2, 3, 4, 5].map((column) =>
    rows.reduce((sum, row) => sum + Number(row[column]), 0),
  );
  const head = [title, 'points', 'hits', 'states judged', 'crashes', 'losses'];
  return table(head, [...rows, ['together', ...sums]]);
}

/** One row for each file system. */
export function blockTable(tallies: readonly BlockTally[]): string {
  const names = [...new Set(tallies.map(({ fileSystem }) => fileSystem))];
  const rows = names.map((name) => {
    const own = tallies.filter(({ fileSystem }) => fileSystem === name);
    const sum = (count: (tally: BlockTally) => number): number =>
      own.reduce((total, tally) => total + count(tally), 0);
    return [
      name,
      sum(({ flushCount }) => flushCount),
      sum(({ stateCount }) => stateCount),
      sum(({ judgedCount }) => judgedCount),
      sum(({ unmountableCount }) => unmountableCount),
      `${sum(({ complaints }) => complaints.length)} of ${sum(({ checkedCount }) => checkedCount)}`,
      sum(({ losses }) => losses.length),
    ];
  });
  const head = ['file system', 'flushes', 'states', 'in full', 'not mounted', 'fsck', 'losses'];
  return table(head, rows);
}

export function canaryTable(
  seen: readonly { canary: Canary; caught: Caught | undefined }[],
): string {
  const rows = seen.map(({ canary: { bug, layer }, caught }) => [
    bug,
    layer,
    caught === undefined ? 'NOT SEEN' : `after ${caught.count}`,
  ]);
  return table(['planted bug', 'looked for by', 'seen'], rows);
}

/** In Markdown. */
export function table(
  head: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): string {
  const line = (cells: readonly (string | number)[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
