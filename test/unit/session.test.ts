/** The commit protocol step by step: lost answers, fences, tombs, cancelling, giving up. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { BusyError, StorageError } from '../../src/errors.ts';
import { OBJECT_KIND } from '../../src/record/object-kind.ts';
import { beginSession } from '../../src/repository/begin-session.ts';
import {
  REPOSITORY_FAILPOINTS,
  type RepositoryFailpoint,
} from '../../src/repository/failpoints.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { readStoredRecord } from '../../src/repository/stored-records.ts';
import { loadView } from '../../src/repository/view.ts';
import type { Snapshot } from '../../src/snapshot/selection.ts';
import { createMemoryStorage } from '../../src/storage/memory.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { onFailpoint } from '../../src/util/failpoint.ts';
import { alterStorage, failStorage, interceptStorage } from '../helpers/fault-storage.ts';
import { liveIds } from '../helpers/forget-snapshots.ts';
import { RecordWriter } from '../helpers/record-writer.ts';
import {
  findLosses,
  initStorage,
  Ledger,
  memoryRepository,
  namesIn,
  newHome,
  openClient,
  snapshotTree,
  sourceTree,
} from '../helpers/repository-crash.ts';
import { tempDir } from '../helpers/temp-dir.ts';

/** Calls `act` with the id of the session each time the point is passed. */
function atPoint(
  t: TestContext,
  storage: Storage,
  point: RepositoryFailpoint,
  act: (sessionId: string) => Promise<void>,
): void {
  t.after(() => onFailpoint(undefined));
  onFailpoint(async (name) => {
    if (name !== point) return;
    const sessions = await namesIn(storage, 'sessions/');
    await act((sessions[0] ?? '').slice('sessions/'.length));
  });
}

async function kindOf(repository: Repository, name: string): Promise<number> {
  const kinds = [OBJECT_KIND.snapshot, OBJECT_KIND.fence];
  return (await readStoredRecord(repository, name, { kinds })).kind;
}

/** Kinds of what lies below `snapshots/`. */
async function outcomes(repository: Repository): Promise<number[]> {
  const names = await namesIn(repository.storage, 'snapshots/');
  return (await Promise.all(names.map((name) => kindOf(repository, name)))).sort();
}

test('a commit whose answer was lost succeeds when the same bytes are found', async (t) => {
  const { storage, repository } = await memoryRepository(t);
  // As a retrying transport does: the first request arrives, its answer does not, the second loses.
  const retrying = interceptStorage(storage, async ({ operation, name }, run) => {
    const outcome = await run();
    const isCommit = operation === 'putIfAbsent' && name.startsWith('snapshots/');
    return isCommit ? await run() : outcome;
  });

  const { id } = await snapshotTree({ ...repository, storage: retrying }, sourceTree(1));

  assert.deepEqual(await liveIds(repository), [id]);
  assert.deepEqual(await outcomes(repository), [OBJECT_KIND.snapshot]);
});

test('a snapshot that a collector fenced starts over and finds what it stored', async (t) => {
  const { storage, repository } = await memoryRepository(t);
  const writer = new RecordWriter(repository);
  let fenced: string | undefined;
  atPoint(t, storage, 'session.6.before', async (sessionId) => {
    if (fenced === undefined) {
      fenced = sessionId;
      await writer.fence(sessionId);
    }
  });

  const result = await snapshotTree(repository, sourceTree(1));

  assert.deepEqual(await liveIds(repository), [result.id]);
  assert.notEqual(result.id, fenced);
  assert.equal(result.newBytes, 0, 'what the first session stored is found');
  assert.deepEqual(await namesIn(storage, 'sessions/'), []);
});

test('three fences in a row end in BusyError, and leave no session behind', async (t) => {
  const { storage, repository } = await memoryRepository(t);
  const writer = new RecordWriter(repository);
  let fenceCount = 0;
  atPoint(t, storage, 'session.6.before', async (sessionId) => {
    fenceCount += 1;
    await writer.fence(sessionId);
  });

  await assert.rejects(snapshotTree(repository, sourceTree(1)), BusyError);

  assert.equal(fenceCount, 3);
  assert.deepEqual(await liveIds(repository), []);
  assert.deepEqual(await namesIn(storage, 'sessions/'), []);
  onFailpoint(undefined);
  assert.equal((await snapshotTree(repository, sourceTree(1))).newBytes, 0);
});

test('a session that a merged tomb closed before its step 7 is refused and starts over', async (t) => {
  const { storage, repository } = await memoryRepository(t);
  const writer = new RecordWriter(repository);
  let closed: string | undefined;
  atPoint(t, storage, 'session.7.before', async (sessionId) => {
    if (closed !== undefined) return;
    closed = sessionId;
    await writer.tomb({ closed: [sessionId] });
  });

  const { id } = await snapshotTree(repository, sourceTree(1));

  assert.notEqual(id, closed);
  assert.deepEqual(await liveIds(repository), [id]);
});

