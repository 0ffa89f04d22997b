/** What `stats` tells, against numbers computed by hand and against a walk of its own. */
import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { BLOB_TYPE } from '../../src/blob/blob-type.ts';
import { listEntries } from '../../src/browse/list-entries.ts';
import { countSnapshots, type SnapshotStats } from '../../src/browse/stats.ts';
import { NotFoundError } from '../../src/errors.ts';
import type { BlobId } from '../../src/id.ts';
import { initRepository, openRepository, type Repository } from '../../src/index.ts';
import { beginSession } from '../../src/repository/begin-session.ts';
import { openFixedAccess, type ReadAccess } from '../../src/repository/read-access.ts';
import { measureStored } from '../../src/repository/stored-size.ts';
import type { Snapshot } from '../../src/snapshot/selection.ts';
import type { Content } from '../../src/tree/content.ts';
import type { DirectoryEntry, Node } from '../../src/tree/node.ts';
import { countEntry, PageWriter } from '../../src/tree/page.ts';
import { toHex } from '../../src/util/bytes.ts';
import { forgeSnapshot } from '../helpers/forged-trees.ts';
import { b } from '../helpers/raw-path.ts';
import { similarPlaintexts, storePack } from '../helpers/record-writer-packs.ts';
import { seededRandom, testSeed } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import { type Client, inScope, newClient, objects, snapshot } from '../helpers/test-repository.ts';
import { materialize, treeArbitrary } from '../helpers/tree-model.ts';

async function newRepository(t: TestContext): Promise<{ repository: Repository; source: string }> {
  const directory = tempDir(t);
  const location = join(directory, 'repository');
  const source = join(directory, 'source');
  mkdirSync(source);
  await initRepository({ location, isInsecure: true });
  const [cacheDirectory, stateDirectory] = [join(directory, 'cache'), join(directory, 'state')];
  const repository = await openRepository({ location, cacheDirectory, stateDirectory, jobs: 0 });
  t.after(() => repository.close());
  return { repository, source };
}

test('stats() counts files as often as they occur and blobs once', async (t) => {
  const { repository, source } = await newRepository(t);
  const random = seededRandom();
  const [first, second] = [random.bytes(1000), random.bytes(500)];
  mkdirSync(join(source, 'below'));
  for (const name of ['a', 'b', 'below/c']) writeFileSync(join(source, name), first);
  writeFileSync(join(source, 'below', 'empty'), '');
  symlinkSync('a', join(source, 'link'));
  await repository.snapshot({ paths: [source], host: 'one' });
  writeFileSync(join(source, 'd'), second);
  await repository.snapshot({ paths: [source], host: 'two' });
  const { snapshots } = await repository.snapshots();
  const above = source.split('/').length - 2;

  const all = await repository.stats();
  const [old, latest] = [
    await repository.stats({ snapshots: snapshots.slice(0, 1) }),
    await repository.stats({ snapshots: snapshots.slice(1) }),
  ];

  const counts = ({
    files,
    directories,
    others,
    rawSize,
    blobs,
    uniqueSize,
    deltaBlobs,
  }: typeof all) => ({ files, directories, others, rawSize, blobs, uniqueSize, deltaBlobs });
  const directories = above + 2;
  const common = { directories, others: 1, deltaBlobs: 0 };
  assert.deepEqual(counts(old), {
    ...common,
    files: 4,
    rawSize: 3000n,
    blobs: 1,
    uniqueSize: 1000,
  });
  const ofLatest = { files: 5, rawSize: 3500n, blobs: 2, uniqueSize: 1500 };
  assert.deepEqual(counts(latest), { ...common, ...ofLatest });
  assert.deepEqual(counts(all), {
    ...{ files: 9, directories: 2 * directories, others: 2 },
    ...{ rawSize: 6500n, blobs: 2, uniqueSize: 1500, deltaBlobs: 0 },
  });
  // Random bytes do not compress: each frame has one blob, as it is, and its tag.
  assert.equal(all.compressedSize, 1500 + 2 * 16);
  assert.equal(old.compressedSize, 1000 + 16);
  assert.deepEqual([old.snapshots, all.snapshots], [1, 2]);
  assert.equal(old.stored, undefined);
});

