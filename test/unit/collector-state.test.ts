/** Which packs are dead: marks, sweeps and merged sweeps, and which of them are void. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CorruptionError, VersionError } from '../../src/errors.ts';
import type { PackName } from '../../src/id.ts';
import { loadCollectorState, NO_COLLECTION } from '../../src/repository/collector-state.ts';
import { openReadAccess } from '../../src/repository/read-access.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { loadView } from '../../src/repository/view.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { interceptStorage } from '../helpers/fault-storage.ts';
import { RecordWriter } from '../helpers/record-writer.ts';
import {
  describeSnapshot,
  describeTree,
  memoryRepository,
  snapshotTree,
  sourceTree,
} from '../helpers/repository-crash.ts';

const pack = (n: number): string => n.toString(16).padStart(64, '0');

async function deadPacks(repository: Repository): Promise<string[]> {
  return [...(await loadCollectorState(repository)).deadPacks].sort();
}

test('a repository without collector records has no dead packs', async (t) => {
  const { repository } = await memoryRepository(t);

  const state = await loadCollectorState(repository);

  assert.deepEqual(state, NO_COLLECTION);
});

test('packs condemned by a mark are dead until its sweep, then those it swept', async (t) => {
  const { repository } = await memoryRepository(t);
  const writer = new RecordWriter(repository);
  await writer.mark(1, { condemned: [pack(1), pack(2)] });

  const pending = await loadCollectorState(repository);
  await writer.sweep(1, [pack(2)]);
  const swept = await loadCollectorState(repository);

  assert.deepEqual([...pending.deadPacks].sort(), [pack(1), pack(2)]);
  assert.equal(pending.generation, 0);
  assert.deepEqual(pending.pendingMark?.condemned, [pack(1), pack(2)]);
  assert.deepEqual([...swept.deadPacks], [pack(2)]);
  assert.equal(swept.generation, 1);
  assert.equal(swept.pendingMark, undefined);
});

test('sweeps add up over the generations', async (t) => {
  const { repository } = await memoryRepository(t);
  const writer = new RecordWriter(repository);
  await writer.sweep(1, [pack(1)]);
  await writer.sweep(2, [pack(2)]);
  await writer.mark(3, { condemned: [pack(3)] });

  assert.deepEqual(await deadPacks(repository), [pack(1), pack(2), pack(3)]);
});

test('a mark or sweep that a merged sweep covers is void, whatever it says', async (t) => {
  const { repository } = await memoryRepository(t);
  const writer = new RecordWriter(repository);
  await writer.mergedSweep(2, { from: 1, packs: [pack(1), pack(2)] });
  await writer.sweep(2, [pack(7)]);
  await writer.mark(1, { condemned: [pack(8)] });
  await writer.mark(2, { condemned: [pack(8)] });

  const state = await loadCollectorState(repository);

  assert.deepEqual([...state.deadPacks].sort(), [pack(1), pack(2)]);
  assert.equal(state.generation, 2);
  assert.equal(state.pendingMark, undefined);
});

/** Does something before the first reading of a record below `gc/`. */
function beforeReading(storage: Storage, act: () => Promise<unknown>): Storage {
  let isDone = false;
  return interceptStorage(storage, async (call, run) => {
    if (call.operation === 'get' && call.name.startsWith('gc/') && !isDone) {
      isDone = true;
      await act();
    }
    return await run();
  });
}

test('a merged sweep that appears between listing and reading is believed, not the sleeper', async (t) => {
  const { storage, repository } = await memoryRepository(t);
  const writer = new RecordWriter(repository);
  await writer.sweep(1, [pack(1)]);
  const merging = beforeReading(storage, async () => {
    // Merging deletes the sweep and opens its name; a collector asleep since then puts another one.
    await writer.mergedSweep(1, { from: 1, packs: [pack(1)] });
    await storage.delete('gc/0000000000000001.sweep');
    await writer.sweep(1, []);
  });

  const state = await loadCollectorState({ ...repository, storage: merging });

  assert.deepEqual([...state.deadPacks], [pack(1)]);
});

