/** Forgetting: what is planned, what a tomb then says, and what is refused. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { NotFoundError } from '../../src/errors.ts';
import { type ForgetPlan, forget } from '../../src/maintain/forget.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { loadView } from '../../src/repository/view.ts';
import type { Snapshot } from '../../src/snapshot/selection.ts';
import { createMemoryStorage } from '../../src/storage/memory.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { encodeUtf8 } from '../../src/util/bytes.ts';

import { flipBit } from '../helpers/fault-storage.ts';
import { liveIds } from '../helpers/forget-snapshots.ts';
import { madeSnapshot, ns } from '../helpers/made-snapshot.ts';
import { RecordWriter } from '../helpers/record-writer.ts';
import {
  countingClock,
  type Home,
  initStorage,
  memoryRepository,
  namesIn,
  newHome,
  openClient,
  snapshotTree,
  sourceTree,
} from '../helpers/repository-crash.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import { replaceObject } from '../helpers/test-repository.ts';

/** Snapshots of the first days of January 2026, oldest first. */
async function takeDaily(
  repository: Repository,
  count: number,
  options: Parameters<typeof snapshotTree>[2] = {},
): Promise<string[]> {
  const ids: string[] = [];
  for (let i = 0; i < count; i++) {
    const timeNs = ns(`2026-01-${String(i + 1).padStart(2, '0')}T12:00Z`);
    ids.push((await snapshotTree(repository, sourceTree(i, 400), { timeNs, ...options })).id);
  }
  return ids;
}

interface World {
  storage: Storage;
  repository: Repository;
  home: Home;
  notices: string[];
}

async function newWorld(t: TestContext): Promise<World> {
  const storage = createMemoryStorage();
  await initStorage(storage);
  const home = newHome(tempDir(t));
  const notices: string[] = [];
  const onNotice = (text: string) => void notices.push(text);
  const repository = await openClient(storage, { home, salt: 2, onNotice });
  t.after(() => repository.close());
  return { storage, repository, home, notices };
}

