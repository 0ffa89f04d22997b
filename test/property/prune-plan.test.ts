/** Laws of the plan of a collection, over random packs; and that carrying out plans comes to an end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { PackName } from '../../src/id.ts';
import { PACK_STATE } from '../../src/index/cache-rows.ts';
import type { PackUsage } from '../../src/maintain/prune/pack-usage.ts';
import { type PruneLimits, type PrunePlan, planPrune } from '../../src/maintain/prune/plan.ts';
import { OBJECT_KIND } from '../../src/record/object-kind.ts';
import { testSeed } from '../helpers/seeded-random.ts';

const dataTarget = 2 ** 20;
const metadataTarget = 2 ** 18;
const blobCountTarget = 2 ** 16;
const unlimited: PruneLimits = {
  dataTarget,
  metadataTarget,
  repackSizeMax: Number.POSITIVE_INFINITY,
  packCountMax: Number.POSITIVE_INFINITY,
};

interface Shape {
  isData: boolean;
  /** Blobs, and the plaintext of each, all of one size. */
  blobCount: number;
  blobSize: number;
  liveCount: number;
}

/** About 60 bytes of directory for each blob. */
function usageOf({ isData, blobCount, blobSize, liveCount }: Shape, packNo: number): PackUsage {
  const frameSize = blobCount * blobSize;
  return {
    pack: {
      packNo,
      name: String(packNo).padStart(64, '0') as PackName,
      length: frameSize + 60 * blobCount,
      blobCount,
      kind: isData ? OBJECT_KIND.dataPack : OBJECT_KIND.metadataPack,
      isIndexed: true,
      state: PACK_STATE.live,
    },
    frameSize,
    liveSize: liveCount * blobSize,
    liveCount,
  };
}

const shapes: fc.Arbitrary<Shape[]> = fc.array(
  fc
    .record({
      isData: fc.boolean(),
      length: fc.integer({ min: 1, max: dataTarget }),
      blobSize: fc.constantFrom(1, 16, 200, 4000, 60_000),
      livePercent: fc.oneof(fc.constantFrom(0, 100), fc.integer({ min: 0, max: 100 })),
    })
    .map(({ isData, length, blobSize, livePercent }) => {
      const target = isData ? length : Math.min(length, metadataTarget);
      const blobCount = Math.min(blobCountTarget, Math.ceil(target / (blobSize + 60)));
      return {
        isData,
        blobSize,
        blobCount,
        liveCount: Math.floor((blobCount * livePercent) / 100),
      };
    }),
  { maxLength: 120 },
);

function sum(usages: readonly PackUsage[], size: (usage: PackUsage) => number): number {
  return usages.reduce((total, usage) => total + size(usage), 0);
}

const wasteOf = ({ frameSize, liveSize }: PackUsage): number => frameSize - liveSize;

function assertLaws(usages: readonly PackUsage[], limits: PruneLimits, plan: PrunePlan): void {
  const numbers = (packs: readonly PackUsage[]) => packs.map(({ pack }) => pack.packNo);
  const going = new Set([...numbers(plan.dead), ...numbers(plan.repack)]);
  assert.equal(going.size, plan.dead.length + plan.repack.length, 'no pack twice');
  assert.ok(going.size <= limits.packCountMax, 'no more than a record has room for');
  assert.ok(plan.dead.every(({ liveCount }) => liveCount === 0));
  assert.ok(plan.repack.every(({ liveCount }) => liveCount > 0));
  assert.ok(sum(plan.repack, ({ liveSize }) => liveSize) <= limits.repackSizeMax);
  const staying = usages.filter(({ pack }) => !going.has(pack.packNo));
  const used = staying.filter(({ liveCount }) => liveCount > 0);
  assert.equal(plan.wasteLeft, sum(used, wasteOf));
  if (plan.isLimited) return;
  if (limits.packCountMax === Number.POSITIVE_INFINITY) assert.equal(staying.length, used.length);
  const live = sum(usages, ({ liveSize }) => liveSize);
  const isLittle = plan.wasteLeft <= 0.05 * live;
  assert.ok(isLittle || used.every((usage) => wasteOf(usage) < 0.1 * usage.frameSize), 'waste');
}

test('planPrune() names dead packs and no live one, keeps limits, and leaves little waste', () => {
  const property = fc.property(
    shapes,
    fc.option(fc.integer({ min: 0, max: dataTarget }), { nil: Number.POSITIVE_INFINITY }),
    fc.option(fc.integer({ min: 0, max: 60 }), { nil: Number.POSITIVE_INFINITY }),
    (all, repackSizeMax, packCountMax) => {
      const usages = all.map(usageOf);
      const limits = { ...unlimited, repackSizeMax, packCountMax };
      assertLaws(usages, limits, planPrune(usages, limits));
    },
  );

  fc.assert(property, { seed: testSeed, numRuns: 1000 });
});

/** What a repack makes of these packs: full ones, and one that is not. */
function written(planned: readonly PackUsage[]): Shape[] {
  const packs: Shape[] = [];
  for (const { pack, liveCount, frameSize } of planned) {
    const isData = pack.kind === OBJECT_KIND.dataPack;
    const blobSize = frameSize / pack.blobCount;
    const target = isData ? dataTarget : metadataTarget;
    const room = Math.min(blobCountTarget, Math.floor(target / (blobSize + 60)));
    let left = liveCount;
    // Blobs of one size fill a pack together, so that a shape can tell what is in it.
    const open = packs.find(
      (shape) => shape.isData === isData && shape.blobSize === blobSize && shape.blobCount < room,
    );
    if (open !== undefined) {
      const taken = Math.min(left, room - open.blobCount);
      open.blobCount += taken;
      open.liveCount += taken;
      left -= taken;
    }
    for (; left > 0; left -= room) {
      const blobCount = Math.min(left, room);
      packs.push({ isData, blobSize, blobCount, liveCount: blobCount });
    }
  }
  return packs;
}

test('collections of what does not change come to rest', () => {
  const property = fc.property(shapes, (all) => {
    let usages = all.map(usageOf);
    for (let round = 0; ; round++) {
      const { dead, repack } = planPrune(usages, unlimited);
      if (dead.length + repack.length === 0) return;
      assert.ok(round < 8, 'still repacking');
      const gone = new Set([...dead, ...repack].map(({ pack }) => pack.packNo));
      const next = 1 + Math.max(...usages.map(({ pack }) => pack.packNo));
      usages = usages.filter(({ pack }) => !gone.has(pack.packNo));
      usages.push(...written(repack).map((shape, i) => usageOf(shape, next + i)));
    }
  });

  fc.assert(property, { seed: testSeed, numRuns: 1000 });
});

test('planPrune() leaves packs alone that are full of tiny blobs', () => {
  const full = {
    isData: true,
    blobCount: blobCountTarget,
    blobSize: 1,
    liveCount: blobCountTarget,
  };
  const usages = Array.from({ length: 40 }, (_, i) => usageOf(full, i + 1));

  // As bytes they would be small: one in sixteen of a target that large.
  const plan = planPrune(usages, { ...unlimited, dataTarget: 2 ** 26 });

  assert.deepEqual(plan.repack, []);
});