test('a snapshot that was forgotten before its success is reported says so', async (t) => {
  const { storage, repository } = await memoryRepository(t);
  const writer = new RecordWriter(repository);
  atPoint(t, storage, 'session.7.before', async () => {
    const { snapshots } = await loadView(repository, 'read');
    await writer.tomb({ forgotten: snapshots });
  });

  const result = await snapshotTree(repository, sourceTree(1));

  assert.equal(result.isForgotten, true);
  assert.deepEqual(await liveIds(repository), []);
});

test('a session trusts a snapshot that is live and counted by the mark under way', async (t) => {
  const { repository } = await memoryRepository(t);
  for (const seed of [1, 2, 3]) await snapshotTree(repository, sourceTree(seed));
  const { snapshots } = await loadView(repository, 'read');
  const [forgotten, counted] = snapshots as [Snapshot, Snapshot];
  const writer = new RecordWriter(repository);
  const trusted = async (): Promise<boolean[]> => {
    const session = await beginSession(repository, { purpose: 'snapshot' });
    const trusts = snapshots.map(({ id }) => session.trusts(id));
    await session.abort();
    return trusts;
  };

  const before = await trusted();
  await writer.tomb({ forgotten: [forgotten] });
  const afterTomb = await trusted();
  await writer.mark(1, { condemned: [], counted: [forgotten, counted] });
  const underMark = await trusted();

  assert.deepEqual(before, [true, true, true]);
  assert.deepEqual(afterTomb, [false, true, true]);
  assert.deepEqual(underMark, [false, true, false]);
});

/** Whether commit and fence exclude each other on this storage: both must not win. */
async function canCommitFenced(t: TestContext, storage: Storage): Promise<boolean> {
  await initStorage(storage);
  const home = newHome(tempDir(t));
  const repository = await openClient(storage, { home, salt: 2 });
  t.after(() => repository.close());
  const writer = new RecordWriter(repository);
  const fenced: string[] = [];
  atPoint(t, storage, 'session.6.before', async (sessionId) => {
    if (fenced.length > 0) return;
    fenced.push(sessionId);
    await writer.fence(sessionId);
  });
  const { id } = await snapshotTree(repository, sourceTree(1));
  onFailpoint(undefined);
  return fenced.includes(id);
}

test('a commit against a fence is refused; one by overwriting is caught', async (t) => {
  const overwriting = createMemoryStorage();
  const planted: Storage = {
    ...interceptStorage(overwriting, (_call, run) => run()),
    putIfAbsent: async (name, bytes) => {
      await overwriting.delete(name);
      return await overwriting.putIfAbsent(name, bytes);
    },
  };

  assert.equal(await canCommitFenced(t, createMemoryStorage()), false);
  assert.equal(await canCommitFenced(t, planted), true);
});

/**
 * Whether a manifest whose request was believed lost can still arrive after its session gave up.
 * @param isFenceLost plants the bug of a session that ends without its fence.
 */
async function canArriveLate(
  t: TestContext,
  isFenceLost: boolean,
): Promise<{ isListed: boolean; sessions: string[] }> {
  const { storage, repository } = await memoryRepository(t);
  let late: { name: string; bytes: Uint8Array } | undefined;
  const losing: Storage = {
    ...interceptStorage(storage, (_call, run) => run()),
    putIfAbsent: async (name, bytes) => {
      if (!name.startsWith('snapshots/')) return await storage.putIfAbsent(name, bytes);
      if (late === undefined) {
        late = { name, bytes };
        throw new StorageError('put', name, 'no answer');
      }
      if (isFenceLost) throw new StorageError('put', name, 'no answer');
      return await storage.putIfAbsent(name, bytes);
    },
  };
  await assert.rejects(
    snapshotTree({ ...repository, storage: losing }, sourceTree(1)),
    StorageError,
  );
  assert.ok(late !== undefined);
  const sessions = await namesIn(storage, 'sessions/');
  await storage.putIfAbsent(late.name, late.bytes);
  return { isListed: (await liveIds(repository)).length > 0, sessions };
}

test('the fence of a failed session keeps its late manifest out', async (t) => {
  assert.deepEqual(await canArriveLate(t, false), { isListed: false, sessions: [] });
});

test('a failed session that could not fence itself leaves its intent to collectors', async (t) => {
  const { isListed, sessions } = await canArriveLate(t, true);

  assert.equal(isListed, true, 'nothing keeps the manifest out');
  assert.equal(sessions.length, 1, 'so a collector must know of the session and wait for it');
});

