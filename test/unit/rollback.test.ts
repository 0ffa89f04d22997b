/**
 * A repository that was set back to an earlier state is noticed by every client that remembers more,
 * and by no other; what forgetting and merging take away is no rollback.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { checkRepository } from '../../src/maintain/check.ts';
import { encodeMark } from '../../src/record/collector-records.ts';
import { OBJECT_KIND } from '../../src/record/object-kind.ts';
import type { ChainFields } from '../../src/record/record.ts';
import { ChainWriter } from '../../src/repository/chain-writer.ts';
import { DEFAULT_CONFIG } from '../../src/repository/default-config.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { loadView } from '../../src/repository/view.ts';
import { createMemoryStorage } from '../../src/storage/memory.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { RecordWriter } from '../helpers/record-writer.ts';
import {
  type Home,
  initStorage,
  MemoryStateFs,
  namesIn,
  newHome,
  snapshotTree,
  sourceTree,
  withClient,
} from '../helpers/repository-crash.ts';
import { tempDir } from '../helpers/temp-dir.ts';

async function copyStorage(storage: Storage): Promise<Storage> {
  const copy = createMemoryStorage();
  for (const name of await namesIn(storage)) {
    const bytes = await storage.get(name);
    if (/^(data|meta|index|tombs)\//.test(name)) await copy.put(name, bytes);
    else await copy.putIfAbsent(name, bytes);
  }
  return copy;
}

async function newStorage(): Promise<Storage> {
  const storage = createMemoryStorage();
  await initStorage(storage);
  return storage;
}

interface Visit {
  notices: string[];
  findings: string[];
}

/** Checks and takes a snapshot as the client with this home; what it says. */
async function visit(
  storage: Storage,
  home: Home,
  salt: number,
  use: (repository: Repository) => Promise<void> = async () => {},
): Promise<Visit> {
  const notices: string[] = [];
  const onNotice = (text: string): void => {
    notices.push(text);
  };
  return await withClient(storage, { home, salt, onNotice }, async (repository) => {
    const { findings } = await checkRepository(repository);
    await snapshotTree(repository, sourceTree(salt));
    await use(repository);
    return { notices, findings: findings.map(({ kind }) => kind) };
  });
}

const QUIET: Visit = { notices: [], findings: [] };

function homes(t: TestContext): { alice: Home; bob: Home; stranger: Home } {
  const directory = tempDir(t);
  return { alice: newHome(directory), bob: newHome(directory), stranger: newHome(directory) };
}

test('an older copy of the storage is noticed by clients with memory, not by a new one', async (t) => {
  const { alice, bob, stranger } = homes(t);
  const storage = await newStorage();
  assert.deepEqual(await visit(storage, alice, 1), QUIET);
  assert.deepEqual(await visit(storage, bob, 2), QUIET);
  const older = await copyStorage(storage);
  assert.deepEqual(await visit(storage, alice, 3), QUIET);
  assert.deepEqual(await visit(storage, bob, 4), QUIET);

  for (const [home, salt] of [
    [alice, 5],
    [bob, 6],
  ] as const) {
    const { notices, findings } = await visit(await copyStorage(older), home, salt);
    assert.deepEqual(findings, ['repository-rolled-back']);
    assert.match(notices.join(), /The repository went back: record 2 of writer \w{8}/);
  }
  assert.deepEqual(await visit(older, stranger, 7), QUIET);
});

test('a client remembers the records of others too', async (t) => {
  const { alice, bob } = homes(t);
  const storage = await newStorage();
  await visit(storage, alice, 1);
  const older = await copyStorage(storage);
  await visit(storage, bob, 2);
  await visit(storage, alice, 3);
  const { snapshots } = await withClient(storage, { home: alice, salt: 4 }, (repository) =>
    loadView(repository, 'read'),
  );
  const ofBob = snapshots[1];
  assert.deepEqual(
    snapshots[2]?.manifest.chain.seen.map(({ hash }) => hash),
    [ofBob?.hash],
  );
  // Everything but the snapshot of Bob.
  for (const name of await namesIn(storage)) {
    if (name === `snapshots/${ofBob?.id}` || (await older.stat(name)) !== undefined) continue;
    const bytes = await storage.get(name);
    if (name.startsWith('snapshots/')) await older.putIfAbsent(name, bytes);
    else await older.put(name, bytes);
  }

  const { findings } = await visit(older, bob, 5);

  assert.deepEqual(findings, [], 'its head is named by the record that saw it');
});

test('a snapshot that a tomb forgets is no rollback, nor is its deleted manifest', async (t) => {
  const { alice, bob } = homes(t);
  const storage = await newStorage();
  await visit(storage, alice, 1);
  await visit(storage, bob, 2, async (repository) => {
    const { snapshots } = await loadView(repository, 'read');
    await new RecordWriter(repository).tomb({ forgotten: snapshots });
    for (const { id } of snapshots) await storage.delete(`snapshots/${id}`);
  });

  assert.deepEqual(await visit(storage, alice, 3), QUIET);
  assert.deepEqual(await visit(storage, bob, 4), QUIET);
});

