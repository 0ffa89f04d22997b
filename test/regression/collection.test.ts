/**
 * Collections beside sessions and other collections, asleep, killed or late at any step: what was
 * acknowledged stays. Ids as in docs/regressions.md.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { BusyError, NotFoundError } from '../../src/errors.ts';
import { PRUNE_FAILPOINTS } from '../../src/maintain/prune/failpoints.ts';
import { type PackRecord, packStorageName } from '../../src/pack/pack-record.ts';
import { REPOSITORY_FAILPOINTS } from '../../src/repository/failpoints.ts';
import type { Repository } from '../../src/repository/repository.ts';
import type { Storage } from '../../src/storage/storage.ts';
import {
  killAt,
  mortal,
  newStage,
  ownTree,
  pauseAt,
  type Stage,
  sessionIds,
} from '../helpers/collection-stage.ts';
import { interceptStorage, StorageStopped } from '../helpers/fault-storage.ts';
import { pruneNow } from '../helpers/forget-snapshots.ts';
import { RecordWriter } from '../helpers/record-writer.ts';
import { storePack } from '../helpers/record-writer-packs.ts';
import { namesIn, SOURCE_ROOT, snapshotTree } from '../helpers/repository-crash.ts';
import { seededRandom } from '../helpers/seeded-random.ts';

/** Steps of a collection without compaction and merging, and without waiting. */
const steps = PRUNE_FAILPOINTS.filter(
  (point) => point.startsWith('prune.') && point !== 'prune.5.waiting',
);
const sessionSteps = REPOSITORY_FAILPOINTS.filter((point) => /^session\.\d/.test(point));

const large = { [`${SOURCE_ROOT}/large`]: seededRandom(1).bytes(40_000) };

/** With a pack that nobody needs, and one of which little is needed. */
async function wastefulStage(t: TestContext): Promise<Stage> {
  const stage = await newStage(t);
  const client = await stage.client();
  const first = await stage.save(client, { ...ownTree(1), ...large });
  const second = await stage.save(client, ownTree(2));
  await stage.save(client, ownTree(1, 3));
  await stage.forget(client, first, second);
  return stage;
}

/** A collection that may find that another one was faster, or be killed. */
async function collect(
  repository: Repository,
  options: Parameters<typeof pruneNow>[1] = {},
): Promise<boolean> {
  try {
    await pruneNow(repository, options);
    return true;
  } catch (error) {
    // Packs that it was about to rewrite may be gone.
    const isBeaten = error instanceof BusyError || error instanceof NotFoundError;
    assert.ok(isBeaten || error instanceof StorageStopped, `${error}`);
    return false;
  }
}

async function assertLossless(stage: Stage, storage: Storage = stage.storage): Promise<void> {
  assert.deepEqual(await stage.losses(storage), []);
}

test('G02 a client that sleeps through its fence and the sweep commits nothing', async (t) => {
  const stage = await newStage(t);
  const [sleeper, other] = [await stage.client(), await stage.client()];
  const first = await stage.save(other, ownTree(1));
  const pause = pauseAt(t, 'session.6.before');
  const saving = stage.save(sleeper, ownTree(1));
  await pause.reached;
  const open = await sessionIds(stage);
  await stage.forget(other, first);

  const { outcome, deleted, fenced } = await pruneNow(other, { sessionTtlMs: 0 });
  pause.release();
  const taken = await saving;

  assert.equal(outcome, 'swept');
  assert.ok(deleted.packs > 0);
  assert.deepEqual(fenced, open);
  assert.notEqual(taken.id, open[0]);
  assert.ok(taken.newBlobs > 0, 'what was swept is stored again');
  await assertLossless(stage);
});

test('G03 a snapshot of what is forgotten before the collector reads it', async (t) => {
  const stage = await newStage(t);
  const [writer, forgetter] = [await stage.client(), await stage.client()];
  const first = await stage.save(writer, ownTree(1));
  let isFirst = true;
  const late: Storage = interceptStorage(stage.storage, async ({ operation, name }, run) => {
    if (operation === 'get' && name === `snapshots/${first.id}` && isFirst) {
      isFirst = false;
      // All that it reaches is relied on by another one, and then it is gone with its manifest.
      await stage.save(writer, ownTree(1));
      await stage.forget(forgetter, first);
      await pruneNow(forgetter);
    }
    return await run();
  });

  await collect(await stage.client(late));

  assert.equal(isFirst, false);
  assert.equal(await stage.storage.stat(`snapshots/${first.id}`), undefined);
  await assertLossless(stage);
  assert.equal(stage.expected.size, 1);
});

