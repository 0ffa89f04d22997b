/** Many schedules (`process-schedule.ts`), what they came to, and the planted bugs they must see. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { mapConcurrent } from '../../src/util/concurrent.ts';
import type { Canary } from './fault-canaries.ts';
import { table } from './fault-reports.ts';
import { playSchedule } from './process-schedule.ts';
import { ScheduleGround } from './schedule-ground.ts';
import { judgeSchedule } from './schedule-oracle.ts';

export interface ScheduleTally {
  schedules: number;
  processes: number;
  stops: number;
  kills: number;
  /** Sessions that somebody else ended, those whose process found out, and schedules that had one. */
  fenced: number;
  refused: number;
  schedulesWithFence: number;
  /** Collections that deleted packs, how many, and schedules that had one. */
  sweeps: number;
  deletedPacks: number;
  schedulesWithSweep: number;
  readonly losses: string[];
}

export interface ScheduleRunOptions {
  /** Made, and removed at the end. */
  readonly directory: string;
  /** Numbers of schedules: from the first to before the second. */
  readonly range: readonly [number, number];
  readonly bug?: string;
  /** Schedules at the same time, each in a place of its own; default: 1. */
  readonly laneCount?: number;
  /** Ends at the first loss. */
  readonly stopsAtLoss?: boolean;
  readonly onProgress?: (text: string) => void;
}

export const SCHEDULE_COUNT = 1000;
const progressEvery = 50;

export async function runSchedules(options: ScheduleRunOptions): Promise<ScheduleTally> {
  const { directory, range, bug, laneCount = 1, stopsAtLoss = false, onProgress } = options;
  const tally: ScheduleTally = {
    ...{ schedules: 0, processes: 0, stops: 0, kills: 0, fenced: 0, refused: 0, sweeps: 0 },
    ...{ deletedPacks: 0, schedulesWithFence: 0, schedulesWithSweep: 0, losses: [] },
  };
  const lanes = Array.from({ length: laneCount }, (_, i) => i);
  await mapConcurrent(lanes, laneCount, async (lane) => {
    const root = join(directory, `schedules-${lane}`);
    try {
      const ground = await ScheduleGround.make(root, bug);
      for (let number = range[0] + lane; number < range[1]; number += laneCount) {
        await runOne(ground, number, tally);
        if (tally.schedules % progressEvery === 0) onProgress?.(describeSchedules(tally));
        if (stopsAtLoss && tally.losses.length > 0) break;
      }
    } finally {
      rmSync(root, { recursive: true, force: true });
    }
  });
  return tally;
}

async function runOne(ground: ScheduleGround, number: number, tally: ScheduleTally): Promise<void> {
  tally.schedules += 1;
  try {
    const played = await playSchedule(ground, number);
    tally.processes += played.processes.length;
    tally.stops += played.stopCount;
    tally.kills += played.processes.filter(({ wasKilled }) => wasKilled).length;
    const judged = await judgeSchedule(ground, played);
    tally.fenced += judged.fencedCount;
    tally.refused += judged.refusedCount;
    tally.sweeps += judged.sweepCount;
    tally.deletedPacks += judged.deletedCount;
    if (judged.fencedCount > 0) tally.schedulesWithFence += 1;
    if (judged.sweepCount > 0) tally.schedulesWithSweep += 1;
    if (judged.faults.length === 0) return;
    const lines = [...judged.faults, ...played.trace];
    tally.losses.push(`schedule ${number}: ${lines.join('\n  ')}`);
  } catch (error) {
    tally.losses.push(`schedule ${number}: ${(error as Error).stack}`);
  }
}

/** One row, so that it is seen that schedules exercise what they should. */
export function scheduleTable(tally: ScheduleTally): string {
  const { schedules, processes, stops, kills, losses } = tally;
  const head = [
    ...['schedules', 'processes', 'stops', 'kills', 'sessions fenced', 'of them found out'],
    ...[
      'collections that swept',
      'packs deleted',
      'schedules with a fence, with a sweep',
      'losses',
    ],
  ];
  const row = [
    ...[schedules, processes, stops, kills, tally.fenced, tally.refused],
    ...[tally.sweeps, tally.deletedPacks],
    `${tally.schedulesWithFence}, ${tally.schedulesWithSweep}`,
    losses.length,
  ];
  return table(head, [row]);
}

function describeSchedules(tally: ScheduleTally): string {
  const { schedules, processes, stops, kills, fenced, refused, sweeps, deletedPacks } = tally;
  return (
    `${schedules} schedules, ${processes} processes, ${stops} stops, ${kills} kills, ` +
    `${fenced} sessions fenced of which ${refused} found out (in ${tally.schedulesWithFence} schedules), ` +
    `${sweeps} sweeps of ${deletedPacks} packs (in ${tally.schedulesWithSweep}), ` +
    `${tally.losses.length} losses`
  );
}

/** Each is seen within so many schedules. */
const canaryScheduleCount = 200;

export const SCHEDULE_CANARIES: readonly Canary[] = [
  'a sweep does not wait',
  'a fence is not looked at before the commit',
  'what is used again is not rescued',
].map((bug) => ({
  bug,
  layer: 'schedules',
  operation: 'snapshot, forget, prune',
  look: async (directory) => {
    const range = [0, canaryScheduleCount] as const;
    const { losses, schedules } = await runSchedules({ directory, range, bug, stopsAtLoss: true });
    const finding = losses[0]?.split('\n', 1)[0];
    return finding === undefined ? undefined : { finding, count: schedules };
  },
}));
