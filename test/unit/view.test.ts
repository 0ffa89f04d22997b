/** What counts in a repository: snapshots, tombs, fences, and what is left out of account. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { CorruptionError } from '../../src/errors.ts';
import { checkRepository } from '../../src/maintain/check.ts';
import { DEFAULT_CONFIG } from '../../src/repository/default-config.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { loadView } from '../../src/repository/view.ts';
import type { Snapshot } from '../../src/snapshot/selection.ts';
import { createLocalStorage } from '../../src/storage/local.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { interceptStorage } from '../helpers/fault-storage.ts';
import { liveIds } from '../helpers/forget-snapshots.ts';
import { RecordWriter } from '../helpers/record-writer.ts';
import {
  initStorage,
  memoryRepository,
  namesIn,
  newHome,
  openClient,
  snapshotTree,
  sourceTree,
  withClient,
} from '../helpers/repository-crash.ts';
import { tempDir } from '../helpers/temp-dir.ts';

async function takeTwo(repository: Repository): Promise<[Snapshot, Snapshot]> {
  await snapshotTree(repository, sourceTree(1));
  await snapshotTree(repository, sourceTree(2));
  const { snapshots } = await loadView(repository, 'read');
  assert.equal(snapshots.length, 2);
  return snapshots as [Snapshot, Snapshot];
}

test('loadView() leaves out a snapshot that a tomb forgets, also when it reappears', async (t) => {
  const { storage, repository } = await memoryRepository(t);
  const [first, second] = await takeTwo(repository);
  const file = await storage.get(`snapshots/${first.id}`);

  await new RecordWriter(repository).tomb({ forgotten: [first] });

  assert.deepEqual(await liveIds(repository), [second.id]);
  await storage.delete(`snapshots/${first.id}`);
  assert.deepEqual(await liveIds(repository), [second.id]);
  await storage.putIfAbsent(`snapshots/${first.id}`, file);
  const view = await loadView(repository, 'read');
  assert.deepEqual(
    view.snapshots.map(({ id }) => id),
    [second.id],
  );
  assert.deepEqual([...view.forgotten], [first.id]);
});

test('loadView() takes a session in `closed` of a merged tomb for fenced', async (t) => {
  const { repository } = await memoryRepository(t);
  const [first, second] = await takeTwo(repository);
  const writer = new RecordWriter(repository);
  const merged = await writer.tomb({ closed: ['ab'.repeat(16)] });

  await writer.tomb({ closed: [second.id], merges: [merged] });

  const view = await loadView(repository, 'read');
  assert.deepEqual(
    view.snapshots.map(({ id }) => id),
    [first.id],
  );
  assert.deepEqual([...view.closed].sort(), ['ab'.repeat(16), second.id].sort());
});

test('loadView() takes a fence for no snapshot and for no damage', async (t) => {
  const { repository } = await memoryRepository(t);
  const [first, second] = await takeTwo(repository);

  await new RecordWriter(repository).fence('cd'.repeat(16), 'closed');

  const view = await loadView(repository, 'read');
  assert.deepEqual(
    view.snapshots.map(({ id }) => id),
    [first.id, second.id],
  );
  assert.deepEqual([...view.closed], ['cd'.repeat(16)]);
  assert.deepEqual(view.damaged, []);
});

/** Does something once, right after the listing below `prefix` was made. */
function afterListing(storage: Storage, prefix: string, act: () => Promise<unknown>): Storage {
  let isDone = false;
  return {
    ...interceptStorage(storage, (_call, run) => run()),
    async *list(listed, options) {
      const objects = [];
      for await (const object of storage.list(listed, options)) objects.push(object);
      if (listed === prefix && !isDone) {
        isDone = true;
        await act();
      }
      yield* objects;
    },
  };
}

test('loadView() lists again when a listed tomb is gone, because it was merged', async (t) => {
  const { storage, repository } = await memoryRepository(t);
  const [first, second] = await takeTwo(repository);
  const writer = new RecordWriter(repository);
  const hash = await writer.tomb({ forgotten: [first] });
  const merging = afterListing(storage, 'tombs/', async () => {
    await writer.tomb({ closed: [first.id], merges: [hash] });
    await storage.delete(`tombs/${hash}`);
  });

  const view = await loadView({ ...repository, storage: merging }, 'write');

  assert.deepEqual(
    view.snapshots.map(({ id }) => id),
    [second.id],
  );
});

