/** Index segments that became too many, and small records that pile up: merged, and nothing lost. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { openReadAccess } from '../../src/repository/read-access.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { loadView } from '../../src/repository/view.ts';
import { createMemoryStorage } from '../../src/storage/memory.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { HandClock } from '../helpers/collection-stage.ts';
import { forgetSnapshots, pruneNow } from '../helpers/forget-snapshots.ts';
import {
  describeSnapshot,
  describeTree,
  type Home,
  initStorage,
  namesIn,
  newHome,
  openClient,
  SOURCE_ROOT,
  snapshotTree,
  withClient,
} from '../helpers/repository-crash.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';

interface Stage {
  clock: HandClock;
  storage: Storage;
  repository: Repository;
  home: Home;
  directory: string;
}

async function newStage(t: TestContext): Promise<Stage> {
  const clock = new HandClock();
  const storage = createMemoryStorage({ clock });
  await initStorage(storage);
  const directory = tempDir(t);
  const home = newHome(directory);
  const repository = await openClient(storage, { home, salt: 2, clock });
  t.after(() => repository.close());
  return { clock, storage, repository, home, directory };
}

function smallTree(version: number): Parameters<typeof snapshotTree>[1] {
  return {
    [`${SOURCE_ROOT}/same`]: seededRandom(1).bytes(5000),
    [`${SOURCE_ROOT}/own`]: seededRandom(100 + version).bytes(500),
  };
}

async function assertRestores(stage: Stage, ids: readonly string[]): Promise<void> {
  // A client that has no index, and one that has.
  const fresh = newHome(stage.directory);
  for (const home of [fresh, stage.home]) {
    await withClient(stage.storage, { home, salt: 77, clock: stage.clock }, async (repository) => {
      const access = await openReadAccess(repository);
      const { snapshots } = access.view;
      assert.deepEqual(snapshots.map(({ id }) => id).sort(), [...ids].sort());
      const last = snapshots.at(-1);
      assert.ok(last !== undefined);
      const version = Number(last.manifest.tags[0]);
      assert.deepEqual(await describeSnapshot(access, last), describeTree(smallTree(version)));
    });
  }
}

test('segments of a level are compacted when there are more than 32, and go an hour later', async (t) => {
  const stage = await newStage(t);
  const { repository, storage, clock } = stage;
  const ids: string[] = [];
  for (let i = 0; i < 40; i++) {
    ids.push((await snapshotTree(repository, smallTree(i), { tags: [String(i)] })).id);
    clock.passHours(1);
  }
  assert.equal((await namesIn(storage, 'index/')).length, 40);

  await pruneNow(repository);
  const after = await namesIn(storage, 'index/');
  await assertRestores(stage, ids);
  clock.passHours(2);
  await pruneNow(repository);
  const later = await namesIn(storage, 'index/');

  assert.ok(after.length > 40, 'the new one, beside those it supersedes');
  assert.ok(later.length < 5, later.join('\n'));
  assert.ok(later.some((name) => name.startsWith('index/1-')));
  await assertRestores(stage, ids);
});

test('hourly snapshots with weekly collections stay few objects', async (t) => {
  const stage = await newStage(t);
  const { repository, storage, clock } = stage;
  let live: string[] = [];
  let objectsMax = 0;
  for (let i = 0; i < 300; i++) {
    live.push((await snapshotTree(repository, smallTree(i), { tags: [String(i)] })).id);
    clock.passHours(1);
    if (i % 60 !== 59) continue;
    await forgetSnapshots(repository, live.slice(0, -20));
    live = live.slice(-20);
    clock.passHours(24 * 10);
    await pruneNow(repository);
    clock.passHours(2);
    await pruneNow(repository);
    objectsMax = Math.max(objectsMax, (await namesIn(storage)).length);
  }

  t.diagnostic(`${objectsMax} objects at most`);
  assert.ok(objectsMax < 300, `${objectsMax} objects`);
  await assertRestores(stage, live);
});

test('fences and tombs are merged when many are old, and what they said stays true', async (t) => {
  const stage = await newStage(t);
  const { repository, storage, clock } = stage;
  const forgotten: string[] = [];
  for (let i = 0; i < 70; i++) {
    const { id } = await snapshotTree(repository, smallTree(i), { tags: [String(i)] });
    await forgetSnapshots(repository, [id]);
    forgotten.push(id);
  }
  const { id: kept } = await snapshotTree(repository, smallTree(70), { tags: ['70'] });
  const manifests = new Map<string, Uint8Array>();
  for (const id of forgotten) manifests.set(id, await storage.get(`snapshots/${id}`));
  clock.passHours(24 * 31);

  await pruneNow(repository);
  clock.passHours(2);
  await pruneNow(repository);

  assert.equal((await namesIn(storage, 'tombs/')).length, 1);
  const [first = ''] = forgotten;
  // A manifest that reappears under a closed name is void.
  await storage.putIfAbsent(`snapshots/${first}`, manifests.get(first) as Uint8Array);
  const view = await loadView(repository, 'read');
  assert.deepEqual(
    view.snapshots.map(({ id }) => id),
    [kept],
  );
  await assertRestores(stage, [kept]);
  // Nor does it stay.
  await pruneNow(repository);
  assert.equal(await storage.stat(`snapshots/${first}`), undefined);
  await assertRestores(stage, [kept]);
});
