/** The chain of records: numbers, predecessors, and a client whose own state went back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ChainFields, SEEN_COUNT_MAX } from '../../src/record/record.ts';
import { missingHead, rollbackNotice } from '../../src/repository/heads.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { loadView } from '../../src/repository/view.ts';
import type { WriterState } from '../../src/repository/writer-state.ts';
import { onFailpoint } from '../../src/util/failpoint.ts';
import { RecordWriter } from '../helpers/record-writer.ts';
import {
  type Home,
  MemoryStateFs,
  memoryRepository,
  newHome,
  openClient,
  snapshotTree,
  sourceTree,
  withClient,
} from '../helpers/repository-crash.ts';

async function chains(repository: Repository): Promise<(ChainFields & { hash: string })[]> {
  const { snapshots } = await loadView(repository, 'read');
  return snapshots.map(({ manifest, hash }) => ({ ...manifest.chain, hash }));
}

function cloneHome(home: Home): Home {
  const stateFs = new MemoryStateFs();
  for (const [path, content] of home.stateFs.files) stateFs.files.set(path, content);
  return { ...home, stateFs };
}

test('records of one writer are numbered from 1 and name their predecessor', async (t) => {
  const { repository } = await memoryRepository(t);
  for (const version of [1, 2, 3]) await snapshotTree(repository, sourceTree(version));

  const found = await chains(repository);

  assert.equal(new Set(found.map(({ writerId }) => writerId)).size, 1);
  assert.deepEqual(
    found.map(({ writerSeq }) => writerSeq),
    [1, 2, 3],
  );
  assert.deepEqual(
    found.map(({ previous }) => previous),
    ['0'.repeat(64), found[0]?.hash, found[1]?.hash],
  );
  assert.deepEqual(
    found.map(({ seen }) => seen),
    [[], [], []],
  );
});

test('`seen` names the newest record of every other writer, sorted', async (t) => {
  const { storage, repository, directory, clock } = await memoryRepository(t);
  for (let client = 0; client < 3; client++) {
    const home = newHome(directory);
    await withClient(storage, { home, salt: 20 + client, clock }, async (other) => {
      await snapshotTree(other, sourceTree(1));
      await snapshotTree(other, sourceTree(2));
    });
  }

  await snapshotTree(repository, sourceTree(3));

  const found = await chains(repository);
  const { seen = [] } = found.at(-1) ?? {};
  assert.deepEqual(
    seen.map(({ seq }) => seq),
    [2, 2, 2],
  );
  const ids = seen.map(({ writerId }) => writerId);
  assert.deepEqual(ids, ids.toSorted());
  for (const { hash } of seen) assert.ok(found.some((chain) => chain.hash === hash));
});

test('a client that was stopped between commit and state goes on as a new writer', async (t) => {
  const { storage, home, repository, clock } = await memoryRepository(t);
  await snapshotTree(repository, sourceTree(1));
  const before = cloneHome(home);
  await snapshotTree(repository, sourceTree(2));

  await withClient(storage, { home: before, salt: 9, clock }, async (again) => {
    await snapshotTree(again, sourceTree(3));
    await snapshotTree(again, sourceTree(4));
  });

  const found = await chains(repository);
  const records = found.map(({ writerId, writerSeq }) => `${writerId} ${writerSeq}`);
  assert.equal(new Set(records).size, 4, 'no number twice');
  assert.equal(found[2]?.writerSeq, 1);
  assert.deepEqual(
    [found[3]?.writerId, found[3]?.writerSeq],
    [found[2]?.writerId, 2],
    'and keeps the new id',
  );
});

test('of two machines with one identity the second one takes a new id', async (t) => {
  const { storage, home, repository, clock } = await memoryRepository(t);
  await snapshotTree(repository, sourceTree(1));
  const clone = cloneHome(home);
  const other = await openClient(storage, { home: clone, salt: 40, clock });
  t.after(() => other.close());

  await snapshotTree(repository, sourceTree(2));
  await snapshotTree(other, sourceTree(3));
  await snapshotTree(repository, sourceTree(4));

  const found = await chains(repository);
  const records = found.map(({ writerId, writerSeq }) => `${writerId} ${writerSeq}`);
  assert.equal(new Set(records).size, 4);
  assert.deepEqual(
    found.map(({ writerSeq }) => writerSeq),
    [1, 2, 1, 3],
  );
});

test('two machines with one identity that commit at the same time part afterwards', async (t) => {
  const { storage, home, repository, clock } = await memoryRepository(t);
  await snapshotTree(repository, sourceTree(1));
  const clone = cloneHome(home);
  t.after(() => onFailpoint(undefined));
  let isNested = false;
  onFailpoint(async (name) => {
    if (name !== 'session.6.before' || isNested) return;
    isNested = true;
    await withClient(storage, { home: clone, salt: 41, clock }, async (other) => {
      await snapshotTree(other, sourceTree(2));
    });
  });
  await snapshotTree(repository, sourceTree(3));
  onFailpoint(undefined);

  await snapshotTree(repository, sourceTree(4));

  const found = await chains(repository);
  assert.deepEqual(
    found.map(({ writerSeq }) => writerSeq),
    [1, 2, 2, 1],
  );
  assert.notEqual(found[3]?.writerId, found[0]?.writerId);
});

test('missingHead() is the newest record of a writer that others name, unless it may have been merged', async (t) => {
  const { storage, repository, directory, clock } = await memoryRepository(t);
  const home = newHome(directory);
  const { id } = await withClient(storage, { home, salt: 20, clock }, async (other) => {
    await snapshotTree(other, sourceTree(1));
    return await snapshotTree(other, sourceTree(2));
  });
  await snapshotTree(repository, sourceTree(3));
  const { seen = [] } = (await chains(repository)).at(-1) ?? {};
  const missing = async () => missingHead(await loadView(repository, 'read'));
  assert.equal(await missing(), undefined);

  await storage.delete(`snapshots/${id}`);
  assert.deepEqual(await missing(), seen[0]);
  const records = new RecordWriter(repository);
  const merges = ['11'.repeat(32)];
  await records.tomb({ merges, closed: ['22'.repeat(16)] });
  assert.deepEqual(await missing(), seen[0], 'a merged tomb that had not seen it');
  const first = await records.tomb({ merges }, { seen });
  assert.equal(await missing(), undefined, 'one that had');
  await storage.delete(`tombs/${first}`);
  const heads = [{ writerId: 'ee'.repeat(16), seq: 1, hash: 'ff'.repeat(32) }];
  const state = { ...((await repository.writerStates.peek()) as WriterState), heads };
  const notice = async () =>
    rollbackNotice(repository, { state, view: await loadView(repository, 'read') });
  assert.match((await notice()) ?? '', /went back/);

  const most = Array.from({ length: SEEN_COUNT_MAX }, (_, i) => {
    return { writerId: i.toString(16).padStart(32, '0'), seq: 1, hash: '33'.repeat(32) };
  });
  await records.tomb({ merges }, { seen: most });
  assert.deepEqual([await missing(), await notice()], [undefined, undefined], 'no telling');
});
