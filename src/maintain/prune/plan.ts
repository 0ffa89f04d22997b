/**
 * What a collection would do with each pack, as a function of what is live in it: packs without
 * anything live go; packs with much that is dead, and small ones of which there are many, are repacked,
 * which means that what is live is written again and the pack goes.
 *
 * No clock, no storage: the same usage gives the same plan.
 */
import type { PackName } from '../../id.ts';
import { BLOB_COUNT_TARGET } from '../../pack/pack-builder.ts';
import { OBJECT_KIND } from '../../record/object-kind.ts';
import type { PackUsage } from './pack-usage.ts';

/** Dead bytes that may stay, as a share of what is live: to remove the last of them costs most. */
const wasteShareMax = 0.05;
/** A pack with a smaller share of dead bytes is never rewritten for them. */
const packWasteShareMin = 0.1;
/** Packs below this share of their target, in bytes and in blobs, are small. */
const smallShare = 1 / 4;
/** So many small packs of one size tier are merged; tiers are factors of four. */
const mergeCountMin = 16;

/** Why a pack goes: nothing in it is live, much of it is dead, or it is one of many small ones. */
export type PackReason = 'dead' | 'waste' | 'small';

export interface PlannedPack extends PackUsage {
  reason: PackReason;
}

/** What a plan shows of a pack. Sizes are in bytes. */
export interface PackToGo {
  name: PackName;
  kind: 'data' | 'metadata';
  reason: PackReason;
  /** Of its file. */
  size: number;
  /** What is live in it, which is written again. */
  liveSize: number;
}

export interface PruneLimits {
  /** Target sizes of packs, in bytes. */
  dataTarget: number;
  metadataTarget: number;
  /** Bytes of live data that one run may write again. */
  repackSizeMax: number;
  /** Packs that one mark may name. */
  packCountMax: number;
}

export interface PrunePlan {
  /** Packs that go as they are. */
  dead: PlannedPack[];
  /** Packs that go when what is live in them was written again. */
  repack: PlannedPack[];
  /** Dead bytes that stay in packs which are kept. */
  wasteLeft: number;
  /** Whether limits kept it from repacking more. */
  isLimited: boolean;
}

export function packToGo({ pack, reason, liveSize }: PlannedPack): PackToGo {
  const kind = pack.kind === OBJECT_KIND.dataPack ? 'data' : 'metadata';
  return { name: pack.name, kind, reason, size: pack.length, liveSize };
}

/** @param usages of all packs that may go. */
export function planPrune(usages: readonly PackUsage[], limits: PruneLimits): PrunePlan {
  const dead = usages
    .filter(({ liveCount }) => liveCount === 0)
    .slice(0, limits.packCountMax)
    .map((usage) => ({ ...usage, reason: 'dead' as const }));
  const used = usages.filter(({ liveCount }) => liveCount > 0);
  const wanted = [...wasteful(used), ...small(used, limits)];
  const repack: PlannedPack[] = [];
  const taken = new Set<number>();
  let [size, isLimited] = [0, false];
  for (const planned of wanted) {
    const { pack, liveSize } = planned;
    if (taken.has(pack.packNo)) continue;
    const isFull = dead.length + repack.length >= limits.packCountMax;
    if (isFull || size + liveSize > limits.repackSizeMax) {
      isLimited = true;
      continue;
    }
    taken.add(pack.packNo);
    size += liveSize;
    repack.push(planned);
  }
  let wasteLeft = 0;
  for (const usage of used) if (!taken.has(usage.pack.packNo)) wasteLeft += wasteOf(usage);
  return { dead, repack, wasteLeft, isLimited };
}

function wasteOf({ frameSize, liveSize }: PackUsage): number {
  return frameSize - liveSize;
}

/** The packs with the largest share of waste, as many as it takes to leave little of it. */
function wasteful(used: readonly PackUsage[]): PlannedPack[] {
  const share = (usage: PackUsage): number => wasteOf(usage) / usage.frameSize;
  let waste = 0;
  let live = 0;
  for (const usage of used) {
    waste += wasteOf(usage);
    live += usage.liveSize;
  }
  const planned: PlannedPack[] = [];
  for (const usage of used.toSorted((a, b) => share(b) - share(a))) {
    if (waste <= wasteShareMax * live || share(usage) < packWasteShareMin) break;
    planned.push({ ...usage, reason: 'waste' });
    waste -= wasteOf(usage);
  }
  return planned;
}

/** Small packs of those tiers that have many, the smallest tier first. */
function small(used: readonly PackUsage[], limits: PruneLimits): PlannedPack[] {
  const tiers = new Map<string, PackUsage[]>();
  for (const usage of used) {
    const { kind, length, blobCount } = usage.pack;
    const isData = kind === OBJECT_KIND.dataPack;
    if (length >= smallShare * (isData ? limits.dataTarget : limits.metadataTarget)) continue;
    // Tiny blobs fill a pack by their number: merged, they would come out as they were.
    if (blobCount >= smallShare * BLOB_COUNT_TARGET) continue;
    const tier = Math.floor(Math.log2(length) / 2);
    const key = `${String(tier).padStart(2, '0')} ${kind}`;
    const members = tiers.get(key) ?? [];
    members.push(usage);
    tiers.set(key, members);
  }
  const planned: PlannedPack[] = [];
  for (const key of [...tiers.keys()].sort()) {
    const members = tiers.get(key) ?? [];
    if (members.length < mergeCountMin) continue;
    for (const usage of members) planned.push({ ...usage, reason: 'small' });
  }
  return planned;
}
