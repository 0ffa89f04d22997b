/**
 * Packs that no segment names: the next session adopts them, unless a collector has condemned them;
 * their deltas count only while their bases do.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BLOB_TYPE } from '../../src/blob/blob-type.ts';
import { isPresent } from '../../src/index/presence.ts';
import { checkRepository } from '../../src/maintain/check.ts';
import { packStorageName } from '../../src/pack/pack-record.ts';
import { beginSession } from '../../src/repository/begin-session.ts';
import { openReadAccess } from '../../src/repository/read-access.ts';
import type { Repository } from '../../src/repository/repository.ts';

import type { Storage } from '../../src/storage/storage.ts';
import { interceptStorage, recordStorage, StorageStopped } from '../helpers/fault-storage.ts';
import { RecordWriter } from '../helpers/record-writer.ts';
import { similarPlaintexts, storePack } from '../helpers/record-writer-packs.ts';
import {
  findLosses,
  Ledger,
  memoryRepository,
  namesIn,
  newHome,
  openClient,
  snapshotTree,
  sourceTree,
} from '../helpers/repository-crash.ts';

/** Every call fails from the first one on that `isLast` accepts: the process was killed there. */
function dieAt(storage: Storage, isLast: (operation: string, name: string) => boolean): Storage {
  let isDead = false;
  return interceptStorage(storage, async ({ operation, name }, run) => {
    isDead ||= isLast(operation, name);
    if (isDead) throw new StorageStopped('stopped');
    return await run();
  });
}

/** A writer that is killed after its pack and before its segment. */
async function leavePack(repository: Repository): Promise<string> {
  const storage = dieAt(
    repository.storage,
    (operation, name) => operation === 'put' && name.startsWith('index/'),
  );
  const killed = snapshotTree({ ...repository, storage }, sourceTree(1));
  await assert.rejects(killed, StorageStopped);
  const [pack = ''] = await namesIn(repository.storage, 'meta/');
  return pack;
}

const nameOf = (pack: string): string => pack.slice(-64);

test('a session adopts the pack of a killed writer before it relies on it', async (t) => {
  const { storage, repository, home } = await memoryRepository(t);
  const ledger = new Ledger();
  const pack = await leavePack(repository);
  assert.deepEqual(await namesIn(storage, 'index/'), []);
  const { storage: recorded, calls } = recordStorage(storage);
  const next = await openClient(recorded, { home, salt: 7 });
  t.after(() => next.close());

  const result = await ledger.snapshot(next, sourceTree(1));

  assert.equal(result.newBytes, 0);
  assert.deepEqual(await namesIn(storage, 'meta/'), [pack]);
  assert.equal((await namesIn(storage, 'index/')).length, 1, 'its segment names the pack');
  const adopted = calls.indexOf(`adopt ${pack}`);
  const synced = calls.indexOf('sync', adopted);
  const published = calls.findIndex((call) => call.startsWith('put index/'));
  assert.ok(adopted >= 0 && adopted < synced && synced < published);
  assert.deepEqual(await findLosses(next, ledger), []);
  const { findings } = await checkRepository(next);
  assert.deepEqual(findings, [], 'nothing is left unindexed');
});

test('an aborted session that adopted a pack still publishes it', async (t) => {
  const { storage, repository } = await memoryRepository(t);
  await leavePack(repository);

  await (await beginSession(repository, { purpose: 'snapshot' })).abort();

  assert.equal((await namesIn(storage, 'index/')).length, 1);
});

for (const fate of ['condemned', 'swept', 'swept and merged'] as const) {
  test(`a pack in no segment that is ${fate} is not adopted`, async (t) => {
    const { storage, repository } = await memoryRepository(t);
    const ledger = new Ledger();
    const pack = await leavePack(repository);
    const writer = new RecordWriter(repository);
    if (fate === 'condemned') await writer.mark(1, { condemned: [nameOf(pack)] });
    else if (fate === 'swept') await writer.sweep(1, [nameOf(pack)]);
    else await writer.mergedSweep(1, { from: 1, packs: [nameOf(pack)] });

    const { storage: recorded, calls } = recordStorage(storage);

    const result = await ledger.snapshot({ ...repository, storage: recorded }, sourceTree(1));

    assert.ok(result.newBytes > 0);
    assert.equal(calls.includes(`adopt ${pack}`), false);
    await storage.delete(pack);
    assert.deepEqual(await findLosses(repository, ledger), []);
  });
}

