/**
 * The blob table against a list: packs added and merged into the base in any order, in one round or
 * many, merges that end halfway included. Ids agree in their first bytes or in all, within a pack and
 * between packs, so that entries of one id and of one prefix fill more than a page.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { BlobId } from '../../src/id.ts';
import { pageEntryCount, readBaseSummary } from '../../src/index/base-rows.ts';
import { BlobTable } from '../../src/index/blob-table.ts';
import { type BlobCopy, encodePack, packKey } from '../../src/index/cache-rows.ts';
import { type Environment, openEnvironment, writeAll } from '../../src/index/environment.ts';
import { mergeBlobs } from '../../src/index/merge.ts';
import { bigPackOf, idOf, randomIds } from '../helpers/index-packs.ts';
import { seededRandom, testSeed } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';

type Step =
  | { kind: 'add'; size: number; salt: number }
  | { kind: 'merge'; rounds: number; stepCount: number }
  | { kind: 'open' };

const pool = makePool();

/** Some ids alone, many that share a prefix, one that shares 16 bytes, and the smallest and largest. */
function makePool(): BlobId[] {
  const ids = randomIds(seededRandom(21), 400);
  for (let i = 0; i < 300; i++) (ids[i] as BlobId).fill(0x5a, 0, 4 + (i % 9));
  const twin = (ids[399] as BlobId).slice() as BlobId;
  twin.fill(1, 16);
  const [zero, one] = [new Uint8Array(32), new Uint8Array(32).fill(255)];
  return [...ids, twin, zero as BlobId, one as BlobId];
}

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('add' as const), size: fc.nat(700), salt: fc.nat() }),
    fc.record({ kind: fc.constant('open' as const) }),
    fc.record({
      kind: fc.constant('merge' as const),
      rounds: fc.integer({ min: 1, max: 5 }),
      stepCount: fc.oneof(fc.nat(6), fc.constant(1000)),
    }),
  ),
  { maxLength: 14 },
);

class Tables {
  readonly environment: Environment;
  readonly copies: Map<string, BlobCopy[]> = new Map();
  packCount = 0;

  constructor(environment: Environment) {
    this.environment = environment;
  }

  add(size: number, salt: number): void {
    const random = seededRandom(salt);
    const packNo = ++this.packCount;
    const ids = Array.from({ length: size }, () => pool[random.below(pool.length)] as BlobId);
    // One id again and again, so that it fills pages of its own.
    if (salt % 3 === 0) ids.fill(pool[5] as BlobId, size / 2);
    for (const [slot, id] of ids.entries()) {
      this.copies.get(keyOf(id))?.push({ packNo, slot, depth: 0 });
    }
    const key = packKey(packNo);
    const record = bigPackOf(`${packNo} ${salt}`, ids);
    writeAll(this.environment, () => this.environment.packs.putSync(key, encodePack(key, record)));
  }

  open(): BlobTable {
    return new BlobTable(this.environment, {
      bounds: { min: Number.POSITIVE_INFINITY, max: Number.POSITIVE_INFINITY },
      isUsable: (packNo) => packNo % 2 === 0,
      countAfter: () => 0,
      onDamage: (error) => assert.ifError(error),
    });
  }
}

function keyOf(id: BlobId): string {
  return Buffer.from(id.subarray(0, 16)).toString('hex');
}

async function assertSame(blobs: BlobTable, tables: Tables): Promise<void> {
  for (const id of pool) {
    const expected = tables.copies.get(keyOf(id)) ?? [];
    assert.deepEqual(blobs.copies(id).sort(byPlace), expected.toSorted(byPlace));
    const isWhole = expected.some(({ packNo }) => packNo % 2 === 0);
    const answer = isWhole ? 'whole' : expected.length > 0 ? 'other' : 'none';
    assert.equal(blobs.lookUp(id), answer);
  }
  assert.equal(blobs.lookUp(idOf('unknown')), 'none');
  const repeated = new Set<string>();
  await blobs.visitRepeated(({ packNo, slot }) => repeated.add(`${packNo} ${slot}`));
  const several = [...tables.copies.values()].filter((copies) => copies.length > 1).flat();
  const expected = several.map(({ packNo, slot }) => `${packNo} ${slot}`);
  assert.deepEqual([...repeated].sort(), expected.sort(), 'copies of what has several');
}

function byPlace(a: BlobCopy, b: BlobCopy): number {
  return a.packNo - b.packNo || a.slot - b.slot;
}

/** Takes so many steps of a merge, then lets it be. Answers whether it ended. */
function merge(tables: Tables, { rounds, stepCount }: { rounds: number; stepCount: number }) {
  const merging = mergeBlobs(tables.environment, { entryCount: 1000, rounds });
  for (let i = 0; i < stepCount; i++) if (merging.next().done === true) return true;
  return false;
}

test('BlobTable finds the same before, during and after merges', async (t) => {
  const root = tempDir(t);
  let runCount = 0;
  const property = fc.asyncProperty(steps, async (taken) => {
    const tables = new Tables(await openEnvironment(`${root}/${runCount++}`));
    for (const id of pool) tables.copies.set(keyOf(id), []);
    // Opened at some time, it may find that its base is there no more.
    let kept = tables.open();
    try {
      for (const step of taken) {
        if (step.kind === 'add') tables.add(step.size, step.salt);
        else if (step.kind === 'open') kept = tables.open();
        else if (merge(tables, step)) assertMerged(tables);
        kept.unsettle();
        await assertSame(kept, tables);
        await assertSame(tables.open(), tables);
      }
    } finally {
      await tables.environment.root.close();
    }
  });
  await fc.assert(property, { seed: testSeed, numRuns: 25 });
});

/** After a whole merge the base covers all packs, and there are two sides at most. */
function assertMerged({ environment, copies, packCount }: Tables): void {
  const summary = readBaseSummary(environment);
  let entryCount = 0;
  for (const found of copies.values()) entryCount += found.length;
  const pageCount = Math.ceil(summary.entryCount / pageEntryCount);
  const rowCount = [...environment.base.getKeys()].length;
  assert.equal(summary.packNo, packCount);
  assert.equal(summary.entryCount, entryCount);
  assert.ok(rowCount <= 2 * (pageCount + 1));
}

test('BlobTable goes over to the base that counts when its own is written over', async (t) => {
  const tables = new Tables(await openEnvironment(tempDir(t)));
  t.after(() => tables.environment.root.close());
  for (const id of pool) tables.copies.set(keyOf(id), []);
  tables.add(500, 1);
  merge(tables, { rounds: 1, stepCount: 1000 });
  const kept = tables.open();
  await assertSame(kept, tables);

  for (const salt of [2, 3, 4, 5]) {
    tables.add(10, salt);
    merge(tables, { rounds: 1, stepCount: 1000 });
    kept.unsettle();
    await assertSame(kept, tables);
  }
});