test('stats() tells what the repository takes: all of its objects', async (t) => {
  const { repository, source } = await newRepository(t);
  writeFileSync(join(source, 'a'), seededRandom().bytes(100_000));
  await repository.snapshot({ paths: [source] });
  const empty = await newClient(t);

  const { stored } = await repository.stats();

  assert.equal(stored?.packs, 1);
  assert.ok((stored?.storedSize ?? 0) > 100_000);
  const sizes = await objects(empty.repository.storage);
  const sum = [...sizes.values()].reduce((total, size) => total + size, 0);
  assert.deepEqual(await measureStored(empty.repository), { packs: 0, storedSize: sum });
});

test('stats() of no snapshots is nothing', async (t) => {
  const { repository } = await newRepository(t);

  const { snapshots, files, rawSize, uniqueSize, compressedSize } = await repository.stats();

  assert.deepEqual([snapshots, files, rawSize, uniqueSize, compressedSize], [0, 0, 0n, 0, 0]);
});

/** Counted in another way: every entry of every snapshot, and ids in a map. */
async function walkAll({ repository }: Client, snapshots: readonly Snapshot[]) {
  const access = await openFixedAccess(repository);
  const sums = { files: 0, directories: 0, others: 0, rawSize: 0n };
  const sizes = new Map<string, number>();
  for (const one of snapshots) {
    const everything = { snapshot: one, names: [], isRecursive: true };
    for await (const { entry } of listEntries(access, everything)) {
      sums[kindOf(entry)] += 1;
      sums.rawSize += entry.size ?? 0n;
      for (const [id, size] of await chunksOf(access, entry)) sizes.set(id, size);
    }
  }
  const uniqueSize = [...sizes.values()].reduce((sum, size) => sum + size, 0);
  return { ...sums, blobs: sizes.size, uniqueSize };
}

function kindOf({ type }: DirectoryEntry): 'files' | 'directories' | 'others' {
  if (type === 'f') return 'files';
  return type === 'd' ? 'directories' : 'others';
}

async function chunksOf(access: ReadAccess, entry: DirectoryEntry): Promise<[string, number][]> {
  const found: [string, number][] = [];
  if (entry.type !== 'f' || entry.content === undefined) return found;
  for await (const chunks of access.chunks(entry.content)) {
    for (const { id, length } of chunks) if (id) found.push([toHex(id), Number(length)]);
  }
  return found;
}

/** What a walk can count, too. */
function countedOf(stats: SnapshotStats) {
  const { files, directories, others, rawSize, blobs, uniqueSize } = stats;
  return { files, directories, others, rawSize, blobs, uniqueSize };
}

function assertLaws(stats: SnapshotStats): void {
  assert.ok(BigInt(stats.uniqueSize) <= stats.rawSize, 'unique <= raw');
  assert.ok(stats.deltaRawSize <= stats.uniqueSize, 'delta <= unique');
}

test('countSnapshots() agrees with a walk over all entries of any trees', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(treeArbitrary, { minLength: 1, maxLength: 3 }), (models) =>
      inScope(async (scope) => {
        const client = await newClient(scope);
        const taken: Snapshot[] = [];
        for (const model of models) {
          const source = tempDir(scope);
          materialize(source, model);
          taken.push((await snapshot(client, [source])).snapshot);
        }
        const access = await openFixedAccess(client.repository);

        const all = await countSnapshots(access, taken, {});
        const each: SnapshotStats[] = [];
        for (const one of taken) each.push(await countSnapshots(access, [one], {}));

        assert.deepEqual(countedOf(all), await walkAll(client, taken));
        assert.equal(all.snapshots, taken.length);
        for (const stats of [all, ...each]) assertLaws(stats);
        const { storedSize } = await measureStored(client.repository);
        assert.ok(all.compressedSize <= storedSize, 'compressed <= stored');
        for (const { uniqueSize } of each) assert.ok(uniqueSize <= all.uniqueSize);
        const rawSizes = each.reduce((sum, { rawSize }) => sum + rawSize, 0n);
        assert.equal(rawSizes, all.rawSize);
      }),
    ),
    { seed: testSeed, numRuns: 15 },
  );
});

