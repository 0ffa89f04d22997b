/** What `snapshotSizes` and `treeSizes` tell, against sizes known by hand; and what they refuse to tell. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { BLOB_TYPE } from '../../src/blob/blob-type.ts';
import { measureSnapshots, measureTree, type TreeSizes } from '../../src/browse/exclusive-sizes.ts';
import { CorruptionError, NotFoundError } from '../../src/errors.ts';
import { type BlobId, blobKey } from '../../src/id.ts';
import { BlobOwners, everybody } from '../../src/repository/blob-owners.ts';
import { openFixedAccess, type ReadAccess } from '../../src/repository/read-access.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { type ForgedEntry, forgeSnapshot, type Pool } from '../helpers/forged-trees.ts';
import { b } from '../helpers/raw-path.ts';
import { similarPlaintexts, storePack } from '../helpers/record-writer-packs.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import {
  type Client,
  namesOf,
  newClient,
  objectNames,
  openClient,
  replaceObject,
  snapshot,
} from '../helpers/test-repository.ts';

const tagSize = 16;

function pathsOf({ directories }: TreeSizes): [string, bigint][] {
  return [...directories].map(({ path, rawSize }) => [Buffer.from(path).toString(), rawSize]);
}

async function treeOf(
  { repository }: Client,
  path: string,
  depthMax = Number.POSITIVE_INFINITY,
): Promise<TreeSizes> {
  const access = await openFixedAccess(repository);
  const [first] = access.view.snapshots;
  assert.ok(first !== undefined);
  return await measureTree(access, { snapshot: first, names: namesOf(path), depthMax });
}

function file(name: string, ...chunks: number[]): ForgedEntry {
  return { type: 'f', name, chunks };
}

function directory(name: string, ...entries: ForgedEntry[]): ForgedEntry {
  return { type: 'd', name, entries };
}

/** Blobs of 2,020 bytes, whole, each in a pack of its own. */
async function newPool(repository: Repository, count: number): Promise<Pool> {
  const plaintexts = similarPlaintexts(count);
  for (const plaintext of plaintexts) await storePack(repository, [{ plaintext }]);
  const ids = plaintexts.map((plaintext) => repository.identify(BLOB_TYPE.data, plaintext));
  return { ids, sizes: plaintexts.map(({ length }) => length) };
}

test('measureTree() gives a directory what only it needs, and its parent the rest', async (t) => {
  const client = await newClient(t);
  const source = tempDir(t);
  for (const name of ['a', 'b', 'b/below']) mkdirSync(join(source, name));
  const random = seededRandom();
  const [shared, own, elsewhere] = [8000, 16_000, 32_000].map((size) => random.bytes(size));
  writeFileSync(join(source, 'a', 'shared'), shared as Uint8Array);
  writeFileSync(join(source, 'b', 'below', 'shared'), shared as Uint8Array);
  writeFileSync(join(source, 'b', 'below', 'own'), own as Uint8Array);
  writeFileSync(join(source, 'b', 'both'), elsewhere as Uint8Array);
  await snapshot(client, [source]);
  await snapshot(client, [join(source, 'b', 'both')], { source: b('other') });

  const { directories } = await treeOf(client, source);

  const sizes = new Map(
    [...directories].map(({ path, rawSize, exclusiveSize }) => [
      Buffer.from(path).toString().slice(source.length),
      { rawSize, exclusiveSize },
    ]),
  );
  assert.deepEqual([...sizes.keys()], ['', '/a', '/b', '/b/below']);
  assert.deepEqual(
    [...sizes.values()].map(({ rawSize }) => rawSize),
    [64_000n, 8000n, 56_000n, 24_000n],
  );
  // Beside the content there are tree pages, which are small.
  const content = [...sizes.values()].map(({ exclusiveSize }) => exclusiveSize - tagSize);
  for (const [i, size] of [24_000, 0, 16_000, 16_000].entries()) {
    const found = content[i] as number;
    assert.ok(found >= size && found < size + 1500, `${i}: ${found}`);
  }
});

