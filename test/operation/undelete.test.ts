/**
 * Bringing forgotten snapshots back: whole while their blobs are there, by storing again what only
 * dead packs hold, and not at all once a part is gone.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { BLOB_TYPE } from '../../src/blob/blob-type.ts';
import { BusyError, NotFoundError, VarveError } from '../../src/errors.ts';
import type { BlobId, SessionId } from '../../src/id.ts';
import { forget } from '../../src/maintain/forget.ts';
import { undelete } from '../../src/maintain/undelete.ts';
import { openReadAccess } from '../../src/repository/read-access.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { loadView } from '../../src/repository/view.ts';
import type { Snapshot } from '../../src/snapshot/selection.ts';
import type { Storage } from '../../src/storage/storage.ts';
import type { DirectoryRoot, Node } from '../../src/tree/node.ts';
import { onFailpoint } from '../../src/util/failpoint.ts';
import { interceptStorage } from '../helpers/fault-storage.ts';
import { forge, refusedPage } from '../helpers/forged-snapshot.ts';
import { type ForgedEntry, forgeSnapshot, type Pool } from '../helpers/forged-trees.ts';
import { ns } from '../helpers/made-snapshot.ts';
import { RecordWriter } from '../helpers/record-writer.ts';
import { storePack } from '../helpers/record-writer-packs.ts';
import {
  describeSnapshot,
  describeTree,
  memoryRepository,
  namesIn,
  newHome,
  openClient,
  snapshotTree,
  sourceTree,
} from '../helpers/repository-crash.ts';
import { seededRandom, testSeed } from '../helpers/seeded-random.ts';
import { newVersionedRepository } from '../helpers/similar-versions.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import * as client from '../helpers/test-repository.ts';

interface World {
  storage: Storage;
  repository: Repository;
  directory: string;
  /** Ids of a live snapshot and of one that is forgotten, whose trees share files. */
  live: string;
  forgotten: string;
  /** Packs that came with the forgotten one. */
  packs: string[];
}

const liveTree = sourceTree(1, 300_000);
const oldTree = sourceTree(2, 300_000);

async function packNames(storage: Storage): Promise<string[]> {
  return [...(await namesIn(storage, 'data/')), ...(await namesIn(storage, 'meta/'))];
}

/** The forgotten one was the first, so what they share came with it. */
async function newWorld(t: TestContext): Promise<World> {
  const { storage, repository, directory } = await memoryRepository(t);
  const times = { timeNs: ns('2026-01-31T12:00Z'), tags: ['old'] };
  const { id: forgotten } = await snapshotTree(repository, oldTree, times);
  const packs = await packNames(storage);
  const { id: live } = await snapshotTree(repository, liveTree);
  await forget(repository, { choice: { selectors: [forgotten] } });
  return { storage, repository, directory, live, forgotten, packs };
}

const hashOf = (pack: string) => pack.slice(pack.lastIndexOf('/') + 1);

/** A collection under way condemned the packs. */
async function condemn({ repository }: World, packs: readonly string[]): Promise<void> {
  await new RecordWriter(repository).mark(1, { condemned: packs.map(hashOf) });
}

/** It was carried out, perhaps but for deleting the files. */
async function sweep(world: World, packs: readonly string[], isDeleting = true): Promise<void> {
  await new RecordWriter(world.repository).sweep(1, packs.map(hashOf));
  if (!isDeleting) return;
  for (const pack of packs) await world.storage.delete(pack);
}

async function find(repository: Repository, id: string): Promise<Snapshot | undefined> {
  return (await loadView(repository, 'read')).snapshots.find((one) => one.id === id);
}

/** As another client sees it: there, with all that it held; and nothing is damaged. */
async function assertBack(
  { storage, directory }: World,
  id: string,
  tree = oldTree,
): Promise<void> {
  const other = await openClient(storage, { home: newHome(directory), salt: 5 });
  try {
    const snapshot = await find(other, id);
    assert.ok(snapshot !== undefined, `${id} is not live`);
    const access = await openReadAccess(other);
    assert.deepEqual(await describeSnapshot(access, snapshot), describeTree(tree));
  } finally {
    await other.close();
  }
}

