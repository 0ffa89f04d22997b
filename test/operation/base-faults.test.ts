/** What may come between while bases are sought and read: cancelling, fences, failing workers. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { BlobId } from '../../src/id.ts';
import type { Repository } from '../../src/repository/repository.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { equalBytes } from '../../src/util/bytes.ts';
import { onFailpoint } from '../../src/util/failpoint.ts';
import { compareTrees } from '../helpers/compare-trees.ts';
import { interceptStorage } from '../helpers/fault-storage.ts';
import { RecordWriter } from '../helpers/record-writer.ts';
import {
  edited,
  newVersionedRepository,
  textOf,
  type VersionedRepository,
} from '../helpers/similar-versions.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import {
  type Client,
  check,
  newClient,
  objectNames,
  openClient,
  restore,
  snapshot,
} from '../helpers/test-repository.ts';

/** The next version is there to be saved, by a client whose reads of the first base are watched. */
async function nextSnapshot(
  t: TestContext,
  onBaseRead: () => void,
): Promise<VersionedRepository & { client: Client }> {
  const world = await newVersionedRepository(t);
  const { storage, source, versions, pack } = world;
  writeFileSync(join(source, 'changing'), edited(versions[2] as Uint8Array, 20));
  const watched: Storage = interceptStorage(storage, async ({ operation, name }, run) => {
    if (operation === 'getRange' && name === pack) onBaseRead();
    return await run();
  });
  return { ...world, client: await openClient(t, watched) };
}

/** The repository is as it was before, and the next try succeeds with a delta. */
async function assertGoesOn(t: TestContext, { storage, source, taken }: VersionedRepository) {
  const client = await openClient(t, storage);
  assert.deepEqual(await objectNames(storage, 'sessions/'), []);
  assert.deepEqual((await check(client, true)).findings, []);
  const next = await snapshot(client, [source]);
  // What the other try had stored by then is used.
  assert.equal(next.deltaBlobs, next.newBlobs === 0 ? 0 : 1);
  assert.equal(next.parent, taken.at(-1)?.id);
  const target = join(tempDir(t), 'target');
  await restore(client, { ...next, path: source }, target);
  assert.deepEqual(compareTrees(source, target), []);
  assert.deepEqual((await check(client, true)).findings, []);
}

test('takeSnapshot() can be cancelled while it reads a base', async (t) => {
  const controller = new AbortController();
  const reason = new Error('enough');
  const world = await nextSnapshot(t, () => controller.abort(reason));

  const cancelled = snapshot(world.client, [world.source], { signal: controller.signal });

  await assert.rejects(cancelled, reason);
  assert.ok(controller.signal.aborted);
  await assertGoesOn(t, world);
});

test('a worker that fails while it reads a base fails the snapshot with its error', async (t) => {
  const failure = new TypeError('a fault of the program');
  const world = await nextSnapshot(t, () => {
    throw failure;
  });

  await assert.rejects(snapshot(world.client, [world.source]), failure);

  await assertGoesOn(t, world);
});

test('a session that is fenced after it made deltas starts over and relies on them', async (t) => {
  const world = await nextSnapshot(t, () => {});
  const { storage, source, client } = world;
  const writer = new RecordWriter(client.repository);
  let fenced = '';
  t.after(() => onFailpoint(undefined));
  onFailpoint(async (name) => {
    if (name !== 'session.6.before' || fenced !== '') return;
    const [session = ''] = await objectNames(storage, 'sessions/');
    fenced = session.slice('sessions/'.length);
    await writer.fence(fenced);
  });

  const taken = await snapshot(client, [source]);

  assert.notEqual(fenced, '');
  assert.notEqual(taken.id, fenced);
  assert.equal(taken.newBlobs, 0, 'what the first session stored is found');
  const target = join(tempDir(t), 'target');
  const reader = await openClient(t, storage);
  await restore(reader, { ...taken, path: source }, target);
  assert.deepEqual(compareTrees(source, target), []);
  assert.deepEqual((await check(reader, true)).findings, []);
});

test('a base with other content than its id says is not used', async (t) => {
  const source = join(tempDir(t), 'source');
  mkdirSync(source);
  const [base, content] = [textOf(1, 9000), edited(textOf(1, 9000), 2)];
  writeFileSync(join(source, 'file'), base);
  const client = await newClient(t);
  await snapshot(client, [source]);
  writeFileSync(join(source, 'file'), content);
  const { identify } = client.repository;
  const other = new Uint8Array(32).fill(1) as BlobId;
  const repository: Repository = {
    ...client.repository,
    identify: (type, plaintext) =>
      equalBytes(plaintext, base) ? other : identify(type, plaintext),
  };

  const taken = await snapshot({ ...client, repository }, [source]);

  assert.equal(taken.deltaBlobs, 0);
  assert.match(client.notices.join(), /^Cannot read 1 chunks that new ones resemble/);
  const target = join(tempDir(t), 'target');
  await restore(client, { ...taken, path: source }, target);
  assert.deepEqual(compareTrees(source, target), []);
});