test('measureTree() measures as deep as it is told, and a single file', async (t) => {
  const client = await newClient(t);
  const pool = await newPool(client.repository, 3);
  const size = BigInt(pool.sizes[0] as number);
  const tree = [
    directory('a', directory('b', directory('c', file('f', 0)), file('g', 1))),
    file('h', 2),
  ];
  await forgeSnapshot(client.repository, pool, tree);

  const paths = async (path: string, depthMax?: number) =>
    pathsOf(await treeOf(client, path, depthMax));

  const all = [
    ['/', 3n * size],
    ['/a', 2n * size],
    ['/a/b', 2n * size],
    ['/a/b/c', size],
  ];
  assert.deepEqual(await paths('/'), all);
  assert.deepEqual(await paths('/', 0), all.slice(0, 1));
  assert.deepEqual(await paths('/', 2), all.slice(0, 3));
  assert.deepEqual(await paths('/a/b', 1), all.slice(2));
  assert.deepEqual(await paths('/a/b/g'), [['/a/b/g', size]]);
  await assert.rejects(paths('/a/x'), NotFoundError);
  await assert.rejects(paths('/h/x'), NotFoundError);
});

test('measureTree() takes a directory that is there twice for exclusive to neither', async (t) => {
  const client = await newClient(t);
  const { repository } = client;
  const pool = await newPool(repository, 2);
  const twice = [directory('x', file('f', 0), directory('y', file('g', 1)))];
  await forgeSnapshot(repository, pool, [directory('a', ...twice), directory('b', ...twice)]);

  const blobs = async (path: string) => {
    const [first] = [...(await treeOf(client, path)).directories];
    return first?.exclusiveBlobs;
  };

  // Two chunks and one page each of /, of /a and /b alike, of x and of y.
  assert.equal(await blobs('/'), 2 + 4);
  for (const path of ['/a', '/a/x', '/a/x/y', '/b/x/y', '/a/x/f']) {
    assert.equal(await blobs(path), 0, path);
  }
});

test('a base is needed by the snapshot that has a delta on it', async (t) => {
  const { repository } = await newClient(t);
  const plaintexts = similarPlaintexts(3);
  const [first, second, third] = plaintexts as [Uint8Array, Uint8Array, Uint8Array];
  await storePack(repository, [
    { plaintext: first },
    { plaintext: second, delta: { base: first, depth: 1 } },
    { plaintext: third, delta: { base: second, depth: 2 } },
  ]);
  const ids = plaintexts.map((plaintext) => repository.identify(BLOB_TYPE.data, plaintext));
  const pool = { ids, sizes: plaintexts.map(({ length }) => length) };
  await forgeSnapshot(repository, pool, [file('a', 0)]);
  const access = async () => await openFixedAccess(repository);
  const alone = await access();
  const [before] = await measureSnapshots(alone, alone.view.snapshots, {});
  await forgeSnapshot(repository, pool, [file('c', 2)]);

  const opened = await access();
  const after = await measureSnapshots(opened, opened.view.snapshots, {});

  const page = 1;
  assert.equal(before?.exclusiveBlobs, page + 1);
  // The whole blob is needed by both; the delta between, by the one whose delta is on it.
  assert.deepEqual(after.map(({ exclusiveBlobs }) => exclusiveBlobs).sort(), [page, page + 2]);
});

test('BlobOwners: to decode a page by its base nothing below that base is needed', async (t) => {
  const { repository } = await newClient(t);
  const type = BLOB_TYPE.treePage;
  const [base, page] = similarPlaintexts(2) as [Uint8Array, Uint8Array];
  await storePack(repository, [
    { plaintext: base, type },
    { plaintext: page, type, delta: { base, depth: 1 } },
  ]);
  const [baseId, pageId] = [base, page].map((one) => repository.identify(type, one)) as [
    BlobId,
    BlobId,
  ];
  assert.notEqual(blobKey(baseId), blobKey(pageId));
  const owners = new BlobOwners((await openFixedAccess(repository)).sync.index);

  const answers = [
    owners.claim(pageId, everybody),
    owners.claim(baseId, everybody),
    owners.claim(pageId, everybody),
    owners.claim(baseId, everybody),
  ];

  assert.deepEqual(answers, [true, true, false, false]);
});

