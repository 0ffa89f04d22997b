/** What may come between while bases are sought and read: cancelling, fences, failing workers. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Storage } from '../../src/storage/storage.ts';
import { onFailpoint } from '../../src/util/failpoint.ts';
import { compareTrees } from '../helpers/compare-trees.ts';
import { interceptStorage } from '../helpers/fault-storage.ts';
import { RecordWriter } from '../helpers/record-writer.ts';
import {
  edited,
  newVersionedRepository,
  type VersionedRepository,
} from '../helpers/similar-versions.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import {
  type Client,
  check,
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
  assert.equal(next.deltaBlobs, 1);
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