test('a collector record that is gone when it is read was merged: list again', async (t) => {
  const { storage, repository } = await memoryRepository(t);
  const writer = new RecordWriter(repository);
  await writer.sweep(1, [pack(1)]);
  await writer.mark(2, { condemned: [pack(2)] });
  const merging = beforeReading(storage, async () => {
    await writer.mergedSweep(1, { from: 1, packs: [pack(1)] });
    await storage.delete('gc/0000000000000001.sweep');
  });

  const state = await loadCollectorState({ ...repository, storage: merging });

  assert.deepEqual([...state.deadPacks].sort(), [pack(1), pack(2)]);
});

test('a collector record that is never there ends in an error, not in an endless loop', async (t) => {
  const { storage, repository } = await memoryRepository(t);
  const ghost: Storage = {
    ...interceptStorage(storage, (_call, run) => run()),
    async *list(prefix) {
      if (prefix === 'gc/') yield { name: 'gc/0000000000000001.sweep', size: 9, modifiedMs: 0 };
    },
  };

  await assert.rejects(loadCollectorState({ ...repository, storage: ghost }), CorruptionError);
});

test('a record under the name of another generation is refused', async (t) => {
  const { repository } = await memoryRepository(t);
  await new RecordWriter(repository).sweep(3, [pack(1)], { generation: 2 });

  await assert.rejects(loadCollectorState(repository), /generation 2, expected 3/);
});

test('a collector record that cannot be read: readers go on, writers refuse', async (t) => {
  const { storage, repository } = await memoryRepository(t);
  const { id } = await snapshotTree(repository, sourceTree(1));
  await storage.putIfAbsent('gc/0000000000000001.sweep', new Uint8Array(200));

  const view = await loadView(repository, 'read');
  const access = await openReadAccess(repository);

  assert.deepEqual(
    view.snapshots.map((snapshot) => snapshot.id),
    [id],
  );
  assert.deepEqual(
    view.damaged.map(({ name }) => name),
    ['gc/'],
  );
  for (const snapshot of access.view.snapshots) {
    assert.deepEqual(await describeSnapshot(access, snapshot), describeTree(sourceTree(1)));
  }
  await assert.rejects(loadView(repository, 'write'), CorruptionError);
  await assert.rejects(snapshotTree(repository, sourceTree(2)), CorruptionError);
});

for (const record of ['mark', 'sweep'] as const) {
  test(`a ${record} that requires an unknown feature keeps writers out`, async (t) => {
    const { repository } = await memoryRepository(t);
    const writer = new RecordWriter(repository);
    const requires = { requires: ['time_travel'] };
    if (record === 'mark') await writer.mark(1, { condemned: [] }, requires);
    else await writer.sweep(1, [], requires);

    await assert.rejects(loadView(repository, 'write'), VersionError);
    assert.equal((await loadView(repository, 'read')).damaged.length, 1);
  });
}

/** Packs of the only session so far. */
async function packsOf(repository: Repository): Promise<PackName[]> {
  return [...(await openReadAccess(repository)).sync.listed.keys()];
}

for (const fate of ['condemned', 'swept', 'swept and merged'] as const) {
  test(`blobs of a pack that is ${fate} are stored again`, async (t) => {
    const { repository } = await memoryRepository(t);
    const tree = sourceTree(1);
    const first = await snapshotTree(repository, tree);
    assert.equal((await snapshotTree(repository, tree)).newBlobs, 0);
    const packs = await packsOf(repository);
    const writer = new RecordWriter(repository);
    if (fate === 'condemned') await writer.mark(1, { condemned: packs });
    else if (fate === 'swept') await writer.sweep(1, packs);
    else await writer.mergedSweep(1, { from: 1, packs });

    const again = await snapshotTree(repository, tree);

    assert.equal(again.newBlobs, first.newBlobs);
    assert.equal((await snapshotTree(repository, tree)).newBlobs, 0);
  });
}

test('blobs of a void sweep are not stored again', async (t) => {
  const { repository } = await memoryRepository(t);
  await snapshotTree(repository, sourceTree(1));
  const writer = new RecordWriter(repository);
  await writer.sweep(1, await packsOf(repository));
  await writer.mergedSweep(1, { from: 1, packs: [] });

  assert.equal((await snapshotTree(repository, sourceTree(1))).newBlobs, 0);
});