test('G04 of a blob that a pack holds twice, and other packs too, a copy stays', async (t) => {
  const stage = await newStage(t);
  const client = await stage.client();
  const tree = ownTree(1);
  const [plaintext] = Object.values(tree) as [Uint8Array];
  await storePack(client, [{ plaintext }, { plaintext }]);
  await storePack(client, [{ plaintext }]);
  await storePack(client, [{ plaintext }, { plaintext: seededRandom(2).bytes(30_000) }]);
  await stage.save(client, tree);
  await stage.save(client, ownTree(1, 2));

  const { deleted } = await pruneNow(client);
  await assertLossless(stage);
  const again = await pruneNow(await stage.client());

  assert.ok(deleted.packs >= 2, `${deleted.packs} packs`);
  assert.equal(again.outcome, 'nothing');
  await assertLossless(stage);
});

for (const point of steps) {
  test(`G05 a second collector while one is held up at ${point}`, async (t) => {
    const stage = await wastefulStage(t);
    const pause = pauseAt(t, point);
    const collecting = collect(await stage.client());
    await pause.reached;

    const didOther = await collect(await stage.client());
    pause.release();
    const didFirst = await collecting;

    assert.ok(didOther || didFirst, 'one of them comes to its end');
    await assertLossless(stage);
    await collect(await stage.client());
    await assertLossless(stage);
  });

  test(`G06 a collector that sleeps for weeks at ${point} while the others go on`, async (t) => {
    const stage = await wastefulStage(t);
    const pause = pauseAt(t, point);
    const collecting = collect(await stage.client());
    await pause.reached;
    const other = await stage.client();

    // What the sleeper takes for dead is wanted again, and what it takes for live is not.
    for (let week = 0; week < 3; week++) {
      const taken = await stage.save(other, ownTree(2, 4 + week));
      stage.clock.passHours(7 * 24);
      await collect(other, { sessionTtlMs: 0 });
      if (week === 1) await stage.forget(other, taken);
    }
    await stage.save(other, { ...ownTree(1), ...large });
    pause.release();
    await collecting;

    await assertLossless(stage);
    await collect(other);
    await assertLossless(stage);
  });

  test(`G15 a collection killed at ${point}, and the next ones`, async (t) => {
    const stage = await wastefulStage(t);
    const client = mortal(stage.storage);
    const collector = await stage.client(client.storage);
    const isKilled = killAt(t, point, client);

    await collect(collector);

    assert.ok(isKilled());
    await assertLossless(stage);
    const next = await stage.client();
    await stage.save(next, ownTree(2, 3));
    assert.ok(await collect(next, { sessionTtlMs: 0 }));
    await assertLossless(stage);
    // Everything that was not wanted is gone by now.
    assert.ok(await collect(next, { sessionTtlMs: 0 }));
    const { outcome, before } = await pruneNow(next, { isDryRun: true });
    assert.equal(outcome, 'planned');
    assert.ok(before.size < 30_000, `${before.size} bytes are left`);
    await assertLossless(stage);
  });
}

test('G08 the same content deleted and made again while the clock stands still', async (t) => {
  const stage = await newStage(t);
  const client = await stage.client();
  const frozen = { ...client, clock: { nowNs: () => 5n, monotonicNs: () => 5n } };
  for (let round = 0; round < 4; round++) {
    const taken = await stage.save(frozen, ownTree(1));
    await assertLossless(stage);
    if (round === 3) break;
    await stage.forget(frozen, taken);
    await collect(frozen);
    await assertLossless(stage);
  }
});

for (const isFenced of [false, true]) {
  const how = isFenced ? 'fenced' : 'waited for';
  test(`G10 a collection during an unfinished first snapshot, which is ${how}`, async (t) => {
    const stage = await newStage(t);
    const [writer, collector] = [await stage.client(), await stage.client()];
    await snapshotTree(collector, ownTree(9)).then((taken) => stage.forget(collector, taken));
    const pause = pauseAt(t, 'session.5.after');
    const saving = stage.save(writer, { ...ownTree(1), ...large });
    await pause.reached;

    const result = await pruneNow(collector, {
      ...(isFenced && { sessionTtlMs: 0 }),
      wait: async () => {
        pause.release();
        await saving;
      },
    });
    pause.release();
    const taken = await saving;

    assert.equal(result.outcome, 'swept');
    assert.equal(result.fenced.length, isFenced ? 1 : 0);
    if (isFenced) assert.equal(taken.newBytes, 0, 'packs of a session at work were left alone');
    await assertLossless(stage);
  });
}

