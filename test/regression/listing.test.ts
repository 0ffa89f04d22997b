/**
 * Storages that fail or lie while a collection or a snapshot is at work: nothing is deleted that
 * somebody needs, and nothing is named that was not stored. Ids as in docs/regressions.md.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { CorruptionError, StorageError, VarveError } from '../../src/errors.ts';
import { pruneRepository } from '../../src/maintain/prune/prune.ts';
import type { Storage } from '../../src/storage/storage.ts';
import {
  killAt,
  mortal,
  newStage,
  ownTree,
  type Stage,
  sessionIds,
} from '../helpers/collection-stage.ts';
import {
  failStorage,
  hideFromListings,
  interceptStorage,
  StorageStopped,
} from '../helpers/fault-storage.ts';
import { pruneNow } from '../helpers/forget-snapshots.ts';
import { namesIn, SOURCE_ROOT, snapshotTree } from '../helpers/repository-crash.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { replaceObject } from '../helpers/test-repository.ts';

const large = { [`${SOURCE_ROOT}/large`]: seededRandom(1).bytes(40_000) };

/** One collection is done, and there is something to do for the next. */
async function newCollectedStage(t: TestContext): Promise<Stage> {
  const stage = await newStage(t);
  const client = await stage.client();
  const first = await stage.save(client, ownTree(1));
  const second = await stage.save(client, { ...ownTree(2), ...large });
  for (const version of [3, 4, 5]) await stage.save(client, ownTree(2, version));
  await stage.forget(client, first);
  await pruneNow(client);
  await stage.forget(client, second);
  await stage.forget(client, await stage.save(client, ownTree(6)));
  return stage;
}

/** A listing below the prefix gives so many names, and ends as if there were no more. */
function truncated(storage: Storage, prefix: string, count: number): Storage {
  return {
    ...interceptStorage(storage, (_call, run) => run()),
    async *list(below, options) {
      let given = 0;
      for await (const object of storage.list(below, options)) {
        if (object.name.startsWith(prefix) && given++ >= count) return;
        yield object;
      }
    },
  };
}

/** Listings do not show these snapshots; whoever asks for one by its name finds it. */
function hideNames({ storage }: Stage, ids: readonly string[]): Storage {
  const names = new Set(ids.map((id) => `snapshots/${id}`));
  return hideFromListings(storage, (name) => names.has(name));
}

async function packCount({ storage }: Stage): Promise<number> {
  return (await namesIn(storage, 'data/')).length + (await namesIn(storage, 'meta/')).length;
}

for (const prefix of ['snapshots/', 'tombs/', 'gc/', 'index/', 'meta/', 'sessions/']) {
  test(`B01 listings of ${prefix} are cut short during a collection`, async (t) => {
    const original = await newCollectedStage(t);
    const all = await namesIn(original.storage, prefix);
    for (let count = 0; count < all.length; count++) {
      const stage = await original.copy();
      const before = await packCount(stage);
      const collector = await stage.client(truncated(stage.storage, prefix, count));

      const result = await pruneNow(collector).catch((error: Error) => error);

      const where = `${count} of ${all.length} names`;
      if (result instanceof Error) assert.ok(result instanceof VarveError, `${where}: ${result}`);
      const hidden = all.slice(count).map((name) => name.slice(prefix.length));
      const isLiveHidden = hidden.some((id) => stage.expected.has(id));
      if (prefix === 'snapshots/' && isLiveHidden) {
        assert.ok(result instanceof CorruptionError, `${where}: ${result}`);
        assert.equal(await packCount(stage), before, where);
      }
      assert.deepEqual(await stage.losses(), [], where);
      await pruneNow(await stage.client());
      assert.deepEqual(await stage.losses(), [], `${where}, and collected again`);
    }
  });
}

test('B02 a listing of snapshots that fails in the middle', async (t) => {
  const stage = await newCollectedStage(t);
  const before = await namesIn(stage.storage);
  const failing: Storage = {
    ...interceptStorage(stage.storage, (_call, run) => run()),
    async *list(prefix, options) {
      let given = 0;
      for await (const object of stage.storage.list(prefix, options)) {
        if (object.name.startsWith('snapshots/') && given++ === 2) {
          throw new StorageError('list', prefix, 'connection lost');
        }
        yield object;
      }
    },
  };

  await assert.rejects(pruneNow(await stage.client(failing)), StorageError);

  assert.deepEqual(await namesIn(stage.storage), before);
  assert.deepEqual(await stage.losses(), []);
});