test('a pack that a collector deletes while it is being adopted is stored again', async (t) => {
  const { storage, repository } = await memoryRepository(t);
  const ledger = new Ledger();
  const pack = await leavePack(repository);
  const sweeping = interceptStorage(storage, async ({ operation }, run) => {
    if (operation === 'adopt') await storage.delete(pack);
    return await run();
  });

  const result = await ledger.snapshot({ ...repository, storage: sweeping }, sourceTree(1));

  assert.ok(result.newBytes > 0);
  assert.deepEqual(await findLosses(repository, ledger), []);
});

test('a damaged pack in no segment is reported by check and fails no session', async (t) => {
  const { storage, repository } = await memoryRepository(t);
  const ledger = new Ledger();
  const pack = await leavePack(repository);
  const bytes = await storage.get(pack);
  await storage.delete(pack);
  await storage.put(pack, bytes.fill(0, bytes.length - 200));

  const result = await ledger.snapshot(repository, sourceTree(1));

  assert.ok(result.newBytes > 0);
  const { findings } = await checkRepository(repository, { isReadingData: true });
  assert.deepEqual(
    findings.map(({ kind, object }) => [kind, object]),
    [['pack-directory-damaged', pack]],
  );
});

test('a reader finds blobs in a pack whose segment is lost', async (t) => {
  const { storage, repository, directory } = await memoryRepository(t);
  const ledger = new Ledger();
  await ledger.snapshot(repository, sourceTree(1));
  for (const name of await namesIn(storage, 'index/')) await storage.delete(name);
  const reader = await openClient(storage, { home: newHome(directory), salt: 8 });
  t.after(() => reader.close());
  const { findings } = await checkRepository(reader, { isReadingData: true });

  assert.deepEqual(
    findings.map(({ kind, severity }) => [kind, severity]),
    [['pack-unindexed', 'damage']],
  );
  const losses = await findLosses(repository, ledger);
  assert.deepEqual(
    losses.filter((loss) => !/^(segment of|pack-unindexed)/.test(loss)),
    [],
  );
});

test('a delta in an adopted pack counts only while its base does', async (t) => {
  const { storage, repository } = await memoryRepository(t);
  const [base, version] = similarPlaintexts(2) as [Uint8Array, Uint8Array];
  const whole = await storePack(repository, [{ plaintext: base }]);
  await storePack(repository, [{ plaintext: version, delta: { base, depth: 1 } }]);
  const id = repository.identify(BLOB_TYPE.data, version);
  const session = await beginSession(repository, { purpose: 'snapshot' });
  assert.equal(isPresent(await repository.index.open(), id), true);
  await session.abort();
  await new RecordWriter(repository).sweep(1, [whole.name]);
  await storage.delete(packStorageName(whole));

  const later = await beginSession(repository, { purpose: 'snapshot' });

  assert.equal(isPresent(await repository.index.open(), id), false);
  await later.write(BLOB_TYPE.data, version);
  assert.equal(later.counts.newBlobs, 1, 'it is stored again, whole');
  await later.abort();
});

test('a pack of an earlier session does not count when a later listing lacks it', async (t) => {
  const { storage, repository } = await memoryRepository(t);
  const ledger = new Ledger();
  const first = await snapshotTree(repository, sourceTree(1));
  for (const name of await namesIn(storage, 'meta/')) await storage.delete(name);

  const second = await ledger.snapshot(repository, sourceTree(1));

  assert.equal(second.newBytes, first.newBytes);
  const access = await openReadAccess(repository);
  const snapshot = access.view.snapshots.find(({ id }) => id === second.id);
  assert.ok(snapshot !== undefined);
});
