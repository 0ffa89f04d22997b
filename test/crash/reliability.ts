/**
/**
 * `npm run reliability [-- kills|blocks|schedules|damage|canaries …]`: runs every fault of docs/reliability.md and
 * prints its tables. Ends with 1 when anything was lost or a planted bug was not seen. What was judged of
 * kills and power cuts is kept in the file that `TEST_LOG` names: a run that was stopped goes on from there.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type BlockTally, lackOfBlockDevices, runBlocks } from '../helpers/block-runs.ts';
import { DAMAGE_PARTS, runDamages } from '../helpers/damage-parts.ts';
import { runCampaign } from '../helpers/fault-campaigns.ts';
import {
  BLOCK_CANARIES,
  type Canary,
  COLLECTION_CANARIES,
  KILL_CANARIES,
  QUICK_CANARIES,
} from '../helpers/fault-canaries.ts';
import { CampaignLog } from '../helpers/fault-log.ts';
import { FAULT_OPERATIONS } from '../helpers/fault-operations.ts';
import {
  BLOCK_PLANS,
  blockTable,
  campaignTable,
  canaryTable,
  RELIABILITY_CAMPAIGNS,
  singleRuns,
} from '../helpers/fault-reports.ts';
import { lackOfStrace } from '../helpers/fault-strace.ts';
import { pointRange } from '../helpers/point-range.ts';
import {
  runSchedules,
  SCHEDULE_CANARIES,
  SCHEDULE_COUNT,
  scheduleTable,
} from '../helpers/schedule-runs.ts';

const parts =
  process.argv.length > 2
    ? process.argv.slice(2)
    : ['kills', 'blocks', 'schedules', 'damage', 'canaries'];
const directory = mkdtempSync('/dev/shm/varve-reliability-');
const log = new CampaignLog(process.env['TEST_LOG']);
const say = (text: string): void => console.error(text);

/** The directory of one run, which is empty. */
let runCount = 0;
function nextDirectory(): string {
  runCount += 1;
  return mkdtempSync(join(directory, `${runCount}-`));
}

async function runKills(): Promise<number> {
  let lossCount = 0;
  for (const { title, campaign, share, needsStrace } of RELIABILITY_CAMPAIGNS) {
    const lack = needsStrace ? await lackOfStrace() : undefined;
    if (lack !== undefined) {
      console.log(`${title}: left out, ${lack}\n`);
      continue;
    }
    const tallies = await runCampaign(campaign, {
      ...{ log, title },
      directory: nextDirectory(),
      operations: FAULT_OPERATIONS,
      ...(share < 1 && { sampleCount: share }),
      onProgress: say,
    });
    console.log(`${campaignTable(title, tallies)}\n`);
    for (const loss of tallies.flatMap(({ losses }) => losses)) console.log(`LOSS ${loss}`);
    lossCount += tallies.reduce((sum, { losses }) => sum + losses.length, 0);
  }
  return lossCount;
}

async function runPowerCuts(): Promise<number> {
  const lack = await lackOfBlockDevices();
  if (lack !== undefined) {
    console.log(`power cuts: left out, ${lack}\n`);
    return 0;
  }
  const tallies: BlockTally[] = [];
  for (const plan of BLOCK_PLANS.flatMap(singleRuns)) {
    const known = log.blocksOf(plan.title);
    if (known !== undefined) {
      tallies.push(known);
      continue;
    }
    for (const tally of await runBlocks({ ...plan, directory: nextDirectory() }, say)) {
      tallies.push(tally);
      log.addBlocks(plan.title, tally);
    }
  }
  console.log(`${blockTable(tallies)}\n`);
  const losses = tallies.flatMap((tally) => tally.losses);
  for (const loss of losses) console.log(`LOSS ${loss}`);
  return losses.length;
}

/** `TEST_POINTS=<from>-<to>` takes those schedules. */
async function playSchedules(): Promise<number> {
  const range = pointRange(SCHEDULE_COUNT);
  const directory = nextDirectory();
  const tally = await runSchedules({ directory, range, laneCount: 2, onProgress: say });
  console.log(`${scheduleTable(tally)}\n`);
  for (const loss of tally.losses) console.log(`LOSS ${loss}`);
  return tally.losses.length;
}

async function runCanaries(): Promise<number> {
  const canaries = [
    ...QUICK_CANARIES,
    ...KILL_CANARIES,
    ...COLLECTION_CANARIES,
    ...SCHEDULE_CANARIES,
  ];
  if ((await lackOfBlockDevices()) === undefined) canaries.push(...BLOCK_CANARIES);
  const seen: { canary: Canary; caught: Awaited<ReturnType<Canary['look']>> }[] = [];
  for (const canary of canaries) {
    const caught = await canary.look(nextDirectory());
    say(`${canary.bug}: ${caught?.finding ?? 'NOT SEEN'}`);
    seen.push({ canary, caught });
  }
  console.log(`${canaryTable(seen)}\n`);
  return seen.filter(({ caught }) => caught === undefined).length;
}

const started = performance.now();
let failureCount = 0;
try {
  if (parts.includes('kills')) failureCount += await runKills();
  if (parts.includes('blocks')) failureCount += await runPowerCuts();
  if (parts.includes('schedules')) failureCount += await playSchedules();
  const damages = parts.includes('damage') ? Object.keys(DAMAGE_PARTS) : parts;
  failureCount += await runDamages(damages, say);
  if (parts.includes('canaries')) failureCount += await runCanaries();
} finally {
  rmSync(directory, { recursive: true, force: true });
}
console.log(`${((performance.now() - started) / 60_000).toFixed(1)} min, Node ${process.version}`);
process.exitCode = failureCount === 0 ? 0 : 1;
