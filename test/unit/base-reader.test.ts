/** How often a reader of bases waits for the storage, and what it does when a part cannot be read. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { BLOB_TYPE } from '../../src/blob/blob-type.ts';
import { NotFoundError } from '../../src/errors.ts';
import { packStorageName } from '../../src/pack/pack-record.ts';
import { type BasePlan, BasePlanner, basePlace } from '../../src/repository/base-plan.ts';
import { BaseReader } from '../../src/repository/base-reader.ts';
import { openFixedAccess } from '../../src/repository/read-access.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { interceptStorage, roundsStorage } from '../helpers/fault-storage.ts';
import { type PlannedBlob, similarPlaintexts, storePack } from '../helpers/record-writer-packs.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { newClient } from '../helpers/test-repository.ts';

const chainCount = 3;
const depth = 4;
/** Lies between what is wanted of a pack, so that no request brings two of them. */
const filler = seededRandom(5).bytes(600_000);
const options = { type: BLOB_TYPE.data, signal: undefined, onVerified: () => {} };

interface Chains {
  readonly repository: Repository;
  readonly plan: BasePlan;
  /** The last of each chain: its content and row. */
  readonly tips: readonly Uint8Array[];
  readonly rows: readonly number[];
  /** Pack `i` has the whole chunk or delta `i` of each chain. */
  readonly packs: readonly string[];
}

async function newChains(t: TestContext): Promise<Chains> {
  const { repository } = await newClient(t);
  const chains = Array.from({ length: chainCount }, (_, i) => similarPlaintexts(depth + 1, i));
  const packs: string[] = [];
  for (let i = 0; i <= depth; i++) {
    const blobs = chains.flatMap((versions): PlannedBlob[] => {
      const plaintext = versions[i] as Uint8Array;
      const base = versions[i - 1];
      const delta = base && { base, depth: i };
      return [{ plaintext, ...(delta !== undefined && { delta }) }, { plaintext: filler }];
    });
    packs.push(packStorageName(await storePack(repository, blobs)));
  }
  const access = await openFixedAccess(repository);
  const planner = new BasePlanner(access.sync.index);
  const tips = chains.map((versions) => versions[depth] as Uint8Array);
  const rows = tips.map((tip) =>
    planner.rowOf(repository.identify(BLOB_TYPE.data, tip), BLOB_TYPE.data),
  );
  return { repository, plan: planner.rows.finish(), tips, rows, packs };
}

test('BaseReader reads the chain of a base in one round', async (t) => {
  const { repository, plan, rows, tips, packs } = await newChains(t);
  const { storage, rounds } = roundsStorage(repository.storage);
  const chain = packs.toReversed();
  const reader = new BaseReader({ ...repository, storage });

  for (const [i, row] of rows.entries()) {
    assert.deepEqual(await reader.read(plan, row, options), tips[i]);
    assert.deepEqual(rounds, Array(i + 1).fill(chain));
  }
});

test('BaseReader reads what is expected in one round, though some of it is left out', async (t) => {
  const { repository, plan, rows, tips, packs } = await newChains(t);
  const { storage, rounds } = roundsStorage(repository.storage);
  const chains = packs.toReversed().flatMap((pack) => Array(chainCount).fill(pack));
  const reader = new BaseReader({ ...repository, storage });
  const [first, , third] = rows as [number, number, number];

  reader.expect(plan, rows);
  assert.deepEqual(await reader.read(plan, first, options), tips[0]);
  assert.deepEqual(await reader.read(plan, third, options), tips[2]);
  assert.deepEqual(await reader.read(plan, first, options), tips[0]);

  assert.deepEqual(rounds, [chains]);
});

test('BaseReader fails for those bases alone that need what cannot be read', async (t) => {
  const { repository, plan, rows, packs } = await newChains(t);
  const [lost, below] = [2, 1];
  const storage = interceptStorage(repository.storage, async ({ name }, run) => {
    if (name === packs[lost]) throw new NotFoundError('object', name);
    return await run();
  });
  const reader = new BaseReader({ ...repository, storage });
  const rowsBelow = rows.map((row) => {
    let found = row;
    for (let i = depth; i > below; i--) found = basePlace(plan, found).base;
    return found;
  });

  reader.expect(plan, [...rows, ...rowsBelow]);

  for (const row of rows) await assert.rejects(reader.read(plan, row, options), NotFoundError);
  for (const [i, row] of rowsBelow.entries()) {
    const expected = similarPlaintexts(depth + 1, i)[below];
    assert.deepEqual(await reader.read(plan, row, options), expected);
  }
});

test('BaseReader ends with the error of a storage that has a fault, when all has come back', async (t) => {
  const { repository, plan, rows, packs } = await newChains(t);
  const failure = new TypeError('a fault of the program');
  const { storage, rounds } = roundsStorage(repository.storage);
  const chain = packs.toReversed();
  let underWay = 0;
  const failing = interceptStorage(storage, async (_call, run) => {
    underWay += 1;
    try {
      await run();
      throw failure;
    } finally {
      underWay -= 1;
    }
  });
  const reader = new BaseReader({ ...repository, storage: failing });

  await assert.rejects(reader.read(plan, rows[0] as number, options), failure);

  assert.equal(underWay, 0);
  assert.deepEqual(rounds, [chain]);
});

test('BaseReader compares deltas with their ids for those who are told of it', async (t) => {
  const { repository, plan, rows, tips } = await newChains(t);
  const [row = 0] = rows;
  const ids = plan.ids.slice();
  ids.fill(0, row * 32, row * 32 + 32);
  const verified: number[] = [];
  const onVerified = (each: number): void => void verified.push(each);

  const wrong = new BaseReader(repository).read({ ...plan, ids }, row, { ...options, onVerified });
  await assert.rejects(wrong, /delta of another id/);
  assert.equal(verified.length, depth - 1, 'those below it');

  const unasked = { ...options, onVerified: undefined };
  const plaintext = await new BaseReader(repository).read({ ...plan, ids }, row, unasked);
  assert.deepEqual(plaintext, tips[0]);
});
