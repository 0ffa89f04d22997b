/**
 * The local index against a model made of maps: any order of adding packs, applying segments,
 * new views and reopening, with and without merges; after each step all answers are compared.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { PackName, SegmentName } from '../../src/id.ts';
import { mergeBounds } from '../../src/index/blob-table.ts';
import { type BlobCopy, PACK_STATE, type PackState } from '../../src/index/cache-rows.ts';
import { LocalIndex } from '../../src/index/local-index.ts';
import type { PackView } from '../../src/index/pack-states.ts';
import { isPresent } from '../../src/index/presence.ts';
import { directoryOf, type PackRecord } from '../../src/pack/pack-record.ts';
import { toHex } from '../../src/util/bytes.ts';
import {
  type BlobPlan,
  idOf,
  packOf,
  segmentName,
  segmentOf,
  testRepositoryId,
} from '../helpers/index-packs.ts';
import { seededRandom, testSeed } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';

const BLOB_COUNT = 14;
const PACK_COUNT = 10;
const ids = Array.from({ length: BLOB_COUNT }, (_, i) => idOf(`blob ${i}`));
const packs = makePacks();

type Step =
  | { kind: 'add'; pack: number }
  | { kind: 'apply'; segment: number; packs: number[] }
  | { kind: 'view'; listed: number[]; wrongSize: number[]; dead: number[] }
  | { kind: 'reopen' };

/** Packs of whole blobs and of deltas on anything, circles among them. */
function makePacks(): PackRecord[] {
  const random = seededRandom(5);
  return Array.from({ length: PACK_COUNT }, (_, i) => {
    const plans: BlobPlan[] = [];
    for (let j = 0; j < 4; j++) {
      const [blob, base] = [random.below(BLOB_COUNT), random.below(BLOB_COUNT)];
      const id = ids[blob] as BlobPlan['id'];
      const isWhole = blob === base || random.below(3) === 0;
      plans.push(isWhole ? { id } : { id, base: ids[base] as BlobPlan['id'], depth: 1 + j });
    }
    return packOf(`${i}`, plans);
  });
}

class Model {
  readonly rows = new Map<PackName, { record: PackRecord; isIndexed: boolean; state: PackState }>();
  readonly segments = new Set<SegmentName>();
  own = new Set<PackName>();
  view: PackView | undefined;

  put(record: PackRecord, isIndexed: boolean): void {
    const row = this.rows.get(record.name) ?? { record, isIndexed: false, state: 3 };
    row.isIndexed ||= isIndexed;
    this.rows.set(record.name, row);
    row.state = this.#stateOf(record, row);
  }

  setView(view: PackView): void {
    this.view = view;
    this.own = new Set();
    for (const row of this.rows.values()) row.state = this.#stateOf(row.record, row);
  }

  reopen(): void {
    this.own = new Set();
    this.view = undefined;
  }

  #stateOf(record: PackRecord, row: { isIndexed: boolean; state: PackState }): PackState {
    const isOwn = this.own.has(record.name);
    if (this.view === undefined && !isOwn) return row.state;
    if (this.view?.dead.has(record.name)) return PACK_STATE.dead;
    const size = this.view?.listed.get(record.name);
    const isListed = size === record.length;
    const isUpload = isOwn && size === undefined;
    if (!isListed && !isUpload) return PACK_STATE.missing;
    return row.isIndexed ? PACK_STATE.live : PACK_STATE.unindexed;
  }

  /** Ids present by PRESENT and CHAIN, as a least fixpoint. */
  present(): Set<string> {
    const present = new Set<string>();
    const blobs = this.#usableRecords().flatMap((record) => directoryOf(record).blobs);
    for (let size = -1; size < present.size; ) {
      size = present.size;
      for (const { id, delta } of blobs) {
        if (delta === undefined || present.has(toHex(delta.base))) present.add(toHex(id));
      }
    }
    return present;
  }

  #usableRecords(): PackRecord[] {
    const isUsable = (name: PackName, state: PackState): boolean =>
      state === PACK_STATE.live || (state === PACK_STATE.unindexed && this.own.has(name));
    const rows = [...this.rows].filter(([name, { state }]) => isUsable(name, state));
    return rows.map(([, { record }]) => record);
  }
}

