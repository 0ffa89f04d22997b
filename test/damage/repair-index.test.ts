/** `repair index`: packs whose segment is lost are named again, and nothing is deleted. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { repairIndex } from '../../src/maintain/repair/repair-index.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { assertKept, objectHashes } from '../helpers/repaired.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import {
  type Client,
  check,
  flipStored,
  newStorage,
  objectNames,
  openClient,
  restore,
  snapshot,
  type Taken,
} from '../helpers/test-repository.ts';

interface Sound {
  storage: Storage;
  client: Client;
  source: string;
  taken: Taken[];
}

/** Three snapshots, each with a pack and a segment of its own. */
async function threeSnapshots(t: TestContext): Promise<Sound> {
  const storage = await newStorage();
  const client = await openClient(t, storage);
  const source = join(tempDir(t), 'source');
  mkdirSync(source);
  const taken: Taken[] = [];
  for (let i = 0; i < 3; i++) {
    writeFileSync(join(source, `${i}`), seededRandom(i).bytes(30_000));
    taken.push(await snapshot(client, [source]));
  }
  return { storage, client, source, taken };
}

const damages: Record<string, (storage: Storage, name: string) => Promise<void>> = {
  lost: (storage, name) => storage.delete(name),
  damaged: (storage, name) => flipStored(storage, name, 100),
};

for (const [what, damage] of Object.entries(damages)) {
  for (const who of ['its writer', 'a new client']) {
    test(`repairIndex() by ${who} names the packs of ${what} segments again`, async (t) => {
      const { storage, client, taken } = await threeSnapshots(t);
      const segments = await objectNames(storage, 'index/');
      for (const name of segments.slice(0, 2)) await damage(storage, name);
      const before = await objectHashes(storage);
      const repairer = who === 'its writer' ? client : await openClient(t, storage);
      const found = await check(repairer);
      const plan = await repairIndex(repairer.repository, { isDryRun: true });
      assert.deepEqual(await objectHashes(storage), before);

      const repair = await repairIndex(repairer.repository);

      await assertKept(storage, before);
      assert.equal(found.isDamaged, true);
      const heals = found.findings.map(({ heal }) => heal);
      assert.deepEqual([...new Set(heals)], ['varve repair index']);
      assert.deepEqual([plan.packs.length, plan.isApplied], [2, false]);
      assert.deepEqual([repair.packs, repair.isApplied], [plan.packs, true]);
      assert.equal(repair.suspects.length, what === 'lost' ? 0 : 2);
      const after = await openClient(t, storage);
      const { findings, isDamaged } = await check(after, true);
      assert.equal(isDamaged, false, findings.map(({ message }) => message).join());
      for (const one of taken) {
        assert.equal((await restore(after, one, tempDir(t))).errorCount, 0);
      }
    });
  }
}

test('repairIndex() writes nothing where nothing is to be done, also after a repair', async (t) => {
  const { storage, client } = await threeSnapshots(t);
  const sound = await objectHashes(storage);
  const nothing = await repairIndex(client.repository);
  assert.deepEqual(await objectHashes(storage), sound);
  await damages['lost']?.(storage, (await objectNames(storage, 'index/'))[0] as string);
  const first = await repairIndex(client.repository);
  const repaired = await objectHashes(storage);

  const second = await repairIndex(client.repository);

  assert.deepEqual([nothing.packs, nothing.isApplied], [[], false]);
  assert.deepEqual([first.packs.length, first.isApplied], [1, true]);
  assert.deepEqual([second.packs, second.isApplied], [[], false]);
  assert.deepEqual(await objectHashes(storage), repaired);
});

test('repairIndex() by its writer names a pack whose directory is damaged, too', async (t) => {
  const { storage, client, taken } = await threeSnapshots(t);
  const [segment = ''] = taken[1]?.snapshot.manifest.segments ?? [];
  const before = await objectNames(storage, 'meta/');
  for (const name of before) await flipStored(storage, name, -100);
  await storage.delete(`index/0-${segment}`);
  await storage.putIfAbsent(`index/0-${segment}`, new Uint8Array(10));

  const blind = await repairIndex((await openClient(t, storage)).repository, { isDryRun: true });
  const repair = await repairIndex(client.repository);

  assert.deepEqual([blind.packs.length, blind.unreadable.length], [0, 1]);
  assert.equal(repair.packs.length, 1);
  const after = await openClient(t, storage);
  for (const one of taken) assert.equal((await restore(after, one, tempDir(t))).errorCount, 0);
});

test('repairIndex() asks before it writes', async (t) => {
  const { storage, client } = await threeSnapshots(t);
  await damages['lost']?.(storage, (await objectNames(storage, 'index/'))[0] as string);
  const before = await objectHashes(storage);
  let asked = 0;

  const { isApplied } = await repairIndex(client.repository, {
    confirm: async ({ packs }) => {
      asked += packs.length;
      return false;
    },
  });

  assert.deepEqual([asked, isApplied], [1, false]);
  assert.deepEqual(await objectHashes(storage), before);
});