test('B02 a first collection to which no snapshot is listed', async (t) => {
  const stage = await newStage(t);
  const client = await stage.client();
  const first = await stage.save(client, ownTree(0));
  for (const version of [1, 2]) await stage.save(client, ownTree(version));
  await stage.forget(client, first);
  const empty = hideFromListings(stage.storage, (name) => name.startsWith('snapshots/'));
  const before = await packCount(stage);

  await assert.rejects(pruneNow(await stage.client(empty)), StorageError);

  assert.equal(await packCount(stage), before);
  assert.deepEqual(await stage.losses(), []);
});

test('B02 a first collection to which the newest snapshots, or some, are not listed', async (t) => {
  const stage = await newStage(t);
  const client = await stage.client();
  const ids: string[] = [];
  for (const version of [1, 2, 3, 4, 5]) {
    ids.push((await stage.save(client, ownTree(version))).id);
  }
  await stage.forget(client, { id: ids.shift() as string });
  const before = await namesIn(stage.storage);
  const newest = ids.map((_, i) => ids.slice(i));
  const single = ids.map((id) => [id]);

  for (const hidden of [...newest, ...single]) {
    const collector = await stage.client(hideNames(stage, hidden));
    const message = /snapshots\/[0-9a-f]{32} is there and not listed; nothing was deleted/;
    await assert.rejects(pruneNow(collector), { name: 'StorageError', message });
    assert.deepEqual(await namesIn(stage.storage), before);
  }

  await pruneNow(await stage.client());
  assert.deepEqual(await stage.losses(), []);
  // After a collection that has seen the others.
  const { id } = await stage.save(await stage.client(), ownTree(6));
  const late = await stage.client(hideNames(stage, [id]));
  await assert.rejects(pruneNow(late), /is there and not listed; nothing was deleted/);
  assert.deepEqual(await stage.losses(), []);
});

test('B02 a hidden snapshot that stored nothing is missed by whoever has seen it, or reads who has', async (t) => {
  const stage = await newStage(t);
  const [alice, bob] = [await stage.client(), await stage.client()];
  await stage.forget(alice, await stage.save(alice, ownTree(1)));
  // All that it needs is still there.
  const { id } = await stage.save(bob, ownTree(1));
  const stale = hideNames(stage, [id]);
  const before = await packCount(stage);

  await assert.rejects(
    pruneNow({ ...bob, storage: stale }),
    /record 1 of writer [0-9a-f]{8}, which this client has seen, is gone; nothing was deleted/,
  );
  await stage.save(alice, ownTree(2));
  await assert.rejects(
    pruneNow(await stage.client(stale)),
    /record 1 of writer [0-9a-f]{8}, which others name, is gone; nothing was deleted/,
  );

  assert.ok((await packCount(stage)) > before);
  await pruneNow(alice);
  assert.deepEqual(await stage.losses(), []);
});

test('B02 packs of a session without a trace stay until the grace is over', async (t) => {
  const stage = await newStage(t);
  const client = await stage.client();
  await stage.save(client, ownTree(1));
  const before = await packCount(stage);
  const { storage, kill } = mortal(stage.storage);
  const isKilled = killAt(t, 'session.5.before', { kill });
  await assert.rejects(snapshotTree(await stage.client(storage), ownTree(2)), StorageStopped);
  assert.ok(isKilled());
  // Somebody cleans up by hand.
  for (const id of await sessionIds(stage)) await stage.storage.delete(`sessions/${id}`);

  await assert.rejects(pruneRepository(client), /nothing says what became of session [0-9a-f]{32}/);
  stage.clock.passHours(25);
  const result = await pruneRepository(client);

  assert.equal(result.outcome, 'swept');
  assert.equal(await packCount(stage), before);
  assert.deepEqual(await stage.losses(), []);
});

test('B02 a snapshot that is committed while a collector looks is not taken for hidden', async (t) => {
  const stage = await newStage(t);
  const other = await stage.client();
  await stage.forget(other, await stage.save(other, ownTree(1)));
  let isSaved = false;
  const watched = interceptStorage(stage.storage, async ({ operation, name }, run) => {
    if (operation === 'list' && name === 'index/' && !isSaved) {
      isSaved = true;
      await stage.save(other, ownTree(2));
    }
    return await run();
  });

  await pruneNow(await stage.client(watched));

  assert.ok(isSaved);
  assert.deepEqual(await stage.losses(), []);
});

