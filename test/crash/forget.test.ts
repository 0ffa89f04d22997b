/**
 * A forget and an undelete that are stopped before any of their calls to the storage, by a power cut
 * that takes what was not durable. Afterwards a snapshot is forgotten or it is not, what was
 * acknowledged holds, the same client goes on, and a second try does what the first was to do.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forget } from '../../src/maintain/forget.ts';
import { undelete } from '../../src/maintain/undelete.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { loadView } from '../../src/repository/view.ts';
import { createMemoryStorage } from '../../src/storage/memory.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { crashableStorage, StorageStopped, stopStorage } from '../helpers/fault-storage.ts';
import {
  findLosses,
  type Home,
  initStorage,
  Ledger,
  newHome,
  sourceTree,
  withClient,
} from '../helpers/repository-crash.ts';
import { seededRandom, testSeed } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import { copyStorage } from '../helpers/test-repository.ts';

interface Prepared {
  storage: Storage;
  ledger: Ledger;
  ids: string[];
}

async function prepare(directory: string): Promise<Prepared> {
  const storage = createMemoryStorage();
  await initStorage(storage);
  const ledger = new Ledger();
  const ids: string[] = [];
  await withClient(storage, { home: newHome(directory), salt: 2 }, async (repository) => {
    for (let i = 0; i < 3; i++)
      ids.push((await ledger.snapshot(repository, sourceTree(i, 400))).id);
  });
  return { storage, ledger, ids };
}

/** Runs until the power is cut at call `at`; what is durable, or happens to stay, is what comes back. */
async function cutAt(
  from: Storage,
  { home, at }: { home: Home; at: number },
  run: (repository: Repository) => Promise<void>,
): Promise<{ storage: Storage; isCut: boolean }> {
  const { storage, crash } = crashableStorage(from);
  const isCut = await withClient(stopStorage(storage, at), { home, salt: 3 + at }, run).then(
    () => false,
    (error: unknown) => {
      if (error instanceof StorageStopped) return true;
      throw error;
    },
  );
  home.stateFs.reboot();
  return { storage: await crash(seededRandom(testSeed + at)), isCut };
}

test('a forget that is cut off has forgotten all of its plan or none, and can be repeated', async (t) => {
  const directory = tempDir(t);
  const prepared = await prepare(directory);
  const choice = { policy: { last: 1 } };
  const seen = new Set<number>();

  for (let at = 0, isCut = true; isCut; at++) {
    const home = newHome(directory);
    let isDone = false;
    const copy = await copyStorage(prepared.storage);
    const cut = await cutAt(copy, { home, at }, async (repository) => {
      ({ isDone } = await forget(repository, { choice }));
    });
    isCut = cut.isCut;
    const notices: string[] = [];
    const onNotice = (text: string) => void notices.push(text);
    await withClient(cut.storage, { home, salt: 99, onNotice }, async (repository) => {
      const { hidden, snapshots } = await loadView(repository, 'write');

      assert.equal(hidden.length + snapshots.length, 3, `call ${at}`);
      assert.ok([0, 2].includes(hidden.length), `call ${at}: ${hidden.length} forgotten`);
      assert.ok(!isDone || hidden.length === 2, `call ${at}: was acknowledged`);
      seen.add(hidden.length);
      const again = await forget(repository, { choice });
      assert.equal(again.forgotten.length, 2 - hidden.length, `call ${at}`);
      const ledger = prepared.ledger.copy();
      for (const id of prepared.ids.slice(0, 2)) ledger.acknowledged.delete(id);
      await ledger.snapshot(repository, sourceTree(7, 400));
      assert.deepEqual(await findLosses(repository, ledger), [], `call ${at}`);
      assert.deepEqual(notices, [], `call ${at}`);
    });
  }
  assert.deepEqual([...seen].sort(), [0, 2]);
});

test('an undelete that is cut off brought all back or nothing, and can be repeated', async (t) => {
  const directory = tempDir(t);
  const { storage: forgetting, ledger, ids } = await prepare(directory);
  const [old = ''] = ids;
  await withClient(forgetting, { home: newHome(directory), salt: 4 }, async (repository) => {
    await forget(repository, { choice: { selectors: [old] } });
  });
  ledger.acknowledged.delete(old);
  const seen = new Set<number>();

  for (let at = 0, isCut = true; isCut; at++) {
    const home = newHome(directory);
    const after = ledger.copy();
    const copy = await copyStorage(forgetting);
    const cut = await cutAt(copy, { home, at }, async (repository) => {
      const { id } = await undelete(repository, { selector: old });
      after.acknowledged.set(id, sourceTree(0, 400));
    });
    isCut = cut.isCut;
    const notices: string[] = [];
    const onNotice = (text: string) => void notices.push(text);
    await withClient(cut.storage, { home, salt: 99, onNotice }, async (repository) => {
      seen.add((await loadView(repository, 'read')).snapshots.length);
      const { id } = await undelete(repository, { selector: old });
      after.acknowledged.set(id, sourceTree(0, 400));

      assert.deepEqual(await findLosses(repository, after), [], `call ${at}`);
      assert.deepEqual(notices, [], `call ${at}`);
    });
  }
  assert.deepEqual([...seen].sort(), [2, 3]);
});
