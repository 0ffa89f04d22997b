/** What a collection deletes, and that nothing that a snapshot needs is among it. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { BLOB_TYPE } from '../../src/blob/blob-type.ts';
import { checkRepository } from '../../src/maintain/check.ts';
import type { PruneResult } from '../../src/maintain/prune/prune-result.ts';
import { repairIndex } from '../../src/maintain/repair/repair-index.ts';
import { beginSession } from '../../src/repository/begin-session.ts';
import { loadCollectorState } from '../../src/repository/collector-state.ts';
import { openReadAccess } from '../../src/repository/read-access.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { flipBit } from '../helpers/fault-storage.ts';
import { forgetSnapshots, pruneNow } from '../helpers/forget-snapshots.ts';
import {
  describeSnapshot,
  describeTree,
  memoryRepository,
  namesIn,
  newHome,
  snapshotTree,
  sourceTree,
  withClient,
} from '../helpers/repository-crash.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { flipStored, replaceObject } from '../helpers/test-repository.ts';

type Tree = ReturnType<typeof sourceTree>;

/** Trees with little in common, so that each has packs of its own. */
function largeTree(version: number): Tree {
  return { ...sourceTree(version), ...sourceTree(50 + version, 400_000) };
}

async function assertHolds(
  repository: Repository,
  trees: ReadonlyMap<string, Tree>,
): Promise<void> {
  const access = await openReadAccess(repository);
  const { snapshots } = access.view;
  assert.deepEqual(snapshots.map(({ id }) => id).sort(), [...trees.keys()].sort());
  for (const snapshot of snapshots) {
    const tree = trees.get(snapshot.id) ?? {};
    assert.deepEqual(await describeSnapshot(access, snapshot), describeTree(tree));
  }
  const { findings } = await checkRepository(repository, { isReadingData: true });
  assert.deepEqual(
    findings.filter(({ severity }) => severity === 'damage'),
    [],
  );
}

async function packNames(repository: Repository): Promise<string[]> {
  const { storage } = repository;
  return [...(await namesIn(storage, 'data/')), ...(await namesIn(storage, 'meta/'))];
}

test('pruneRepository() deletes the packs that no snapshot needs and no others', async (t) => {
  const { repository } = await memoryRepository(t);
  const first = await snapshotTree(repository, largeTree(1));
  const before = await packNames(repository);
  const second = await snapshotTree(repository, largeTree(2));
  await forgetSnapshots(repository, [first.id]);

  const result = await pruneNow(repository);

  assert.equal(result.outcome, 'swept');
  assert.equal(result.generation, 1);
  assert.ok(result.deleted.packs > 0);
  const left = await packNames(repository);
  assert.ok(before.some((name) => !left.includes(name)));
  await assertHolds(repository, new Map([[second.id, largeTree(2)]]));
  const { done } = await loadCollectorState(repository);
  assert.deepEqual([...done], [1]);
});

test('pruneRepository() has nothing to do where everything is needed, and leaves no record', async (t) => {
  const { repository, storage } = await memoryRepository(t);
  const { id } = await snapshotTree(repository, sourceTree(1));
  const before = await namesIn(storage);

  const result = await pruneNow(repository);

  assert.equal(result.outcome, 'nothing');
  assert.deepEqual(await namesIn(storage), before);
  await assertHolds(repository, new Map([[id, sourceTree(1)]]));
});

test('pruneRepository() writes live blobs again when much of their pack is dead', async (t) => {
  const { repository } = await memoryRepository(t);
  const mixed = { ...sourceTree(1), ...sourceTree(7, 3_000_000) };
  const first = await snapshotTree(repository, mixed);
  const second = await snapshotTree(repository, sourceTree(1));
  await forgetSnapshots(repository, [first.id]);

  const result = await pruneNow(repository);
  const again = await pruneNow(repository);

  assert.equal(result.outcome, 'swept');
  assert.ok(result.repacked.packs > 0);
  assert.ok(result.repacked.liveSize < result.repacked.size / 2);
  assert.equal(result.deleted.packs, result.repacked.packs + result.dead.packs);
  assert.equal(again.outcome, 'nothing');
  await assertHolds(repository, new Map([[second.id, sourceTree(1)]]));
});

test('a dry run writes nothing and plans what is then done', async (t) => {
  const { repository, storage } = await memoryRepository(t);
  const first = await snapshotTree(repository, largeTree(1));
  await snapshotTree(repository, largeTree(2));
  await forgetSnapshots(repository, [first.id]);
  const before = await namesIn(storage);

  const planned = await pruneNow(repository, { isDryRun: true });
  const names = await namesIn(storage);
  const done = await pruneNow(repository);

  assert.deepEqual(names, before);
  assert.equal(planned.outcome, 'planned');
  assert.deepEqual(planOf(planned), planOf(done));
});

function planOf({ plan }: PruneResult): string[] {
  return plan.map(({ name, reason }) => `${name} ${reason}`);
}

test('what was forgotten within the grace stays', async (t) => {
  const { repository } = await memoryRepository(t);
  const first = await snapshotTree(repository, largeTree(1));
  await snapshotTree(repository, largeTree(2));
  await forgetSnapshots(repository, [first.id]);

  const early = await pruneNow(repository, { graceMs: 3_600_000 });
  const manifest = await repository.storage.stat(`snapshots/${first.id}`);
  const late = await pruneNow(repository);

  assert.equal(early.outcome, 'nothing');
  assert.ok(manifest !== undefined);
  assert.equal(late.outcome, 'swept');
  assert.equal(await repository.storage.stat(`snapshots/${first.id}`), undefined);
});