test('loadView() lists snapshots before tombs', async (t) => {
  const { storage, repository } = await memoryRepository(t);
  await takeTwo(repository);
  const prefixes: string[] = [];
  const watched = interceptStorage(storage, (call, run) => {
    if (call.operation === 'list') prefixes.push(call.name);
    return run();
  });

  await loadView({ ...repository, storage: watched }, 'write');

  assert.deepEqual(prefixes, ['gc/', 'gc/', 'snapshots/', 'tombs/']);
});

test('loadView() gives up on a listing that shows what is never there', async (t) => {
  const { storage, repository } = await memoryRepository(t);
  const ghost: Storage = {
    ...interceptStorage(storage, (_call, run) => run()),
    async *list(prefix, options) {
      yield* storage.list(prefix, options);
      if (prefix === 'tombs/') {
        yield { name: `tombs/${'ee'.repeat(32)}`, size: 100, modifiedMs: 0 };
      }
    },
  };

  await assert.rejects(loadView({ ...repository, storage: ghost }, 'read'), CorruptionError);
});

test('loadView() reports records it cannot read and shows the rest', async (t) => {
  const { storage, repository } = await memoryRepository(t);
  const [first, second] = await takeTwo(repository);
  await storage.delete(`snapshots/${first.id}`);
  await storage.putIfAbsent(`snapshots/${first.id}`, new Uint8Array(300));
  await storage.put(`tombs/${'11'.repeat(32)}`, new Uint8Array(300));

  const view = await loadView(repository, 'write');

  assert.deepEqual(
    view.snapshots.map(({ id }) => id),
    [second.id],
  );
  assert.deepEqual(view.damaged.map(({ name }) => name).sort(), [
    `snapshots/${first.id}`,
    `tombs/${'11'.repeat(32)}`,
  ]);
});

test('a config update with a higher number wins', async (t) => {
  const { storage, repository, home } = await memoryRepository(t);
  const writer = new RecordWriter(repository);
  await writer.configUpdate(2, { ...DEFAULT_CONFIG, compressionLevel: 7 });
  await writer.configUpdate(10, { ...DEFAULT_CONFIG, compressionLevel: 9 });
  await writer.configUpdate(1, { ...DEFAULT_CONFIG, compressionLevel: 5 });

  const opened = await openClient(storage, { home, salt: 3 });

  assert.equal(opened.config.compressionLevel, 9);
  assert.equal(opened.config.number, 10);
  await snapshotTree(opened, sourceTree(1));
  const { snapshots } = await loadView(opened, 'read');
  assert.equal(snapshots[0]?.manifest.chain.configNumber, 10);
});

const JUNK_NAMES = [
  'snapshots/README',
  'snapshots/.DS_Store',
  `snapshots/${'A'.repeat(32)}`,
  `snapshots/${'a'.repeat(33)}`,
  'tombs/tomb',
  'index/index',
  `index/9-${'a'.repeat(64)}`,
  'gc/0000000000000001.MARK',
  'gc/1.sweep',
  'gc/0000000000000001.sweep.bak',
  'data/desktop.ini',
  `data/ab/${'cd'.repeat(32)}.partial`,
  'data/ab/ \n$(rm) %s .txt',
  'meta/ab/ümläut',
  'keys/old key',
  'config.d/update',
  'config.d/0000000g',
  'sessions/x',
  'unknown/deep/er/file',
  'config.bak',
];

test('names of others are ignored in every directory, and never deleted', async (t) => {
  const directory = tempDir(t);
  const root = join(directory, 'repository');
  const storage = await createLocalStorage(root);
  await initStorage(storage);
  for (const name of JUNK_NAMES) {
    mkdirSync(join(root, name, '..'), { recursive: true });
    writeFileSync(join(root, name), 'not ours');
  }
  mkdirSync(join(root, `snapshots/${'e'.repeat(32)}.d`));

  await withClient(storage, { home: newHome(directory), salt: 5 }, async (repository) => {
    await snapshotTree(repository, sourceTree(1));
    await snapshotTree(repository, sourceTree(2));
    const result = await checkRepository(repository, { isReadingData: true });
    const told = result.findings.map(({ kind, severity, object }) => [kind, severity, object]);
    const notes = JUNK_NAMES.map((name) => ['foreign-file', 'note', name]);
    assert.deepEqual(told.sort(), notes.sort());
    assert.equal(result.snapshots, 2);
  });

  const names = await namesIn(storage);
  assert.deepEqual(
    JUNK_NAMES.filter((name) => !names.includes(name)),
    [],
  );
});
