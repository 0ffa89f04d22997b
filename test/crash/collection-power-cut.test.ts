/**
 * Deletions rest on records that may have been put by somebody who was killed before they were durable:
 * a power cut must not take the record and leave the deletion.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forget } from '../../src/maintain/forget.ts';
import type { StorageFs } from '../../src/storage/file-system.ts';
import { createLocalStorage } from '../../src/storage/local.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { pruneNow } from '../helpers/forget-snapshots.ts';
import { interceptFs, Stopped } from '../helpers/intercepted-fs.ts';
import {
  Ledger,
  newHome,
  snapshotTree,
  sourceTree,
  withClient,
} from '../helpers/repository-crash.ts';
import { findLossesOnDisk, STORAGE_ROOT } from '../helpers/repository-crash-states.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { SimFs } from '../helpers/sim-fs.ts';
import { tempDir } from '../helpers/temp-dir.ts';

/** Opens the storage on a disk, each time with other random numbers. */
function opener(disk: StorageFs, firstSalt: number): (fs?: StorageFs) => Promise<Storage> {
  let salt = firstSalt;
  return (fs = disk) => {
    salt += 1;
    return createLocalStorage(STORAGE_ROOT, { fs, random: seededRandom(salt) });
  };
}

/** Dies as soon as something has a name in that directory, which nothing has made durable yet. */
function dyingAfterLink(disk: StorageFs, directory: string): StorageFs {
  let isDead = false;
  return interceptFs(disk, async ({ operation, path }, run) => {
    if (isDead) throw new Stopped('killed');
    const result = await run();
    isDead = operation === 'link' && path.includes(`/${directory}/`);
    return result;
  });
}

test('a collection makes a tomb durable before it sweeps what the tomb says', async (t) => {
  const directory = tempDir(t);
  const disk = new SimFs();
  const open = opener(disk, 3);
  const ledger = new Ledger();
  await ledger.init(await open());
  const home = newHome(directory);
  const [kept, leaving] = await withClient(await open(), { home, salt: 11 }, async (repository) => [
    await ledger.snapshot(repository, sourceTree(1)),
    await ledger.snapshot(repository, sourceTree(2)),
  ]);
  disk.settle();

  const dying = dyingAfterLink(disk, 'tombs');
  home.stateFs.reboot();
  const choice = { selectors: [leaving?.id ?? ''] };
  const forgetting = withClient(await open(dying), { home, salt: 12 }, (repository) =>
    forget(repository, { choice, mayEmpty: true }),
  );
  await assert.rejects(forgetting, Stopped);
  const other = newHome(directory);
  // When the packs have gone for good, and the manifest of the snapshot has not.
  let found: SimFs | undefined;
  const watched = interceptFs(disk, ({ operation, path }, run) => {
    const isManifest = operation === 'unlink' && path.includes('/snapshots/');
    if (isManifest) found ??= disk.cut({ below: (bound) => bound - 1 }, 'weak');
    return run();
  });
  await withClient(await open(watched), { home: other, salt: 13 }, (repository) =>
    pruneNow(repository, { sessionTtlMs: 0 }),
  );

  ledger.acknowledged.delete(leaving?.id ?? '');
  assert.ok(ledger.acknowledged.has(kept?.id ?? ''));
  assert.ok(found !== undefined, 'the collection deletes what was forgotten');
  assert.deepEqual(await findLossesOnDisk(found, ledger, newHome(directory)), []);
});

test('a record is durable before another one says to have seen it', async (t) => {
  const directory = tempDir(t);
  const disk = new SimFs();
  const open = opener(disk, 40);
  const ledger = new Ledger();
  await ledger.init(await open());
  const home = newHome(directory);
  const { id } = await withClient(await open(), { home, salt: 51 }, (repository) =>
    ledger.snapshot(repository, sourceTree(1)),
  );
  disk.settle();
  const dying = dyingAfterLink(disk, 'snapshots');
  const killed = { home: newHome(directory), salt: 52 };
  const saving = withClient(await open(dying), killed, (repository) =>
    snapshotTree(repository, sourceTree(2)),
  );
  await assert.rejects(saving, Stopped);

  const other = { home: newHome(directory), salt: 53 };
  await withClient(await open(), other, (repository) =>
    forget(repository, { choice: { selectors: [id] }, mayEmpty: true }),
  );
  const found = disk.cut({ below: (bound) => bound - 1 }, 'weak');

  const judge = { home: newHome(directory), salt: 54 };
  const storage = await createLocalStorage(STORAGE_ROOT, { fs: found, random: seededRandom(60) });
  const { outcome } = await withClient(storage, judge, (repository) =>
    pruneNow(repository, { sessionTtlMs: 0 }),
  );
  assert.equal(outcome, 'swept');
});