test('B02 a collection after everything was forgotten deletes everything', async (t) => {
  const stage = await newStage(t);
  const client = await stage.client();
  await stage.forget(client, await stage.save(client, ownTree(1)));
  await pruneNow(client);
  await stage.forget(client, await stage.save(client, ownTree(2)));

  await pruneNow(client);

  assert.equal(await packCount(stage), 0);
  assert.equal((await pruneNow(await stage.client())).outcome, 'nothing');
});

for (const isLasting of [true, false]) {
  const how = isLasting ? 'from one call on' : 'once';
  test(`B03 a storage that fails ${how} during a collection`, async (t) => {
    const original = await newCollectedStage(t);
    for (let at = 0, isDone = false; !isDone; at += isLasting ? 3 : 5) {
      const stage = await original.copy();
      const error = new StorageError('get', 'something', 'out of order');
      let [count, deleted] = [0, 0];
      const counted = interceptStorage(stage.storage, async ({ operation, name }, run) => {
        const isPack = name.startsWith('data/') || name.startsWith('meta/');
        if (operation === 'delete' && isPack) deleted += 1;
        count += 1;
        return await run();
      });
      const collector = await stage.client(failStorage(counted, { error, at: at + 8, isLasting }));

      const result = await pruneNow(collector).catch((failure: Error) => failure);

      isDone = count < at;
      if (result instanceof Error) assert.ok(result instanceof VarveError, `${at}: ${result}`);
      const sweep = await stage.storage.stat(`gc/${'2'.padStart(16, '0')}.sweep`);
      assert.ok(deleted === 0 || sweep !== undefined, `${at}: nothing goes before its sweep`);
      assert.deepEqual(await stage.losses(), [], `call ${at}`);
      await pruneNow(await stage.client(), { sessionTtlMs: 0 });
      assert.deepEqual(await stage.losses(), [], `call ${at}, and collected again`);
    }
  });
}

test('B08 a pack that the storage has cut short stops the collection', async (t) => {
  const stage = await newCollectedStage(t);
  const names = await namesIn(stage.storage, 'meta/');
  for (const name of names) {
    const copy = await stage.copy();
    const bytes = await copy.storage.get(name);
    await replaceObject(copy.storage, name, bytes.subarray(0, bytes.length - 1));
    const damaged = await copy.losses();
    const before = await namesIn(copy.storage, 'meta/');

    const result = await pruneNow(await copy.client()).catch((error: Error) => error);

    if (damaged.some((loss) => loss.includes('is wrong'))) {
      assert.ok(result instanceof VarveError, `${name}: ${result}`);
      assert.deepEqual(await namesIn(copy.storage, 'meta/'), before);
    }
  }
});

test('B09 a pack that cannot be stored is named by no segment and no snapshot', async (t) => {
  const stage = await newStage(t);
  const error = new StorageError('put', 'meta/', 'no answer');
  const failing = failStorage(stage.storage, {
    error,
    at: 0,
    isCounted: ({ operation, name }) => operation === 'put' && name.startsWith('meta/'),
  });

  await assert.rejects(stage.save(await stage.client(failing), ownTree(1)), StorageError);

  assert.deepEqual(await namesIn(stage.storage, 'index/'), []);
  assert.deepEqual(await stage.losses(), [], 'no snapshot is listed');
});

for (const kind of ['mark', 'sweep', 'done'] as const) {
  test(`B13 the answer to a ${kind} that was stored is lost`, async (t) => {
    const stage = await newCollectedStage(t);
    const error = new StorageError('put', 'gc/', 'no answer');
    const failing = failStorage(stage.storage, {
      error,
      at: 0,
      isApplied: true,
      isCounted: ({ operation, name }) => operation === 'putIfAbsent' && name.endsWith(`.${kind}`),
    });

    await assert.rejects(pruneNow(await stage.client(failing)), StorageError);

    assert.deepEqual(await stage.losses(), []);
    const next = await stage.client();
    await pruneNow(next);
    const again = await pruneNow(next);
    assert.equal(again.outcome, 'nothing');
    assert.deepEqual(await stage.losses(), []);
  });
}
