/** What a check reads of the data, and what it remembers of it. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { checkRepository } from '../../src/maintain/check.ts';
import type { DataSubset } from '../../src/maintain/choose-packs.ts';
import { rebuildIndex } from '../../src/repository/index-sync.ts';
import { loadView } from '../../src/repository/view.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import {
  check,
  flipStored,
  newStorage,
  objectNames,
  openClient,
  replaceObject,
  restore,
  snapshot,
} from '../helpers/test-repository.ts';

/** A repository of ten small packs. */
async function tenPacks(
  t: TestContext,
): Promise<{ storage: Storage; source: string; home: string }> {
  const storage = await newStorage();
  const home = tempDir(t);
  const client = await openClient(t, storage, { home });
  const source = join(tempDir(t), 'source');
  mkdirSync(source);
  for (let i = 0; i < 10; i++) {
    writeFileSync(join(source, `${i}`), seededRandom(i).bytes(30_000));
    await snapshot(client, [source]);
  }
  await client.repository.close();
  return { storage, source, home };
}

for (const of of [1, 3, 7]) {
  test(`check({ dataSubset }) reads every pack once in ${of} parts`, async (t) => {
    const { storage } = await tenPacks(t);
    const client = await openClient(t, storage);
    let [packsRead, bytesRead] = [0, 0];

    for (let part = 1; part <= of; part++) {
      const result = await checkRepository(client.repository, { dataSubset: { part, of } });
      packsRead += result.packsRead;
      bytesRead += result.bytesRead;
    }

    const whole = await check(client, true);
    assert.deepEqual([packsRead, bytesRead], [10, whole.bytesRead]);
    assert.equal(whole.packsUnread, 0);
  });
}

test('check({ dataSubset }) of a share reads what was not read for longest', async (t) => {
  const { storage, home } = await tenPacks(t);
  let unread = 10;
  while (unread > 0) {
    // The ledger is found by a client that comes back, and by one that lost its index.
    const client = await openClient(t, storage, { home });
    await rebuildIndex(client.repository, await loadView(client.repository, 'read'));

    const result = await checkRepository(client.repository, { dataSubset: { percent: 20 } });

    await client.repository.close();
    assert.ok(result.packsRead >= 2 && result.packsRead <= 3);
    assert.equal(result.packsUnread, Math.max(0, unread - result.packsRead));
    assert.ok(result.oldestReadMs !== undefined && result.oldestReadMs <= Date.now());
    unread = result.packsUnread;
  }
});

test('checkRepository() refuses subsets of nothing', async (t) => {
  const { repository } = await openClient(t, await newStorage());
  const subsets: DataSubset[] = [
    { part: 0, of: 3 },
    { part: 4, of: 3 },
    { part: 1.5, of: 3 },
    { part: 1, of: 10_001 },
    { percent: 0 },
    { percent: 100.1 },
    { percent: Number.NaN },
  ];
  for (const dataSubset of subsets) {
    await assert.rejects(checkRepository(repository, { dataSubset }), RangeError);
  }
});

test('check() goes on telling damage that was found by reading, until it is gone (I08)', async (t) => {
  const { storage } = await tenPacks(t);
  const client = await openClient(t, storage);
  const [name = ''] = await objectNames(storage, 'meta/');
  const bytes = await storage.get(name);
  await flipStored(storage, name);

  const before = await check(client);
  const reading = await check(client, true);
  const again = await check(client);
  await replaceObject(storage, name, bytes);
  const after = await check(client);
  const afterAll = await check(client);

  assert.deepEqual([before.isDamaged, before.packsRead], [false, 0]);
  assert.deepEqual([reading.isDamaged, reading.packsRead], [true, 10]);
  assert.deepEqual(again.findings, reading.findings);
  assert.equal(again.packsRead, 1);
  assert.deepEqual([after.findings, after.packsRead], [[], 1]);
  assert.deepEqual([afterAll.findings, afterAll.packsRead, afterAll.packsUnread], [[], 0, 0]);
});

test('takeSnapshot() stores again what is known to be damaged (I16)', async (t) => {
  const { storage, source } = await tenPacks(t);
  const client = await openClient(t, storage);
  const names = await objectNames(storage, 'meta/');
  for (const name of names) {
    await flipStored(storage, name);
  }
  const unaware = await snapshot(client, [source]);
  const damaged = await check(client, true);

  const healing = await snapshot(client, [source]);

  assert.equal(unaware.newBlobs, 0);
  assert.equal(damaged.isDamaged, true);
  assert.ok(healing.newBlobs >= 10, `${healing.newBlobs} blobs`);
  const { errorCount } = await restore(client, { ...healing, path: source }, tempDir(t));
  assert.equal(errorCount, 0);
  const stored = await snapshot(client, [source]);
  assert.equal(stored.newBlobs, 0);
  const { findings } = await check(client, true);
  const hurt = findings.filter(({ kind }) => kind.startsWith('blob-'));
  assert.ok(hurt.every(({ snapshots }) => !snapshots.includes(healing.id)));
});