const numbers = fc.uniqueArray(fc.nat(PACK_COUNT - 1));
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('add' as const), pack: fc.nat(PACK_COUNT - 1) }),
    fc.record({ kind: fc.constant('apply' as const), segment: fc.nat(5), packs: numbers }),
    fc.record({
      kind: fc.constant('view' as const),
      listed: numbers,
      wrongSize: fc.uniqueArray(fc.nat(PACK_COUNT - 1), { maxLength: 2 }),
      dead: fc.uniqueArray(fc.nat(PACK_COUNT - 1), { maxLength: 2 }),
    }),
    fc.record({ kind: fc.constant('reopen' as const) }),
  ),
  { maxLength: 12 },
);

/** A base that is never written, one that is after nearly every pack, and one in between. */
const bounds = fc.constantFrom(mergeBounds, { min: 1, max: 1 }, { min: 9, max: 9 });

test('LocalIndex answers like a model of maps', async (t) => {
  const root = tempDir(t);
  let runCount = 0;
  const property = fc.asyncProperty(steps, bounds, async (taken, mergeBounds) => {
    const cacheDir = `${root}/${runCount++}`;
    const options = { cacheDir, repositoryId: testRepositoryId, mergeBounds };
    const model = new Model();
    let index = await LocalIndex.open(options);
    try {
      for (const step of taken) {
        if (step.kind === 'reopen') {
          await index.close();
          index = await LocalIndex.open(options);
          model.reopen();
        } else {
          await take(step, index, model);
        }
        assertSame(index, model);
      }
    } finally {
      await index.close();
    }
  });
  await fc.assert(property, { seed: testSeed, numRuns: 200 });
});

async function take(
  step: Exclude<Step, { kind: 'reopen' }>,
  index: LocalIndex,
  model: Model,
): Promise<void> {
  if (step.kind === 'add') {
    const record = pick(step.pack);
    model.own.add(record.name);
    model.put(record, false);
    await index.addPack(record);
  } else if (step.kind === 'apply') {
    const name = segmentName(`${step.segment}`);
    model.segments.add(name);
    for (const i of step.packs) model.put(pick(i), true);
    await index.applySegments([{ name, segment: segmentOf(step.packs.map(pick)) }]);
  } else {
    const listed = new Map(step.listed.map((i) => [pick(i).name, pick(i).length]));
    for (const i of step.wrongSize) listed.set(pick(i).name, pick(i).length + 1);
    const view = { listed, dead: new Set(step.dead.map((i) => pick(i).name)) };
    model.setView(view);
    await index.updateStates(view);
  }
}

function pick(i: number): PackRecord {
  return packs[i] as PackRecord;
}

function assertSame(index: LocalIndex, model: Model): void {
  assert.deepEqual(index.segmentNames(), model.segments);
  const states = [...index.packs()].map(({ name, state, isIndexed }) => [name, state, isIndexed]);
  const rows = [...model.rows].map(([name, { state, isIndexed }]) => [name, state, isIndexed]);
  assert.deepEqual(states.sort(), rows.sort());
  const present = model.present();
  for (const id of ids) {
    assert.deepEqual(describeCopies(index, index.copies(id)), expectedCopies(model, toHex(id)));
    assert.equal(isPresent(index, id), present.has(toHex(id)));
  }
  let blobCount = 0;
  for (const { record } of model.rows.values()) blobCount += directoryOf(record).blobs.length;
  const counts = { packs: model.rows.size, blobs: blobCount, segments: model.segments.size };
  assert.deepEqual(index.counts, counts);
}

type CopyText = [depth: number, pack: PackName, slot: number];

function describeCopies(index: LocalIndex, copies: BlobCopy[]): CopyText[] {
  const depths = copies.map(({ depth }) => depth);
  assert.deepEqual(
    depths,
    depths.toSorted((a, b) => a - b),
  );
  return copies
    .map(({ packNo, slot, depth }): CopyText => {
      return [depth, index.pack(packNo)?.name as PackName, slot];
    })
    .sort();
}

function expectedCopies(model: Model, id: string): CopyText[] {
  const copies: CopyText[] = [];
  for (const [name, { record }] of model.rows) {
    for (const [slot, blob] of directoryOf(record).blobs.entries()) {
      if (toHex(blob.id) === id) copies.push([blob.delta?.depth ?? 0, name, slot]);
    }
  }
  return copies.sort();
}
