/**
 * Collections and the index: compaction, records that are merged, packs that come back, and many days
 * of all of it with kills. Ids as in docs/regressions.md.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { CorruptionError } from '../../src/errors.ts';
import { PRUNE_FAILPOINTS } from '../../src/maintain/prune/failpoints.ts';
import { loadCollectorState } from '../../src/repository/collector-state.ts';
import { rebuildIndex } from '../../src/repository/index-sync.ts';
import { loadView } from '../../src/repository/view.ts';
import { runSoak } from '../helpers/collection-soak.ts';
import { killAt, mortal, newStage, ownTree, type Stage } from '../helpers/collection-stage.ts';
import {
  alterStorage,
  flipBit,
  interceptStorage,
  StorageStopped,
} from '../helpers/fault-storage.ts';
import { pruneNow } from '../helpers/forget-snapshots.ts';
import { RecordWriter } from '../helpers/record-writer.ts';
import { namesIn } from '../helpers/repository-crash.ts';

const tidySteps = PRUNE_FAILPOINTS.filter((point) => !point.startsWith('prune.'));
const weeks = 31 * 24;

/** So many segments, fences and sweeps, none carried out, that a collection compacts and merges them. */
async function newLitteredStage(t: TestContext): Promise<Stage> {
  const stage = await newStage(t);
  const client = await stage.client();
  for (let i = 0; i < 34; i++) {
    const taken = await stage.save(client, ownTree(0, i));
    if (i < 31) await stage.forget(client, taken);
  }
  const writer = new RecordWriter(client);
  for (let i = 0; i < 40; i++) await writer.fence(i.toString(16).padStart(32, '0'));
  for (let generation = 1; generation <= 34; generation++) {
    await writer.sweep(generation, [generation.toString(16).padStart(64, '0')]);
  }
  return stage;
}

/** Twice, since what was merged is deleted an hour later. Small packs are left as they are. */
async function tidy(stage: Stage, storage = stage.storage): Promise<void> {
  const client = await stage.client(storage);
  await pruneNow(client, { repackSizeMax: 0 });
  stage.clock.passHours(2);
  await pruneNow(client, { repackSizeMax: 0 });
}

test('G15 compaction and merging killed at each step, and done again', async (t) => {
  const original = await newLitteredStage(t);
  for (const point of tidySteps) {
    for (const count of [1, 2]) {
      const stage = await original.copy();
      stage.clock.passHours(weeks);
      const client = mortal(stage.storage);
      const isKilled = killAt(t, point, { ...client, count });

      const failure = await tidy(stage, client.storage).catch((error: Error) => error);

      const where = `killed at ${point}, ${count}`;
      if (isKilled()) assert.ok(failure instanceof StorageStopped, where);
      else assert.ok(count > 1 && failure === undefined, `${where}: ${failure}`);
      assert.deepEqual(await stage.losses(), [], where);
      await tidy(stage);
      assert.deepEqual(await stage.losses(), [], `${where}, and done again`);
      const { sweptPacks } = await loadCollectorState(await stage.client());
      for (let pack = 1; pack <= 34; pack++) {
        assert.ok(sweptPacks.has(pack.toString(16).padStart(64, '0') as never), 'names stay swept');
      }
    }
  }
});

test('G09 a client whose segments are compacted and deleted while it reads them', async (t) => {
  const stage = await newStage(t);
  const writer = await stage.client();
  for (let i = 0; i < 34; i++) await stage.save(writer, ownTree(i));
  let isFirst = true;
  const late = interceptStorage(stage.storage, async ({ operation, name }, run) => {
    if (operation === 'get' && name.startsWith('index/') && isFirst) {
      isFirst = false;
      await tidy(stage);
    }
    return await run();
  });
  const reader = await stage.client(late);

  const taken = await stage.save(reader, ownTree(5, 40));

  assert.equal(isFirst, false);
  assert.ok((await namesIn(stage.storage, 'index/')).length < 5);
  assert.ok(taken.id !== '');
  assert.deepEqual(await stage.losses(), []);
  await pruneNow(reader);
  assert.deepEqual(await stage.losses(), []);
});