test('G11 a mark that condemns everything, trees and lists included, takes nothing live', async (t) => {
  const stage = await newStage(t);
  const client = await stage.client();
  // Large enough for a list of chunks.
  await stage.save(client, { [`${SOURCE_ROOT}/d/large`]: seededRandom(3).bytes(9_000_000) });
  const dead = await stage.save(client, ownTree(1));
  await stage.forget(client, dead);
  const packs = [
    ...(await namesIn(stage.storage, 'data/')),
    ...(await namesIn(stage.storage, 'meta/')),
  ];
  const condemned = packs.map((name) => name.slice(-64)).sort();
  await new RecordWriter(client).mark(1, { condemned });

  const { outcome, deleted } = await pruneNow(await stage.client());

  assert.equal(outcome, 'swept');
  assert.equal(deleted.packs, 1);
  await assertLossless(stage);
});

test('G12 a collection killed between deleting packs and deleting manifests', async (t) => {
  const stage = await newStage(t);
  const client = await stage.client();
  const first = await stage.save(client, ownTree(1));
  await stage.save(client, ownTree(2));
  await stage.forget(client, first);
  const doomed = mortal(stage.storage);
  const collector = await stage.client(doomed.storage);
  const isKilled = killAt(t, 'prune.8.after', doomed);

  await collect(collector);

  assert.ok(isKilled());
  assert.ok((await stage.storage.stat(`snapshots/${first.id}`)) !== undefined);
  await assertLossless(stage);
  await pruneNow(await stage.client());
  assert.equal(await stage.storage.stat(`snapshots/${first.id}`), undefined);
  await assertLossless(stage);
});

for (const point of steps.filter((one) => !one.startsWith('prune.3'))) {
  test(`G14 a snapshot taken from beginning to end at ${point} of what is about to go`, async (t) => {
    const stage = await newStage(t);
    const [writer, collector] = [await stage.client(), await stage.client()];
    const first = await stage.save(writer, ownTree(1));
    await stage.save(writer, ownTree(2));
    await stage.forget(writer, first);
    const pause = pauseAt(t, point);
    const collecting = pruneNow(collector);
    await pause.reached;

    const taken = await stage.save(writer, ownTree(1));
    pause.release();
    const { outcome } = await collecting;

    const isBeforeMark = ['prune.1.before', 'prune.2.after', 'prune.4.before'].includes(point);
    assert.equal(taken.newBlobs === 0, isBeforeMark, 'what is condemned is not relied on');
    assert.ok(isBeforeMark || outcome === 'swept');
    await assertLossless(stage);
  });
}

test('G18 a repack of the very pack that a session at work relies on', async (t) => {
  const stage = await newStage(t);
  const [writer, collector] = [await stage.client(), await stage.client()];
  const first = await stage.save(collector, { ...ownTree(1), ...large });
  await stage.save(collector, ownTree(1));
  await stage.forget(collector, first);
  const pause = pauseAt(t, 'session.6.before');
  // It relies on what the repack moves, and on what the repack leaves behind.
  const saving = stage.save(writer, { ...ownTree(1), ...large });
  await pause.reached;

  const { repacked } = await pruneNow(collector, {
    wait: async () => {
      pause.release();
      await saving;
    },
  });

  pause.release();
  await saving;

  assert.ok(repacked.packs > 0);
  await assertLossless(stage);
});

test('G19 a collection stopped before each of its writes', async (t) => {
  const original = await wastefulStage(t);
  const isWrite = (operation: string): boolean =>
    !['get', 'getRange', 'list', 'stat'].includes(operation);
  for (let n = 0, isDone = false; !isDone; n++) {
    const stage = await original.copy();
    const client = mortal(stage.storage);
    let count = 0;
    const counted = interceptStorage(client.storage, async ({ operation }, run) => {
      if (isWrite(operation) && count++ === n) client.kill();
      return await run();
    });

    isDone = await collect(await stage.client(counted));

    assert.deepEqual(await stage.losses(), [], `stopped at write ${n}`);
    await collect(await stage.client(), { sessionTtlMs: 0 });
    assert.deepEqual(await stage.losses(), [], `stopped at write ${n}, and collected again`);
    assert.ok(n < 200);
    if (isDone) assert.ok(n > 15, `${n} writes`);
  }
});