test('measureSnapshots() gives each snapshot what no other one needs', async (t) => {
  const { repository } = await newClient(t);
  const pool = await newPool(repository, 4);
  const common = directory('common', file('f', 0));
  const ids = [
    await forgeSnapshot(repository, pool, [common, file('own', 1)]),
    await forgeSnapshot(repository, pool, [common, file('own', 2), file('z', 3)]),
    await forgeSnapshot(repository, pool, []),
  ];
  const access = await openFixedAccess(repository);

  const sizes = await measureSnapshots(access, access.view.snapshots, {});
  const blobs = new Map(sizes.map((size) => [size.snapshot.id as string, size.exclusiveBlobs]));

  // A page of the root for each; the second has three entries, so two pages and one above.
  assert.deepEqual(
    ids.map((id) => blobs.get(id)),
    [1 + 1, 3 + 2, 1],
  );
  const [last] = await measureSnapshots(access, access.view.snapshots.slice(2), {});
  assert.equal(last?.exclusiveBlobs, blobs.get(last?.snapshot.id ?? ''));
});

test('what many snapshots share is read at most twice, or once when only one of them is measured', async (t) => {
  const { repository } = await newClient(t);
  const pool = await newPool(repository, 3);
  const tree = [directory('a', file('f', 0, 1, 2), directory('b', file('g', 1))), file('h', 2)];
  for (let i = 0; i < 10; i++) await forgeSnapshot(repository, pool, tree);
  // A page each of /, a and b; two lists and one above.
  const shared = 3 + 3;

  const readsOf = async (measure: (access: ReadAccess) => Promise<unknown>): Promise<number> => {
    const access = await openFixedAccess(repository);
    let count = 0;
    const read = access.read.bind(access);
    access.read = (...given) => {
      count += 1;
      return read(...given);
    };
    await measure(access);
    return count;
  };

  const all = await readsOf((access) => measureSnapshots(access, access.view.snapshots, {}));
  const one = await readsOf((access) => {
    const [snapshot] = access.view.snapshots;
    assert.ok(snapshot !== undefined);
    return measureTree(access, { snapshot, names: [], depthMax: 0 });
  });
  assert.deepEqual([all, one], [2 * shared, shared]);
});

/** Two snapshots with nothing in common, in their own packs. */
async function newDamaged(t: TestContext): Promise<{ client: Client; packs: string[] }> {
  const client = await newClient(t);
  const { repository } = client;
  const pool = await newPool(repository, 2);
  const before = new Set(await objectNames(repository.storage));
  await forgeSnapshot(repository, pool, [directory('a', file('f', 0))]);
  await forgeSnapshot(repository, pool, [file('g', 1)]);
  const made = (await objectNames(repository.storage)).filter((name) => !before.has(name));
  return { client, packs: made.filter((name) => name.startsWith('meta/')) };
}

test('a missing tree page of any snapshot is an error, not a wrong figure', async (t) => {
  const { client, packs } = await newDamaged(t);
  const { storage } = client.repository;
  assert.equal(packs.length, 2);
  const [pack] = packs as [string];
  await storage.delete(pack);

  const access = await openFixedAccess((await openClient(t, storage)).repository);

  const { snapshots } = access.view;
  assert.equal(snapshots.length, 2);
  for (const one of snapshots) {
    await assert.rejects(measureSnapshots(access, [one], {}), NotFoundError);
    const options = { snapshot: one, names: [], depthMax: 0 };
    await assert.rejects(measureTree(access, options), NotFoundError);
  }
});

test('a missing chunk is an error, not a wrong figure', async (t) => {
  const { client } = await newDamaged(t);
  const { storage } = client.repository;
  const [pack] = await objectNames(storage, 'data/');
  await storage.delete(pack as string);

  const access = await openFixedAccess(client.repository);

  await assert.rejects(measureSnapshots(access, access.view.snapshots, {}), NotFoundError);
});

test('a snapshot that cannot be read is an error, not a wrong figure', async (t) => {
  const { client } = await newDamaged(t);
  const { storage } = client.repository;
  const [name] = (await objectNames(storage, 'snapshots/')) as [string];
  const bytes = (await storage.get(name)).slice();
  const last = bytes.length - 1;
  bytes[last] = (bytes[last] as number) ^ 1;
  await replaceObject(storage, name, bytes);

  const access = await openFixedAccess(client.repository);

  assert.equal(access.view.snapshots.length, 1);
  await assert.rejects(measureSnapshots(access, access.view.snapshots, {}), CorruptionError);
});

test('measureSnapshots() ends when it is cancelled', async (t) => {
  const { client } = await newDamaged(t);
  const controller = new AbortController();
  const { signal } = controller;
  const access = await openFixedAccess(client.repository, { signal });

  controller.abort();

  const sizes = measureSnapshots(access, access.view.snapshots, { signal });
  await assert.rejects(sizes, { name: 'AbortError' });
});