test('G09 a collector whose segments are compacted and deleted while it reads them', async (t) => {
  const stage = await newStage(t);
  const writer = await stage.client();
  for (let i = 0; i < 34; i++) {
    const taken = await stage.save(writer, ownTree(i));
    if (i === 7) await stage.forget(writer, taken);
  }
  let isFirst = true;
  const late = interceptStorage(stage.storage, async ({ operation, name }, run) => {
    if (operation === 'get' && name.startsWith('index/') && isFirst) {
      isFirst = false;
      await tidy(stage);
    }
    return await run();
  });

  // It may give up.
  await pruneNow(await stage.client(late)).catch(() => undefined);

  assert.equal(isFirst, false);
  assert.deepEqual(await stage.losses(), []);
  await pruneNow(await stage.client());
  assert.deepEqual(await stage.losses(), []);
});

test('G16 a compacted segment that arrives damaged takes the place of none', async (t) => {
  const stage = await newStage(t);
  const client = await stage.client();
  for (let i = 0; i < 34; i++) await stage.save(client, ownTree(i));
  const before = await namesIn(stage.storage, 'index/');
  const damaging = alterStorage(stage.storage, {
    write: (name, bytes) => (name.startsWith('index/1-') ? flipBit(bytes, 9000) : bytes),
  });

  const collector = await stage.client(damaging);

  await assert.rejects(pruneNow(collector, { repackSizeMax: 0 }), CorruptionError);

  assert.deepEqual(await namesIn(stage.storage, 'index/'), before);
  assert.deepEqual(await stage.losses(), []);
  await tidy(stage);
  assert.ok((await namesIn(stage.storage, 'index/')).length < 5);
  assert.deepEqual(await stage.losses(), []);
});

test('G17 a swept pack that comes back is believed by no index, old or new', async (t) => {
  const stage = await newStage(t);
  const client = await stage.client();
  const first = await stage.save(client, ownTree(1));
  const [pack = ''] = await namesIn(stage.storage, 'meta/');
  const bytes = await stage.storage.get(pack);
  await stage.save(client, ownTree(2));
  await stage.forget(client, first);
  await pruneNow(client);
  assert.equal(await stage.storage.stat(pack), undefined);
  // An upload that was repeated, on a network that took its time.
  await stage.storage.put(pack, bytes);

  const rebuilding = await stage.client();
  await rebuildIndex(rebuilding, await loadView(rebuilding, 'read'));
  const taken = await stage.save(rebuilding, ownTree(1));

  assert.ok(taken.newBlobs > 0);
  await stage.storage.delete(pack);
  assert.deepEqual(await stage.losses(), []);
});

test('G21 compaction stopped between its segment and those it supersedes', async (t) => {
  const stage = await newStage(t);
  const client = await stage.client();
  for (let i = 0; i < 34; i++) await stage.save(client, ownTree(i));
  const [old] = [...stage.expected.keys()];
  const doomed = mortal(stage.storage);
  const isKilled = killAt(t, 'compact.after', doomed);
  await assert.rejects(pruneNow(await stage.client(doomed.storage)), StorageStopped);
  assert.ok(isKilled());

  // Every pack is named by two segments now; one of them goes, and its content is stored again.
  await stage.forget(client, { id: old as string });
  await pruneNow(client);
  await stage.save(client, ownTree(0));
  stage.clock.passHours(2);
  await pruneNow(await stage.client());

  assert.deepEqual(await stage.losses(), []);
  assert.ok((await namesIn(stage.storage, 'index/')).length < 8);
});

test('G07 a month of daily snapshots, forgetting and collecting with kills', async (t) => {
  await runSoak(t, { days: 30 });
});