test('countSnapshots() counts the chunks of large files, once', async (t) => {
  const client = await newClient(t);
  const source = tempDir(t);
  const random = seededRandom();
  const large = random.bytes(2_000_000);
  writeFileSync(join(source, 'a'), large);
  const first = await snapshot(client, [source]);
  large.set(random.bytes(100), 1_000_000);
  writeFileSync(join(source, 'b'), large);
  const second = await snapshot(client, [source]);
  const taken = [first.snapshot, second.snapshot];

  const stats = await countSnapshots(await openFixedAccess(client.repository), taken, {});

  assert.deepEqual(countedOf(stats), await walkAll(client, taken));
  assert.equal(stats.rawSize, 6_000_000n);
  assert.ok(stats.uniqueSize < 2_600_000 && stats.blobs > 10);
});

test('countSnapshots() tells what deltas leave of the unique bytes', async (t) => {
  const { repository } = await newClient(t);
  const plaintexts = similarPlaintexts(3);
  const [first, second, third] = plaintexts as [Uint8Array, Uint8Array, Uint8Array];
  const deltas = [
    { plaintext: second, delta: { base: first, depth: 1 } },
    { plaintext: third, delta: { base: second, depth: 2 } },
  ];
  const { length: rawSize } = first;
  await storePack(repository, [{ plaintext: first }, ...deltas]);
  const ids = plaintexts.map((plaintext) => repository.identify(BLOB_TYPE.data, plaintext));
  const pool = { ids, sizes: plaintexts.map(({ length }) => length) };
  await forgeSnapshot(repository, pool, [{ type: 'f', name: 'a', chunks: [0, 1, 2, 1] }]);
  const access = await openFixedAccess(repository);

  const stats = await countSnapshots(access, access.view.snapshots, {});

  const { uniqueSize, deltaBlobs, deltaRawSize, deltaStoredSize, compressedSize } = stats;
  assert.equal(stats.rawSize, BigInt(4 * rawSize));
  assert.deepEqual([uniqueSize, deltaBlobs, deltaRawSize], [3 * rawSize, 2, 2 * rawSize]);
  assert.ok(deltaStoredSize > 0 && deltaStoredSize < 200);
  assert.equal(compressedSize, rawSize + 16 + deltaStoredSize);
});

test('countSnapshots() says so when a chunk is nowhere', async (t) => {
  const { repository } = await newClient(t);
  const session = await beginSession(repository, { purpose: 'snapshot' });
  const id = seededRandom().bytes(32) as BlobId;
  const content: Content = { kind: 'blob', id, length: 7n };
  const node: Node = { name: b('file'), type: 'f', content, size: 7n };
  const page = new PageWriter('leaf');
  page.addNode(node);
  const rootId = await session.write(BLOB_TYPE.treePage, page.take());
  const root = { id: rootId, height: 0, ...countEntry(node) };
  const text = b('forged');
  await session.commit({
    ...{ root, startedNs: 0n, endedNs: 1n, timeZone: 'UTC', host: text, user: text, source: text },
    ...{ roots: [text], tags: [], parents: [], stats: {}, excludeHash: '' },
    ...{ errorCount: 0, errorSample: [], isPartial: false },
  });
  const access = await openFixedAccess(repository);

  const counted = countSnapshots(access, access.view.snapshots, {});

  await assert.rejects(counted, (error: unknown) => {
    assert.ok(error instanceof NotFoundError);
    assert.deepEqual([error.kind, error.which], ['data chunk', toHex(id)]);
    return true;
  });
});

test('countSnapshots() ends when it is cancelled', async (t) => {
  const client = await newClient(t);
  const source = tempDir(t);
  writeFileSync(join(source, 'a'), 'content');
  const { snapshot: taken } = await snapshot(client, [source]);
  const controller = new AbortController();
  const { signal } = controller;
  const access = await openFixedAccess(client.repository, { signal });

  controller.abort();

  await assert.rejects(countSnapshots(access, [taken], { signal }), { name: 'AbortError' });
});