test('a failing segment or manifest is told as StorageError, and nothing is listed', async (t) => {
  for (const prefix of ['meta/', 'index/', 'snapshots/', 'tombs/']) {
    const { storage, repository } = await memoryRepository(t);
    const failing = failStorage(storage, {
      error: new StorageError('put', prefix, 'planted'),
      at: prefix === 'tombs/' ? 1 : 0,
      isCounted: ({ operation, name }) =>
        name.startsWith(prefix) && (operation.startsWith('put') || operation === 'list'),
    });

    const result = snapshotTree({ ...repository, storage: failing }, sourceTree(1));

    await assert.rejects(result, StorageError, prefix);
    const live = await liveIds(repository);
    // After step 6 the snapshot is there, although its success could not be reported.
    assert.equal(live.length, prefix === 'tombs/' ? 1 : 0, prefix);
    assert.deepEqual(await namesIn(storage, 'sessions/'), [], prefix);
    await snapshotTree(repository, sourceTree(1));
    assert.equal((await liveIds(repository)).length, live.length + 1);
  }
});

test('a storage that keeps less of a pack than it was given is noticed before the commit', async (t) => {
  const { storage, repository } = await memoryRepository(t);
  const truncating = alterStorage(storage, {
    write: (name, bytes) => (name.startsWith('meta/') ? bytes.subarray(1) : bytes),
  });

  const result = snapshotTree({ ...repository, storage: truncating }, sourceTree(1));

  await assert.rejects(result, StorageError);
  assert.deepEqual(await namesIn(storage, 'index/'), []);
  assert.deepEqual(await liveIds(repository), []);
});

test('a snapshot with nothing new writes no pack and no segment', async (t) => {
  const { storage, repository } = await memoryRepository(t);
  await snapshotTree(repository, sourceTree(1));
  const before = await namesIn(storage);

  const { id } = await snapshotTree(repository, sourceTree(1));

  const added = (await namesIn(storage)).filter((name) => !before.includes(name));
  assert.deepEqual(added, [`snapshots/${id}`]);
});

test('a small snapshot adds one pack, one segment and its manifest', async (t) => {
  const { storage, repository } = await memoryRepository(t);
  await snapshotTree(repository, sourceTree(1));
  const before = await namesIn(storage);

  await snapshotTree(repository, sourceTree(2));

  const added = (await namesIn(storage)).filter((name) => !before.includes(name));
  assert.deepEqual(
    added.map((name) => name.split('/')[0]),
    ['index', 'meta', 'snapshots'],
  );
});

test('init, a snapshot and an aborted session pass every failpoint', async (t) => {
  const passed = new Set<string>();
  t.after(() => onFailpoint(undefined));
  onFailpoint((name) => {
    passed.add(name);
  });
  const { repository } = await memoryRepository(t);
  await snapshotTree(repository, sourceTree(1));
  await (await beginSession(repository, { purpose: 'snapshot' })).abort();

  assert.deepEqual(
    REPOSITORY_FAILPOINTS.filter((name) => !name.startsWith('key.') && !passed.has(name)),
    [],
  );
});

/** Where cancelling still stops a session, and whether it had got as far as its fence. */
const CANCEL_POINTS: Readonly<Partial<Record<RepositoryFailpoint, 'no session' | 'fence'>>> = {
  'session.1.before': 'no session',
  'session.1.after': 'no session',
  'session.2.after': 'no session',
  'session.3.before-pack': 'fence',
  'session.3.after-pack': 'fence',
  'session.4.before': 'fence',
  'session.4.after': 'fence',
  'session.5.before': 'fence',
  'session.5.after': 'fence',
};

for (const [point, expected] of Object.entries(CANCEL_POINTS)) {
  test(`a snapshot cancelled at ${point} closes its session and keeps what is durable`, async (t) => {
    const { storage, repository } = await memoryRepository(t);
    const ledger = new Ledger();
    await ledger.snapshot(repository, sourceTree(1));
    const controller = new AbortController();
    t.after(() => onFailpoint(undefined));
    onFailpoint((name) => {
      if (name === point) controller.abort();
    });

    const cancelled = snapshotTree(repository, sourceTree(2), { signal: controller.signal });

    await assert.rejects(cancelled, { name: 'AbortError' });
    onFailpoint(undefined);
    const { snapshot, fence } = OBJECT_KIND;
    assert.deepEqual(
      await outcomes(repository),
      expected === 'fence' ? [snapshot, fence] : [snapshot],
    );
    assert.deepEqual(await namesIn(storage, 'sessions/'), []);
    const next = await ledger.snapshot(repository, sourceTree(2));
    if (expected === 'fence') assert.equal(next.newBytes, 0, 'the packs of the first are found');
    assert.deepEqual(await findLosses(repository, ledger), []);
  });
}

for (const point of [
  'session.6.before',
  'session.6.after',
  'session.7.before',
  'session.8.after',
] as const) {
  test(`a snapshot cancelled at ${point} is committed all the same`, async (t) => {
    const { storage, repository } = await memoryRepository(t);
    const controller = new AbortController();
    t.after(() => onFailpoint(undefined));
    onFailpoint((name) => {
      if (name === point) controller.abort();
    });

    const { id } = await snapshotTree(repository, sourceTree(1), { signal: controller.signal });

    assert.deepEqual(await liveIds(repository), [id]);
    assert.deepEqual(await namesIn(storage, 'sessions/'), []);
  });
}