test('forget() puts one tomb that names what the policy does not keep, and deletes nothing', async (t) => {
  const { storage, repository, notices } = await newWorld(t);
  const ids = await takeDaily(repository, 5);
  const before = await namesIn(storage);

  const result = await forget(repository, { choice: { policy: { last: 2 } } });

  const named = (snapshots: Snapshot[]) => snapshots.map(({ id }) => id);
  assert.deepEqual([named(result.forgotten), named(result.kept)], [ids.slice(0, 3), ids.slice(3)]);
  assert.equal(result.isDone, true);
  assert.deepEqual(await liveIds(repository), ids.slice(3));
  const after = await namesIn(storage);
  const added = after.filter((name) => !before.includes(name));
  assert.equal(added.length, 1);
  assert.match(added[0] as string, /^tombs\//);
  assert.deepEqual(
    before.filter((name) => !after.includes(name)),
    [],
  );
  const { hidden, tombs } = await loadView(repository, 'read');
  assert.deepEqual(named(hidden), ids.slice(0, 3));
  assert.deepEqual(
    hidden.map(({ forgottenMs }) => forgottenMs),
    Array(3).fill(tombs[0]?.storedMs),
  );
  assert.deepEqual(notices, []);
});

test('forget() continues the chain of its writer, and nobody takes that for a rollback', async (t) => {
  const { storage, repository, notices } = await newWorld(t);
  await takeDaily(repository, 3);

  await forget(repository, { choice: { policy: { last: 2 } } });
  await forget(repository, { choice: { policy: { last: 1 } } });
  await takeDaily(repository, 1);

  const { tombs, snapshots } = await loadView(repository, 'read');
  const seqs = tombs.map(({ tomb }) => tomb.chain.writerSeq).sort();
  assert.deepEqual(seqs, [4, 5]);
  assert.equal(snapshots.at(-1)?.manifest.chain.writerSeq, 3);
  assert.deepEqual(
    snapshots.map(({ manifest }) => manifest.chain.writerSeq).sort(),
    [3, 6],
    'the newest daily one, and the one taken last',
  );
  assert.deepEqual(notices, []);
  assert.equal((await namesIn(storage, 'tombs/')).length, 2);
});

test('forget() writes nothing in a dry run, when it is not confirmed, and when nothing goes', async (t) => {
  const { storage, repository } = await newWorld(t);
  const ids = await takeDaily(repository, 3);
  const before = await namesIn(storage);
  const shown: ForgetPlan[] = [];
  const confirm = (plan: ForgetPlan) => {
    shown.push(plan);
    return false;
  };
  const choice = { policy: { last: 1 } };

  const dry = await forget(repository, { choice, isDryRun: true, confirm });
  const refused = await forget(repository, { choice, confirm });
  const idle = await forget(repository, { choice: { policy: { last: 3 } }, confirm });

  assert.deepEqual([dry.isDone, refused.isDone, idle.isDone], [false, false, false]);
  assert.deepEqual(
    [dry, refused, idle].map(({ forgotten }) => forgotten.length),
    [2, 2, 0],
  );
  assert.deepEqual(shown.length, 1);
  assert.deepEqual(shown[0]?.forgotten, refused.forgotten);
  assert.deepEqual(await namesIn(storage), before);
  assert.deepEqual(await liveIds(repository), ids);
});

test('forget() leaves what was taken while its plan was being confirmed', async (t) => {
  const { repository } = await newWorld(t);
  const [first] = await takeDaily(repository, 2);
  let late = '';
  const confirm = async () => {
    late = (await snapshotTree(repository, sourceTree(9, 400), { timeNs: 0n })).id;
    return true;
  };

  const { forgotten } = await forget(repository, { choice: { policy: { last: 1 } }, confirm });

  assert.deepEqual(
    forgotten.map(({ id }) => id),
    [first],
  );
  assert.ok((await liveIds(repository)).includes(late));
});

test('forget() takes snapshots by name, each as `select` does', async (t) => {
  const { repository } = await newWorld(t);
  const ids = await takeDaily(repository, 4);
  const selectors = ['latest', (ids[0] as string).slice(0, 10), ids[0] as string];

  const { forgotten } = await forget(repository, { choice: { selectors } });

  assert.deepEqual(
    forgotten.map(({ id }) => id),
    [ids[0], ids[3]],
  );
  assert.deepEqual(await liveIds(repository), ids.slice(1, 3));
});

test('forget() forgets none when one of those named is not there', async (t) => {
  const { repository, storage } = await newWorld(t);
  const ids = await takeDaily(repository, 3);

  const unknown = forget(repository, { choice: { selectors: ['latest', 'ffff'] } });
  await assert.rejects(unknown, NotFoundError);
  await forget(repository, { choice: { selectors: ['latest'] } });
  const again = forget(repository, { choice: { selectors: [ids[2] as string] } });

  await assert.rejects(again, NotFoundError);
  assert.deepEqual(await liveIds(repository), ids.slice(0, 2));
  assert.equal((await namesIn(storage, 'tombs/')).length, 1);
});

test('forget() looks only at what a filter lets through', async (t) => {
  const { repository } = await newWorld(t);
  const daily = await takeDaily(repository, 2, { tags: ['daily'] });
  const weekly = await takeDaily(repository, 2, { tags: ['weekly'] });

  await forget(repository, { choice: { policy: { last: 1 } }, filter: { tag: 'daily' } });

  const live = new Set(await liveIds(repository));
  assert.deepEqual(live, new Set([daily[1], ...weekly]));
  const other = { choice: { selectors: [weekly[0] as string] }, filter: { tag: 'daily' } };
  await assert.rejects(forget(repository, other), NotFoundError);
});

test('G22: forget() refuses what would leave nothing of a group, unless that is said', async (t) => {
  const { repository, storage } = await newWorld(t);
  await takeDaily(repository, 2);
  const host = encodeUtf8('bob');
  const bobs = await takeDaily(repository, 2, { host, tags: ['keep'] });
  const typo = { policy: { tags: ['kepe'] } };
  const named = { selectors: bobs };

  await assert.rejects(forget(repository, { choice: typo }), {
    name: 'RangeError',
    message: /nothing would be left of bob \/source; host \/source$/,
  });
  await assert.rejects(forget(repository, { choice: { policy: { tags: ['keep'] } } }), RangeError);
  await assert.rejects(forget(repository, { choice: named }), {
    name: 'RangeError',
    message: /nothing would be left of bob \/source$/,
  });
  await assert.rejects(forget(repository, { choice: { policy: {} } }), RangeError);

  assert.deepEqual(await namesIn(storage, 'tombs/'), []);
  await forget(repository, { choice: named, mayEmpty: true });
  assert.equal((await liveIds(repository)).length, 2);
  const { forgotten } = await forget(repository, { choice: typo, mayEmpty: true });
  assert.equal(forgotten.length, 2);
  assert.deepEqual(await liveIds(repository), []);
});

test('G13: a forgotten snapshot that reappears stays forgotten', async (t) => {
  const { repository, storage } = await newWorld(t);
  const ids = await takeDaily(repository, 2);
  const name = `snapshots/${ids[0]}`;
  const file = await storage.get(name);
  await forget(repository, { choice: { policy: { last: 1 } } });

  await storage.delete(name); // As a collection does in the end.
  const gone = await loadView(repository, 'write');
  await storage.putIfAbsent(name, file); // A put of its writer that was on its way for long.
  const back = await loadView(repository, 'write');

  for (const { snapshots } of [gone, back]) {
    assert.deepEqual(
      snapshots.map(({ id }) => id),
      [ids[1]],
    );
  }
  assert.deepEqual(gone.hidden, []);
  const later = await snapshotTree(repository, sourceTree(5, 400), {
    timeNs: ns('2026-01-01T13:00Z'),
  });
  assert.equal(later.parent, undefined);
});

test('G23: forged snapshots of the future, and of now, do not push out the last true ones', async (t) => {
  const { repository, notices } = await newWorld(t);
  const ids = await takeDaily(repository, 4);
  const { snapshots } = await loadView(repository, 'read');
  const attacker = new RecordWriter(repository);
  const common = { host: 'host', source: '/source', writer: 66, writerSeq: 5 };
  for (let i = 0; i < 20; i++) {
    const startedNs = ns(`20${40 + i}-01-01T00:00Z`);
    await attacker.snapshot(madeSnapshot({ number: 100 + i, startedNs, ...common }));
  }
  for (let i = 0; i < 20; i++) {
    const startedNs =
      (snapshots[3] as Snapshot).manifest.startedNs + BigInt(i + 1) * 60_000_000_000n;
    await attacker.snapshot(madeSnapshot({ number: 200 + i, startedNs, ...common }));
  }

  const result = await forget(repository, { choice: { policy: { last: 2, daily: 2 } } });

  const live = await liveIds(repository);
  assert.ok(live.includes(ids[3] as string), 'the newest true one');
  assert.ok(live.includes(ids[2] as string), 'the day before');
  assert.equal(
    result.kept.filter(({ manifest }) => manifest.startedNs >= ns('2040-01-01')).length,
    20,
  );
  assert.deepEqual(notices, [
    'host /source: 20 dated after they were stored; these stay and are not counted',
  ]);
});

test('T19: forget() keeps the same, whatever the clock says where it runs', async (t) => {
  const { storage, repository } = await newWorld(t);
  await takeDaily(repository, 8);
  const policy = { hourly: 1, daily: 2, monthly: 1, within: '3d' };
  const options = { choice: { policy }, isDryRun: true };
  const { forgotten } = await forget(repository, options);

  for (const time of ['1970-01-02T00:00Z', '2016-01-01T00:00Z', '2036-01-01T00:00Z']) {
    const client = { home: newHome(tempDir(t)), salt: 3, clock: countingClock(ns(time)) };
    const other = await openClient(storage, client);
    t.after(() => other.close());

    assert.deepEqual((await forget(other, options)).forgotten, forgotten, time);
  }
  assert.equal(forgotten.length, 4);
});

test('forget() tells of a group that never shrank', async (t) => {
  const { repository, notices } = await newWorld(t);
  const writer = new RecordWriter(repository);
  const startNs = ns('2026-01-01T00:00Z');
  const made = Array.from({ length: 1001 }, (_, i) =>
    madeSnapshot({ number: i + 1, startedNs: startNs + BigInt(i) * 3_600_000_000_000n }),
  );
  for (const snapshot of made) await writer.snapshot(snapshot);
  const choice = { policy: { within: '9y' } };

  await forget(repository, { choice });
  assert.deepEqual(notices, ['host /source: none of 1001 snapshots was ever forgotten']);
  await writer.snapshot(madeSnapshot({ number: 2000, startedNs: startNs }));
  await writer.tomb({ forgotten: [madeSnapshot({ number: 2000, startedNs: startNs })] });
  await forget(repository, { choice });

  assert.equal(notices.length, 1);
});

test('forget() names what cannot be read, leaves it alone, and forgets the rest', async (t) => {
  const { repository, storage } = await newWorld(t);
  const ids = await takeDaily(repository, 4);
  const name = `snapshots/${ids[0]}`;
  await replaceObject(storage, name, flipBit(await storage.get(name), 900));

  const { damaged, forgotten } = await forget(repository, { choice: { policy: { last: 1 } } });

  assert.deepEqual(
    damaged.map((object) => object.name),
    [name],
  );
  assert.deepEqual(
    forgotten.map(({ id }) => id),
    ids.slice(1, 3),
  );
});

test('two clients that forget at once only repeat each other', async (t) => {
  const { storage, repository } = await newWorld(t);
  const ids = await takeDaily(repository, 3);
  const other = await openClient(storage, { home: newHome(tempDir(t)), salt: 3 });
  t.after(() => other.close());
  const choice = { policy: { last: 1 } };
  const confirm = async () => (await forget(other, { choice })).isDone;

  const { isDone } = await forget(repository, { choice, confirm });

  assert.equal(isDone, true);
  assert.equal((await namesIn(storage, 'tombs/')).length, 2);
  assert.deepEqual(await liveIds(repository), ids.slice(2));
});

test('G25: a parent is the newest live snapshot by its start, not by when it was committed', async (t) => {
  const { repository } = await memoryRepository(t);
  const take = (version: number, time: string) =>
    snapshotTree(repository, sourceTree(version, 400), { timeNs: ns(time) });
  const newest = await take(1, '2026-01-03T12:00Z');
  const older = await take(2, '2026-01-01T12:00Z'); // Committed later, as one that was undeleted.
  const forgotten = await take(3, '2026-01-04T12:00Z');
  const future = await take(4, '2027-01-01T12:00Z');
  await forget(repository, { choice: { selectors: [forgotten.id] } });

  const next = await take(5, '2026-01-05T12:00Z');
  const between = await take(6, '2026-01-02T12:00Z');

  assert.equal(next.parent, newest.id);
  assert.equal(between.parent, older.id);
  assert.equal((await take(7, '2027-01-02T12:00Z')).parent, future.id);
});