test('undelete() brings a snapshot back with all that its manifest said, and stores nothing', async (t) => {
  const world = await newWorld(t);
  const { storage, repository, forgotten } = world;
  const before = await namesIn(storage);
  const [old] = (await loadView(repository, 'read')).hidden;

  const result = await undelete(repository, { selector: forgotten.slice(0, 8) });

  assert.equal(result.forgottenId, forgotten);
  assert.notEqual(result.id, forgotten);
  assert.deepEqual([result.newBlobs, result.storedBytes, result.isForgotten], [0, 0, false]);
  const added = (await namesIn(storage)).filter((name) => !before.includes(name));
  assert.deepEqual(added, [`snapshots/${result.id}`]);
  const back = (await find(repository, result.id)) as Snapshot;
  const { chain, sessionId, segments, parents, ...manifest } = back.manifest;
  const expected = { ...(old as Snapshot).manifest };
  assert.deepEqual(manifest, {
    ...manifest,
    startedNs: expected.startedNs,
    endedNs: expected.endedNs,
    timeZone: expected.timeZone,
    host: expected.host,
    user: expected.user,
    source: expected.source,
    roots: expected.roots,
    tags: ['old'],
    root: expected.root,
    stats: expected.stats,
  });
  assert.deepEqual(parents, [forgotten]);
  await assertBack(world, result.id);
  const { forgotten: tombs } = await loadView(repository, 'read');
  assert.ok(tombs.has(forgotten as SessionId), 'the old id stays forgotten');
});

test('undelete() says again what a later version has said in the manifest, but its signature (R02)', async (t) => {
  const { repository, live } = await newWorld(t);
  const { manifest } = (await find(repository, live)) as Snapshot;
  const id = 'ab'.repeat(16) as SessionId;
  const laterFields = { comment: 'from a later version', nested: { list: [1, 'two'] } };
  const signed = { ...laterFields, signature: { key: 'AA==', value: 'AA==' } };
  await new RecordWriter(repository).snapshot({
    ...{ id, hash: '', storedMs: 0 },
    manifest: { ...manifest, sessionId: id, laterFields: signed },
  });
  await forget(repository, { choice: { selectors: [id] } });

  const back = await undelete(repository, { selector: id });

  assert.deepEqual((await find(repository, back.id))?.manifest.laterFields, laterFields);
});

test('undelete() finds only what is forgotten, and writes nothing when there is no such', async (t) => {
  const { storage, repository, live, forgotten } = await newWorld(t);
  const before = await namesIn(storage);

  for (const selector of [live, 'ffff', 'latest~1', '@2020-01-01']) {
    await assert.rejects(undelete(repository, { selector }), (error: unknown) => {
      assert.ok(error instanceof NotFoundError && error.kind === 'forgotten snapshot', selector);
      return true;
    });
  }
  const filtered = undelete(repository, { selector: forgotten, filter: { tag: 'new' } });
  await assert.rejects(filtered, NotFoundError);
  assert.deepEqual(await namesIn(storage), before);

  assert.equal((await undelete(repository, { selector: 'latest' })).forgottenId, forgotten);
});

test('undelete() stores again what only condemned packs hold, so that the sweep takes nothing', async (t) => {
  const world = await newWorld(t);
  const { repository, forgotten, packs } = world;
  await condemn(world, packs);

  const { id, newBlobs } = await undelete(repository, { selector: forgotten });
  await sweep(world, packs);

  assert.ok(newBlobs > 0);
  await assertBack(world, id);
});

test('undelete() stores again no more than what is dead', async (t) => {
  const world = await newWorld(t);
  const { storage, repository, forgotten } = world;
  const condemned = (await packNames(storage)).filter((name) => !world.packs.includes(name));
  await condemn(world, condemned);

  const { id, newBlobs } = await undelete(repository, { selector: forgotten });

  assert.equal(newBlobs, 0);
  await sweep(world, condemned);
  await assertBack(world, id);
});

test('undelete() reads packs that were swept as long as they are there', async (t) => {
  const world = await newWorld(t);
  await condemn(world, world.packs);
  await sweep(world, world.packs, false);

  const { id } = await undelete(world.repository, { selector: world.forgotten });
  for (const pack of world.packs) await world.storage.delete(pack);

  await assertBack(world, id);
});