const nonsenseTimes: Record<string, (n: number) => number> = {
  'the year 1970': () => 0,
  'far away': () => 2 ** 52,
  'before 1970': () => -86_400_000,
  'a random one': (n) => seededRandom(n).below(2 ** 31) * 2000,
};

for (const [what, time] of Object.entries(nonsenseTimes)) {
  test(`G20 a storage for which every object is of ${what}`, async (t) => {
    const stage = await newStage(t);
    let count = 0;
    const nonsense: Storage = {
      ...interceptStorage(stage.storage, (_call, run) => run()),
      stat: async (name, options) => {
        const stat = await stage.storage.stat(name, options);
        return stat && { ...stat, modifiedMs: time(count++) };
      },
      async *list(prefix, options) {
        for await (const object of stage.storage.list(prefix, options)) {
          yield { ...object, modifiedMs: time(count++) };
        }
      },
    };
    const [writer, collector] = [await stage.client(nonsense), await stage.client(nonsense)];
    const first = await stage.save(writer, { ...ownTree(1), ...large });
    await stage.save(writer, ownTree(1, 2));
    await stage.forget(writer, first);
    const pause = pauseAt(t, 'session.6.before');
    const saving = stage.save(writer, { ...ownTree(3), ...large });
    await pause.reached;

    await collect(collector, {
      wait: async () => {
        pause.release();
        await saving;
      },
    });
    pause.release();
    await saving;
    await collect(collector);

    await assertLossless(stage);
  });
}

for (const point of sessionSteps) {
  for (const isFenced of [true, false]) {
    const how = isFenced ? 'fence' : 'wait for';
    test(`G24 a session held up at ${point} while others forget, ${how} it and sweep`, async (t) => {
      const stage = await newStage(t);
      const [writer, collector] = [await stage.client(), await stage.client()];
      const first = await stage.save(collector, ownTree(1, 2));
      await stage.save(collector, ownTree(5));
      const pause = pauseAt(t, point);
      // Some of it is there and will be forgotten, some is new.
      const saving = stage.save(writer, ownTree(1, 3));
      await pause.reached;
      await stage.forget(collector, first);

      await collect(collector, {
        ...(isFenced && { sessionTtlMs: 0 }),
        wait: async () => {
          pause.release();
          await saving;
        },
      });
      pause.release();
      await saving;

      await assertLossless(stage);
      await collect(collector);
      await assertLossless(stage);
    });
  }
}

test('G24 a dead page in a live pack, whose children are condemned, is not reused', async (t) => {
  const stage = await newStage(t);
  const [writer, collector] = [await stage.client(), await stage.client()];
  const bulk = (salt: number): Uint8Array => seededRandom(salt).bytes(4_500_000);
  const directory = { [`${SOURCE_ROOT}/d/bulk`]: bulk(1) };
  // So much data has packs of its own; the pages of both trees lie in others, of which enough is live.
  const names = Object.fromEntries(
    Array.from({ length: 60 }, (_, i) => [`${SOURCE_ROOT}/e/${i}`, new Uint8Array(0)]),
  );
  const first = await stage.save(writer, { ...directory, ...names });
  await stage.save(writer, { [`${SOURCE_ROOT}/f/bulk`]: bulk(2), ...names });
  await stage.forget(writer, first);
  const pause = pauseAt(t, 'prune.4.after');
  const collecting = pruneNow(collector);
  await pause.reached;

  const taken = await stage.save(writer, { ...directory, ...names });
  pause.release();
  const { deleted, repacked } = await collecting;

  assert.equal(repacked.packs, 0, 'the pack of the page stays as it is');
  assert.ok(deleted.packs > 0);
  assert.ok(taken.newBytes > 4_000_000, 'its children are stored again');
  await assertLossless(stage);
});

