/**
 * Planted bugs with the harness that must see each. A canary that is not seen means that the harness
 * is blind: then none of its other results is worth anything.
 */
import { describeBlocks, runBlocks } from './block-runs.ts';
import {
  type Campaign,
  fullDisks,
  lyingWrites,
  overlapped,
  runCampaign,
  seamKills,
  sleepers,
  unharmed,
} from './fault-campaigns.ts';
import { FAULT_OPERATIONS } from './fault-operations.ts';

/** What was seen of a bug, and how much had to be looked at; undefined when nothing was. */
export interface Caught {
  readonly finding: string;
  /** Points or states. */
  readonly count: number;
}

export interface Canary {
  readonly bug: string;
  /** How it is looked for, in a few words. */
  readonly layer: string;
  /** A name in the table of operations. */
  readonly operation: string;
  look(directory: string): Promise<Caught | undefined>;
}

const FINDING_LENGTH_MAX = 300;

function campaignCanary(
  bug: string,
  { layer, campaign, operation }: { layer: string; campaign: Campaign; operation: string },
): Canary {
  return {
    bug,
    layer,
    operation,
    look: async (directory) => {
      const operations = FAULT_OPERATIONS.filter(({ name }) => name === operation);
      const tallies = await runCampaign(campaign, {
        directory,
        operations,
        bug,
        stopsAtLoss: true,
      });
      const [{ losses, pointCount } = { losses: [], pointCount: 0 }] = tallies;
      const finding = losses[0]?.slice(0, FINDING_LENGTH_MAX);
      return finding === undefined ? undefined : { finding, count: pointCount };
    },
  };
}

function blockCanary(bug: string, fileSystem: string, operation = 'incremental snapshot'): Canary {
  return {
    bug,
    layer: `power cuts, ${fileSystem}`,
    operation,
    look: async (directory) => {
      const [tally] = await runBlocks({
        fileSystem,
        operations: [operation],
        directory,
        subsetsPerFlush: 6,
        bug,
        stopsAtLoss: true,
      });
      const finding = tally?.losses[0];
      return tally === undefined || finding === undefined
        ? undefined
        : { finding: `${finding} (${describeBlocks(tally)})`, count: tally.stateCount };
    },
  };
}

const kills = { layer: 'kills through the seams', campaign: seamKills };

/** Seen after few points. */
export const QUICK_CANARIES: readonly Canary[] = [
  campaignCanary('the old passphrase goes before the new one comes', {
    ...kills,
    operation: 'key passwd',
  }),
  campaignCanary('the kept size is not compared', {
    layer: 'lying writes',
    campaign: lyingWrites,
    operation: 'first snapshot',
  }),
  campaignCanary('failed writes are taken for done', {
    layer: 'full disks',
    campaign: fullDisks,
    operation: 'first snapshot',
  }),
  ...Object.entries({
    'memory changes a bit, packs are not verified': 'first snapshot',
    'memory changes a bit, ids are not checked': 'first snapshot',
    'bases of deltas are not kept': 'prune of bases',
    'there is no grace': 'prune within the grace',
    'undelete relies on what is about to go': 'undelete of what a sweep names',
  }).map(([bug, operation]) =>
    campaignCanary(bug, { layer: 'no other fault', campaign: unharmed, operation }),
  ),
];

export const KILL_CANARIES: readonly Canary[] = [
  ...[
    'an object has its name before its bytes',
    'the commit comes before its segments',
    'a segment comes before its packs',
  ].map((bug) => campaignCanary(bug, { ...kills, operation: 'first snapshot' })),
  campaignCanary('a file is restored under its final name', { ...kills, operation: 'restore' }),
  campaignCanary('put-if-absent replaces what is there', {
    layer: 'sleepers',
    campaign: sleepers,
    operation: 'incremental snapshot',
  }),
];

/** Seen where something else is at work beside the collector. */
export const COLLECTION_CANARIES: readonly Canary[] = [
  campaignCanary('packs go before the sweep is stored', { ...kills, operation: 'prune' }),
  campaignCanary('segments go before the compacted one is stored', {
    ...kills,
    operation: 'prune that compacts segments',
  }),
  ...['snapshots are not looked at again', 'the sweep names all that was condemned'].map((bug) =>
    campaignCanary(bug, { layer: 'sleepers', campaign: sleepers, operation: 'prune' }),
  ),
  campaignCanary('the sweep waits for nobody', {
    layer: 'overlapping snapshots',
    campaign: overlapped,
    operation: 'prune',
  }),
];

export const BLOCK_CANARIES: readonly Canary[] = [
  ...['files are not synced', 'directories are not synced', 'nothing is synced'].flatMap((bug) =>
    ['ext4', 'xfs', 'btrfs'].map((fileSystem) => blockCanary(bug, fileSystem)),
  ),
  blockCanary('a tomb is acknowledged before it is durable', 'ext4', 'forget'),
  blockCanary('nothing is synced', 'ext4', 'prune that repacks'),
];