test('a tomb that was merged into another one is no rollback', async (t) => {
  const { alice } = homes(t);
  const storage = await newStorage();
  let hash = '';
  await visit(storage, alice, 1, async (repository) => {
    hash = await new RecordWriter(repository).tomb({ closed: ['ee'.repeat(16)] });
  });
  await visit(storage, alice, 2, async (repository) => {
    // All that named the tomb goes: the snapshots of Alice, and the tomb itself.
    const { snapshots: forgotten } = await loadView(repository, 'read');
    const content = { forgotten, closed: ['ee'.repeat(16)], merges: [hash] };
    await new RecordWriter(repository).tomb(content, { writerId: '11'.repeat(16) });
    await storage.delete(`tombs/${hash}`);
    for (const { id } of forgotten) await storage.delete(`snapshots/${id}`);
  });

  assert.deepEqual(await visit(storage, alice, 3), QUIET);
});

test('a record is accounted for by a later one of the same writer', async (t) => {
  const { alice, bob } = homes(t);
  const storage = await newStorage();
  await visit(storage, alice, 1);
  await visit(storage, bob, 2);
  await visit(storage, alice, 3);
  await visit(storage, alice, 4);
  await withClient(storage, { home: alice, salt: 5 }, async (repository) => {
    // The record that Bob has seen of Alice is gone, and all that name it: his own, and her second.
    const { snapshots } = await loadView(repository, 'read');
    for (const { id } of snapshots.slice(0, 3)) await storage.delete(`snapshots/${id}`);
  });

  assert.deepEqual(await visit(storage, bob, 6), QUIET);
});

test('marks and sweeps are records of their writer, whose number no snapshot repeats', async (t) => {
  const { alice } = homes(t);
  const storage = await newStorage();
  await visit(storage, alice, 1, async (repository) => {
    const view = await loadView(repository, 'write');
    const writer = await ChainWriter.open(repository, view);
    const name = 'gc/0000000000000001.mark';
    const content = { generation: 1, previousSweep: '0'.repeat(64), counted: [], condemned: [] };
    const encode = (chain: ChainFields): Uint8Array => encodeMark({ chain, ...content }, 0);
    const first = await writer.putIfAbsent({ kind: OBJECT_KIND.mark, name }, encode);
    const second = await writer.putIfAbsent({ kind: OBJECT_KIND.mark, name }, encode);
    await writer.close();
    assert.deepEqual([first.isStored, second.isStored], [true, false]);
  });

  assert.deepEqual(await visit(storage, alice, 2), QUIET);
  await withClient(storage, { home: alice, salt: 3 }, async (repository) => {
    const { snapshots, collector } = await loadView(repository, 'read');
    const numbers = snapshots.map(({ manifest }) => manifest.chain.writerSeq);
    assert.deepEqual(numbers, [1, 3]);
    assert.equal(snapshots[1]?.manifest.chain.previous, collector.pendingMark?.hash);
  });
});

test('a collection or config update that is gone is noticed', async (t) => {
  const { alice, stranger } = homes(t);
  const storage = await newStorage();
  await visit(storage, alice, 1, async (repository) => {
    const writer = new RecordWriter(repository);
    await writer.sweep(1, []);
    await writer.configUpdate(3, DEFAULT_CONFIG);
  });
  await visit(storage, alice, 2);
  const withoutSweep = await copyStorage(storage);
  await withoutSweep.delete('gc/0000000000000001.sweep');
  const withoutUpdate = await copyStorage(storage);
  await withoutUpdate.delete('config.d/00000003');
  const aliceAgain: Home = { ...alice, stateFs: new MemoryStateFs() };
  for (const [path, content] of alice.stateFs.files) aliceAgain.stateFs.files.set(path, content);

  const sweep = await visit(withoutSweep, alice, 3);
  const update = await visit(withoutUpdate, aliceAgain, 4);

  assert.deepEqual(sweep.findings, ['repository-rolled-back']);
  assert.match(sweep.notices.join(), /collection 1 is gone/);
  assert.deepEqual(update.findings, ['repository-rolled-back']);
  assert.match(update.notices.join(), /config update 3 is gone/);
  assert.deepEqual(await visit(withoutUpdate, stranger, 5), QUIET);
});

test('records that cannot be read are damage, not a rollback', async (t) => {
  const { alice } = homes(t);
  const storage = await newStorage();
  await visit(storage, alice, 1, async (repository) => {
    await new RecordWriter(repository).sweep(1, []);
  });
  await visit(storage, alice, 2);
  await storage.delete('gc/0000000000000001.sweep');
  await storage.putIfAbsent('gc/0000000000000001.sweep', new Uint8Array(100));

  await withClient(storage, { home: alice, salt: 3 }, async (repository) => {
    const { findings } = await checkRepository(repository);
    assert.deepEqual(
      findings.map(({ kind }) => kind),
      ['record-damaged'],
    );
  });
});