test('undelete() looks at every page, list, attribute and chunk, wherever it lies', async (t) => {
  const { storage, repository, directory } = await memoryRepository(t);
  const pool = await newPool(repository);
  const files = Array.from({ length: 5 }, (_, i): ForgedEntry => {
    return { type: 'f', name: `f${i}`, chunks: [i, 5, i + 1], attributes: i };
  });
  const inner: ForgedEntry = { type: 'd', name: 'd', entries: files.slice(1), attributes: 9 };
  const forgotten = await forgeSnapshot(repository, pool, [...files, inner]);
  const counts = await readAll(repository, forgotten);
  await forget(repository, { choice: { selectors: [forgotten] }, mayEmpty: true });
  const packs = await packNames(storage);
  const world = { storage, repository, directory, live: '', forgotten, packs };
  await condemn(world, packs);

  const { id } = await undelete(repository, { selector: forgotten });
  await sweep(world, packs);

  const other = await openClient(storage, { home: newHome(directory), salt: 5 });
  t.after(() => other.close());
  assert.deepEqual(await readAll(other, id), counts);
  assert.deepEqual(counts, { pages: 9, lists: 27, attributes: 10, chunks: 27 });
});

test('undelete() stores a delta whole when its base is dead', async (t) => {
  const { storage, source, versions, taken, pack } = await newVersionedRepository(t);
  const { repository } = await client.openClient(t, storage);
  const old = taken[1] as client.Taken; // Its file is a delta on one in the pack.
  const last = { selectors: taken.map(({ id }) => id) };
  await forget(repository, { choice: last, mayEmpty: true });
  const world = { storage, repository, directory: '', live: '', forgotten: old.id, packs: [pack] };
  await condemn(world, [pack]);

  const { id, newBlobs } = await undelete(repository, { selector: old.id });
  await sweep(world, [pack]);

  assert.ok(newBlobs >= 2, 'the bulk, and the delta');
  const target = join(tempDir(t), 'target');
  const other = await client.openClient(t, storage);
  const snapshot = (await find(other.repository, id)) as Snapshot;
  await client.restore(other, { snapshot, path: source }, target);
  assert.deepEqual(new Uint8Array(readFileSync(join(target, 'changing'))), versions[1]);
  // The delta itself is garbage by now, and hurts nobody.
  const { findings } = await client.check(other, true);
  assert.deepEqual(
    findings.filter(({ snapshots }) => snapshots.length > 0),
    [],
  );
});

test('G35: undelete() refuses a snapshot of which a part is gone, and names it', async (t) => {
  const world = await newWorld(t);
  const { storage, repository, forgotten, live, packs } = world;
  await condemn(world, packs);
  await sweep(world, packs);
  const before = await namesIn(storage, 'snapshots/');

  await assert.rejects(undelete(repository, { selector: forgotten }), {
    name: 'NotFoundError',
    message: new RegExp(
      `^Cannot undelete snapshot "${forgotten.slice(0, 8)}": tree page [0-9a-f]{64} of "/" is gone$`,
    ),
  });

  const after = await namesIn(storage, 'snapshots/');
  assert.equal(after.length, before.length + 1, 'a fence');
  assert.deepEqual(await namesIn(storage, 'sessions/'), []);
  assert.deepEqual(
    (await loadView(repository, 'read')).snapshots.map(({ id }) => id),
    [live],
  );
});

test('G35: undelete() while packs are swept under it is complete, or refused and named', async (t) => {
  const outcomes = new Set<string>();
  let isOver = false;
  // At every third call: they are some forty.
  for (let at = testSeed % 3; !isOver; at += 3) {
    const world = await newWorld(t);
    const { storage, directory, packs, forgotten } = world;
    await condemn(world, packs);
    let count = 0;
    let isSwept = false;
    const swept = interceptStorage(storage, async (_call, run) => {
      if (count++ === at) {
        await sweep(world, packs);
        isSwept = true;
      }
      return await run();
    });
    const home = newHome(directory);
    const pruned = await openClient(swept, { home, salt: 7 });
    count = 0; // Opening is none of it.
    try {
      const { id } = await undelete(pruned, { selector: forgotten });
      if (!isSwept) await sweep(world, packs);
      await assertBack(world, id);
      outcomes.add('complete');
    } catch (error) {
      assert.ok(error instanceof VarveError, `${at}: ${error}`);
      assert.match(error.message, new RegExp(forgotten.slice(0, 8)), `${at}: ${error.message}`);
      assert.match(error.message, /is gone|undelete|forgotten/, `${at}`);
      outcomes.add('refused');
    } finally {
      await pruned.close();
    }
    isOver = !isSwept;
  }
  assert.deepEqual([...outcomes].sort(), ['complete', 'refused']);
});