for (const other of [0, 1]) {
  test(`G24 a collector asleep since before its sweep was merged deletes nothing by its own list: ${other}`, async (t) => {
    const stage = await newStage(t);
    const client = await stage.client();
    const tree = ownTree(1);
    const [plaintext] = Object.values(tree) as [Uint8Array];
    const copies = [
      await storePack(client, [{ plaintext }]),
      await storePack(client, [{ plaintext }]),
    ];
    await stage.save(client, tree);
    const writer = new RecordWriter(client);
    await writer.mark(1, { condemned: copies.map(({ name }) => name).sort() });
    const pause = pauseAt(t, 'prune.7.before');
    const collecting = pruneNow(await stage.client());
    await pause.reached;
    // Meanwhile one copy was swept, which may be the one that the sleeper would keep; the sweep was
    // carried out and merged, and its name is open again.
    const swept = copies[other] as PackRecord;
    await stage.storage.delete(packStorageName(swept));
    await writer.mergedSweep(1, { from: 1, packs: [swept.name] });
    await stage.storage.delete(`gc/${'1'.padStart(16, '0')}.mark`);

    pause.release();

    await assert.rejects(collecting, BusyError);
    await assertLossless(stage);
    await pruneNow(await stage.client());
    await assertLossless(stage);
  });
}

test('G33 a collection with keys for control and metadata alone', async (t) => {
  const stage = await newStage(t);
  const client = await stage.client();
  const bulk = (salt: number) => ({
    [`${SOURCE_ROOT}/bulk-${salt}`]: seededRandom(salt).bytes(4_500_000),
  });
  const first = await stage.save(client, { ...bulk(1), ...ownTree(1) });
  await stage.save(client, { ...bulk(2), ...ownTree(2) });
  await stage.forget(client, first);
  const { keys } = client;
  const blind = ([_data, metadata, control]: typeof keys.current.encryption) =>
    [seededRandom(9).bytes(32), metadata, control] as const;
  const generations = new Map(
    [...keys.generations].map(([number, one]) => [
      number,
      { ...one, encryption: blind(one.encryption) },
    ]),
  );
  const current = { ...keys.current, encryption: blind(keys.current.encryption) };
  const collector = await stage.client();

  const result = await pruneNow(
    { ...collector, keys: { ...keys, current, generations } },
    { repackSizeMax: 0 },
  );

  assert.equal(result.outcome, 'swept');
  assert.ok(result.deleted.size > 4_000_000);
  await assertLossless(stage);
});

/** A writer that was killed after its pack and before its segment, long ago. */
async function leavePack(stage: Stage): Promise<string> {
  const client = mortal(stage.storage);
  const dying = interceptStorage(client.storage, async ({ operation, name }, run) => {
    if (operation === 'put' && name.startsWith('index/')) client.kill();
    return await run();
  });
  await assert.rejects(snapshotTree(await stage.client(dying), ownTree(1)), StorageStopped);
  const [session = ''] = await sessionIds(stage);
  const next = await stage.client();
  await new RecordWriter(next).fence(session);
  await stage.storage.delete(`sessions/${session}`);
  stage.clock.passHours(25);
  const [pack = ''] = await namesIn(stage.storage, 'meta/');
  assert.deepEqual(await namesIn(stage.storage, 'index/'), []);
  return pack;
}

for (const point of ['session.1.after', 'session.2.after', 'session.4.after', 'session.6.before']) {
  for (const isFenced of [true, false]) {
    const how = isFenced ? 'fenced' : 'waited for';
    test(`G34 a pack of a killed writer is condemned while a session at ${point} adopts it, and is ${how}`, async (t) => {
      const stage = await newStage(t);
      const pack = await leavePack(stage);
      const [writer, collector] = [await stage.client(), await stage.client()];
      const pause = pauseAt(t, point);
      const saving = stage.save(writer, ownTree(1));
      await pause.reached;

      const { outcome } = await pruneNow(collector, {
        ...(isFenced && { sessionTtlMs: 0 }),
        wait: async () => {
          pause.release();
          await saving;
        },
      });
      pause.release();
      const taken = await saving;

      assert.equal(outcome, 'swept', 'it was condemned');
      const isThere = (await stage.storage.stat(pack)) !== undefined;
      // A session that was fenced starts over, and may rely on what it stored the first time.
      if (!isFenced) assert.equal(isThere, taken.newBytes === 0, 'alive, or not relied on');
      await assertLossless(stage);
    });
  }
}