test('a collection goes on where another client has forgotten and saved meanwhile', async (t) => {
  const { repository, storage, directory, clock } = await memoryRepository(t);
  const first = await snapshotTree(repository, largeTree(1));
  const home = newHome(directory);
  const second = await withClient(storage, { home, salt: 9, clock }, async (other) => {
    const taken = await snapshotTree(other, largeTree(2));
    await forgetSnapshots(other, [first.id]);
    return taken;
  });

  const result = await pruneNow(repository);
  const third = await withClient(storage, { home, salt: 10, clock }, (other) =>
    snapshotTree(other, largeTree(1)),
  );

  assert.equal(result.outcome, 'swept');
  await assertHolds(
    repository,
    new Map([
      [second.id, largeTree(2)],
      [third.id, largeTree(1)],
    ]),
  );
});

async function liveBlobs(t: TestContext): Promise<number> {
  const { repository } = await memoryRepository(t);
  await snapshotTree(repository, sourceTree(1));
  return (await pruneNow(repository, { isDryRun: true })).blobs;
}

test('blobs that snapshots share are counted once', async (t) => {
  const { repository } = await memoryRepository(t);
  await snapshotTree(repository, sourceTree(1));
  await snapshotTree(repository, sourceTree(1));

  const { blobs, snapshots } = await pruneNow(repository, { isDryRun: true });

  assert.equal(snapshots, 2);
  assert.equal(blobs, await liveBlobs(t));
});

test('a snapshot that vanishes without a tomb ends every collection before anything is deleted', async (t) => {
  const { repository, storage } = await memoryRepository(t);
  const first = await snapshotTree(repository, largeTree(1));
  const second = await snapshotTree(repository, largeTree(2));
  await snapshotTree(repository, largeTree(3));
  await forgetSnapshots(repository, [first.id]);
  await pruneNow(repository);
  await storage.delete(`snapshots/${second.id}`);
  const before = await namesIn(storage);

  await assert.rejects(pruneNow(repository), /nothing says that it was forgotten/);

  assert.deepEqual(await namesIn(storage), before);
});

test('a missing blob ends a collection before anything is deleted, and it says what to run', async (t) => {
  const { repository, storage } = await memoryRepository(t);
  const first = await snapshotTree(repository, largeTree(1));
  const packs = await packNames(repository);
  await snapshotTree(repository, largeTree(2));
  await forgetSnapshots(repository, [first.id]);
  const lost = (await packNames(repository)).filter((name) => !packs.includes(name));
  await storage.delete(lost[0] ?? '');
  const before = await namesIn(storage);

  await assert.rejects(pruneNow(repository), /nothing was deleted: run "varve check"/);

  assert.deepEqual(await namesIn(storage), before);
});

for (const damaged of ['first', 'second'] as const) {
  test(`of two copies of a blob the good one stays, when the ${damaged} is damaged`, async (t) => {
    const { repository, storage, directory, clock } = await memoryRepository(t);
    const content = seededRandom(7).bytes(30_000);
    const tree = { '/source/file': content };
    const { id } = await snapshotTree(repository, tree);
    const [first = ''] = await packNames(repository);
    const session = await beginSession(repository, { purpose: 'repack' });
    const type = BLOB_TYPE.data;
    await session.rewrite({ id: repository.identify(type, content), type, plaintext: content });
    await session.settle();
    await session.close();
    const second = (await packNames(repository)).find((name) => name !== first) ?? '';
    const name = damaged === 'first' ? first : second;
    // In the middle of a pack that is mostly that blob.
    await flipStored(storage, name);

    // Somebody who knows of no damage, and to whom both copies are the same.
    await withClient(storage, { home: newHome(directory), salt: 31, clock }, (stranger) =>
      pruneNow(stranger),
    );

    const access = await openReadAccess(repository);
    const [snapshot] = access.view.snapshots;
    assert.equal(snapshot?.id, id);
    assert.deepEqual(await describeSnapshot(access, snapshot as never), describeTree(tree));
  });
}

test('a damaged segment keeps a stranger from collecting until its packs are named again', async (t) => {
  const { repository, storage, directory, clock } = await memoryRepository(t);
  const first = await snapshotTree(repository, largeTree(1));
  const second = await snapshotTree(repository, largeTree(2));
  const [segment = ''] = (await namesIn(storage, 'index/')).slice(-1);
  await replaceObject(storage, segment, flipBit(await storage.get(segment), 100));
  await forgetSnapshots(repository, [first.id]);
  const before = await packNames(repository);
  const asStranger = <T>(salt: number, use: (stranger: Repository) => Promise<T>): Promise<T> =>
    withClient(storage, { home: newHome(directory), salt, clock }, use);

  await assert.rejects(asStranger(41, pruneNow), /nothing was deleted: run "varve check"/);
  assert.deepEqual(await packNames(repository), before);
  await asStranger(42, (stranger) => repairIndex(stranger));
  const { outcome } = await asStranger(43, pruneNow);

  assert.equal(outcome, 'swept');
  await asStranger(44, (stranger) => assertHolds(stranger, new Map([[second.id, largeTree(2)]])));
});