test('an undelete that a collection fences starts over, three times at most', async (t) => {
  const world = await newWorld(t);
  const { repository, forgotten } = world;
  const writer = new RecordWriter(repository);
  let fencesLeft = 2;
  t.after(() => onFailpoint(undefined));
  onFailpoint(async (name) => {
    if (name !== 'session.6.before' || fencesLeft === 0) return;
    fencesLeft -= 1;
    const [session = ''] = await namesIn(world.storage, 'sessions/');
    await writer.fence(session.slice('sessions/'.length));
  });

  const { id } = await undelete(repository, { selector: forgotten });
  await assertBack(world, id);
  fencesLeft = 3;
  await assert.rejects(undelete(repository, { selector: forgotten }), BusyError);

  assert.deepEqual(await namesIn(world.storage, 'sessions/'), []);
});

test('undelete() refuses a snapshot with an entry of a later version, and names it', async (t) => {
  const { repository } = await memoryRepository(t);
  const { id } = await forge(repository, async (session) => {
    const page = await session.write(BLOB_TYPE.treePage, refusedPage());
    return { id: page, height: 0, entries: 1n, bytes: 0n };
  });
  await forget(repository, { choice: { selectors: [id] }, mayEmpty: true });

  await assert.rejects(undelete(repository, { selector: id }), {
    name: 'VersionError',
    message: /entry "\/future"/,
  });
});

test('undelete() can be cancelled, and leaves no session', async (t) => {
  const { storage, repository, forgotten } = await newWorld(t);
  const controller = new AbortController();
  const reason = new Error('enough');
  controller.abort(reason);

  const cancelled = undelete(repository, { selector: forgotten, signal: controller.signal });

  await assert.rejects(cancelled, reason);
  assert.deepEqual(await namesIn(storage, 'sessions/'), []);
});

test('a snapshot whose tomb was merged can no longer be brought back', async (t) => {
  const { storage, repository, forgotten } = await newWorld(t);
  const [tomb = ''] = await namesIn(storage, 'tombs/');
  await new RecordWriter(repository).tomb({ closed: [forgotten], merges: [hashOf(tomb)] });

  await assert.rejects(undelete(repository, { selector: forgotten }), NotFoundError);

  assert.deepEqual((await loadView(repository, 'read')).hidden, []);
});

test('a snapshot that was brought back can be forgotten and brought back again', async (t) => {
  const world = await newWorld(t);
  const { repository, forgotten } = world;
  const first = await undelete(repository, { selector: forgotten });
  await forget(repository, { choice: { selectors: [first.id] } });

  const second = await undelete(repository, { selector: first.id });

  assert.deepEqual((await find(repository, second.id))?.manifest.parents, [first.id]);
  await assertBack(world, second.id);
});

/** Chunks in packs that no segment names, until the next session adopts them. */
async function newPool(repository: Repository): Promise<Pool> {
  const random = seededRandom(77);
  const plaintexts = Array.from({ length: 7 }, () => random.bytes(3000));
  for (const plaintext of plaintexts) await storePack(repository, [{ plaintext }]);
  return {
    ids: plaintexts.map((plaintext) => repository.identify(BLOB_TYPE.data, plaintext)),
    sizes: plaintexts.map(({ length }) => length),
  };
}

interface BlobCounts {
  pages: number;
  lists: number;
  attributes: number;
  chunks: number;
}

/** Reads every blob of a snapshot, as often as it is named. */
async function readAll(repository: Repository, id: string): Promise<BlobCounts> {
  const counts = { pages: 0, lists: 0, attributes: 0, chunks: 0 };
  const access = await openReadAccess(repository);
  const count = (kind: keyof BlobCounts) => () => {
    counts[kind] += 1;
    return true;
  };
  const readDirectory = async (root: DirectoryRoot): Promise<void> => {
    for await (const entries of access.wantedEntries(root, count('pages'))) {
      for (const entry of entries) if (entry.type !== 'refused') await readNode(entry);
    }
  };
  const readNode = async ({ directory, content, attributeBlob }: Node): Promise<void> => {
    if (attributeBlob !== undefined) {
      await access.read(attributeBlob, BLOB_TYPE.attributes);
      count('attributes')();
    }
    if (directory !== undefined) await readDirectory(directory);
    for await (const chunks of access.chunks(content ?? { kind: 'empty' }, count('lists'))) {
      for (const chunk of chunks) {
        await access.readChunk(chunk.id as BlobId);
        count('chunks')();
      }
    }
  };
  const snapshot = access.view.snapshots.find((one) => one.id === id);
  await readDirectory((snapshot as Snapshot).manifest.root);
  return counts;
}
