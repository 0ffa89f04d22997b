/**
 * Snapshots that keep new chunks as deltas: less is stored, everything restores byte for byte, and no
 * choice of a base ever changes what a snapshot is. With threads and without.
 */
import assert from 'node:assert/strict';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import type { Similarity } from '../../src/backup/take-snapshot.ts';
import { openFixedAccess } from '../../src/repository/read-access.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { concatBytes, toHex } from '../../src/util/bytes.ts';
import { onFailpoint } from '../../src/util/failpoint.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { edited, inserted, textOf } from '../helpers/similar-versions.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import {
  type Client,
  check,
  newClient,
  newDirectoryStorage,
  newStorage,
  openClient,
  restore,
  snapshot,
  type Taken,
} from '../helpers/test-repository.ts';

/** Content by path below the source. */
type Tree = ReadonlyMap<string, Uint8Array>;

/** Puts a tree where another one was. */
function writeTree(source: string, tree: Tree): void {
  rmSync(source, { recursive: true, force: true });
  for (const [path, content] of tree) {
    mkdirSync(dirname(join(source, path)), { recursive: true });
    writeFileSync(join(source, path), content);
  }
}

function assertTree(directory: string, tree: Tree): void {
  const found = readdirSync(directory, { recursive: true })
    .map(String)
    .filter((path) => statSync(join(directory, path)).isFile());
  assert.deepEqual(found.sort(), [...tree.keys()].sort());
  for (const [path, content] of tree) {
    const isSame = Buffer.compare(readFileSync(join(directory, path)), content) === 0;
    assert.ok(isSame, `content of ${path}`);
  }
}

async function assertRestores(
  client: Client,
  from: { taken: Taken; source: string; tree: Tree },
): Promise<void> {
  const target = mkdtempSync(join(dirname(from.source), 'target-'));
  const { problems } = await restore(client, { ...from.taken, path: from.source }, target);
  assert.deepEqual(problems, []);
  assertTree(target, from.tree);
}

async function assertSound(client: Client): Promise<void> {
  assert.deepEqual((await check(client, true)).findings, []);
  assert.deepEqual(client.notices, []);
}

/** Of all stored chunks, in the order in which they were stored. */
async function depthsOf({ repository }: Client): Promise<number[]> {
  const { sync } = await openFixedAccess(repository);
  const packs = [...sync.index.packs()].sort((a, b) => a.packNo - b.packNo);
  return packs.flatMap(({ packNo }) => {
    const chunks = sync.index.directory(packNo)?.blobs.filter(({ type }) => type === 1) ?? [];
    return chunks.map(({ delta }) => delta?.depth ?? 0);
  });
}

test('a file of many chunks that shrinks to one has a hint', async (t) => {
  const client = await newClient(t);
  const source = join(tempDir(t), 'source');
  // Random bytes have no features: nothing but the hint leads to them.
  const long = seededRandom(7).bytes(600_000);
  const tree = new Map([['file', edited(long.subarray(0, 9000), 1)]]);
  writeTree(source, new Map([['file', long]]));
  const before = await snapshot(client, [source]);

  writeTree(source, tree);
  const taken = await snapshot(client, [source]);

  assert.equal(before.deltaBlobs, 0);
  assert.equal(taken.deltaBlobs, 1);
  await assertRestores(client, { taken, source, tree });
  await assertSound(client);
});

function withDepthMax(client: Client, deltaDepthMax: number): Client {
  const { repository } = client;
  return {
    ...client,
    repository: { ...repository, config: { ...repository.config, deltaDepthMax } },
  };
}

/** Four versions of a tree whose files change in all the ways that files do. */
function versionsOfTree(): Tree[] {
  let large = textOf(1, 1_200_000);
  let moved = textOf(2, 300_000);
  const shrinking = textOf(3, 400_000);
  let encrypted = seededRandom(4).bytes(600_000);
  const small = Array.from({ length: 8 }, (_, i) => textOf(10 + i, 1000 + i * 8000));
  const versions: Tree[] = [];
  for (let version = 0; version < 4; version++) {
    versions.push(
      new Map([
        ['large', large],
        [`moved-${version}`, moved],
        ['shrinking', edited(shrinking.subarray(0, version === 0 ? 400_000 : 15_000), version)],
        ['encrypted', encrypted],
        ['same', textOf(5, 50_000)],
        ...small.map((content, i): [string, Uint8Array] => [`small/${i}`, content]),
      ]),
    );
    const salt = 100 * (version + 1);
    large = inserted(edited(large, salt, 8), salt);
    moved = edited(moved, salt, 2);
    encrypted = concatBytes(edited(encrypted, salt), seededRandom(salt).bytes(20_000));
    for (let i = 0; i < small.length; i++) {
      small[i] = edited(small[i] as Uint8Array, salt + i);
    }
  }
  return versions;
}

for (const jobs of [0, 3]) {
  test(`versions of a tree take little and restore byte for byte, with ${jobs} threads`, async (t) => {
    const versions = versionsOfTree();
    const source = join(tempDir(t), 'source');
    const open = async (storage: Storage): Promise<Client> =>
      await openClient(t, storage, { jobs });
    const storages = {
      on: await newDirectoryStorage(t),
      off: await newDirectoryStorage(t),
    };
    const clients = { on: await open(storages.on), off: await open(storages.off) };
    const sizes = { on: 0, off: 0 };
    const taken: Taken[] = [];

    for (const tree of versions) {
      writeTree(source, tree);
      for (const similarity of ['on', 'off'] as const) {
        const one = await snapshot(clients[similarity], [source], { similarity });
        if (taken.length > 0) sizes[similarity] += one.storedBytes;
        if (similarity === 'off') assert.equal(one.deltaBlobs, 0);
        else taken.push(one);
      }
    }

    for (const { deltaBlobs, deltaBytes, deltaEncodedBytes } of taken.slice(1)) {
      assert.ok(deltaBlobs > 10, `${deltaBlobs} deltas`);
      assert.ok(deltaEncodedBytes < deltaBytes / 10, `${deltaBytes} in ${deltaEncodedBytes}`);
    }
    assert.ok(sizes.on < sizes.off / 4, `${sizes.on} bytes instead of ${sizes.off}`);
    for (const reading of [0, 3]) {
      const client = await openClient(t, storages.on, { jobs: reading });
      for (const [i, tree] of versions.entries()) {
        await assertRestores(client, { taken: taken[i] as Taken, source, tree });
      }
      await assertSound(client);
    }
  });
}

/** Versions of a file of one chunk, each with one place changed. */
function versionsOfFile(count: number, salt = 50, size = 12_000): Tree[] {
  const versions: Tree[] = [];
  let content = textOf(salt, size);
  for (let i = 0; i < count; i++) {
    versions.push(new Map([['file', content]]));
    content = edited(content, salt + i + 1);
  }
  return versions;
}

// A chain at its limit starts anew on its ancestor of depth 2, or as near to that as it may.
for (const [depthMax, how, expected] of [
  [8, 'a hint', [0, 1, 2, 3, 4, 5, 6, 7, 8, 3, 4, 5]],
  [8, 'features', [0, 1, 2, 3, 4, 5, 6, 7, 8, 3, 4, 5]],
  [2, 'a hint', [0, 1, 2, 2, 2]],
  [1, 'features', [0, 1, 1, 1]],
  [0, 'a hint', [0, 0, 0]],
] as const) {
  test(`a chain of deltas by ${how} is at most ${depthMax} deep`, async (t) => {
    const source = join(tempDir(t), 'source');
    const client = withDepthMax(await newClient(t), depthMax);
    const versions = versionsOfFile(expected.length);
    const taken: Taken[] = [];

    for (const tree of versions) {
      writeTree(source, tree);
      // Without a parent there are features only.
      taken.push(await snapshot(client, [source], { isForced: how === 'features' }));
    }

    assert.deepEqual(await depthsOf(client), expected);
    for (const [i, tree] of versions.entries()) {
      await assertRestores(client, { taken: taken[i] as Taken, source, tree });
    }
    await assertSound(client);
  });
}

test('a repository goes on with any similarity and depth after any other', async (t) => {
  const source = join(tempDir(t), 'source');
  const client = await newClient(t);
  const settings: readonly [Similarity, number][] = [
    ['on', 8],
    ['on', 8],
    ['off', 8],
    ['local', 8],
    ['on', 1],
    ['on', 0],
    ['on', 8],
  ];
  const versions = versionsOfFile(settings.length);
  const deltaCounts: number[] = [];
  const taken: Taken[] = [];

  for (const [i, [similarity, depthMax]] of settings.entries()) {
    writeTree(source, versions[i] as Tree);
    const one = await snapshot(withDepthMax(client, depthMax), [source], { similarity });
    deltaCounts.push(one.deltaBlobs);
    taken.push(one);
  }

  assert.deepEqual(deltaCounts, [0, 1, 0, 1, 1, 0, 1]);
  for (const [i, tree] of versions.entries()) {
    await assertRestores(client, { taken: taken[i] as Taken, source, tree });
  }
  await assertSound(client);
});

test('clients with caches of their own find bases in what the others stored', async (t) => {
  const storage = await newStorage();
  const clients = [await openClient(t, storage), await openClient(t, storage)] as const;
  const source = join(tempDir(t), 'source');
  const versions = versionsOfFile(6, 60);
  const taken: Taken[] = [];

  for (const [i, tree] of versions.entries()) {
    writeTree(source, tree);
    // Every other time without a parent, so that only the table can tell.
    const isForced = i % 4 > 1;
    taken.push(await snapshot(clients[i % 2] as Client, [source], { isForced }));
  }

  assert.deepEqual(
    taken.map(({ deltaBlobs }) => deltaBlobs),
    [0, 1, 1, 1, 1, 1],
  );
  for (const client of clients) {
    for (const [i, tree] of versions.entries()) {
      await assertRestores(client, { taken: taken[i] as Taken, source, tree });
    }
    await assertSound(client);
  }
});

test('clients that write at the same time make deltas on what is durable for each', async (t) => {
  const storage = await newStorage();
  const top = tempDir(t);
  const versions = versionsOfFile(4, 70, 200_000);
  const source = join(top, 'source');
  writeTree(source, versions[0] as Tree);
  const first = await openClient(t, storage);
  await snapshot(first, [source]);
  const clients = await Promise.all([1, 2, 3].map(() => openClient(t, storage)));
  const sources = clients.map((_, i) => {
    const path = join(top, `source${i}`, 'source');
    writeTree(path, versions[i + 1] as Tree);
    return path;
  });

  const taken = await Promise.all(clients.map((one, i) => snapshot(one, [sources[i] as string])));

  // Whoever comes last may find all of its chunks stored by the others.
  assert.ok(taken.some(({ deltaBlobs }) => deltaBlobs > 0));
  for (const [i, one] of taken.entries()) {
    const tree = versions[i + 1] as Tree;
    await assertRestores(first, { taken: one, source: sources[i] as string, tree });
  }
  await assertSound(first);
});

test('a lost cache costs no base', async (t) => {
  const storage = await newStorage();
  const home = tempDir(t);
  const source = join(tempDir(t), 'source');
  const versions = versionsOfFile(3, 80, 150_000);
  const taken: Taken[] = [];

  for (const tree of versions) {
    writeTree(source, tree);
    const client = await openClient(t, storage, { home });
    taken.push(await snapshot(client, [source], { isForced: true }));
    await client.repository.close();
    rmSync(client.cacheDirectory, { recursive: true });
  }

  assert.ok(taken.slice(1).every(({ deltaBlobs }) => deltaBlobs > 0));
  const client = await openClient(t, storage);
  for (const [i, tree] of versions.entries()) {
    await assertRestores(client, { taken: taken[i] as Taken, source, tree });
  }
  await assertSound(client);
});

test('a process that ends between its commit and keeping the table costs no base', async (t) => {
  const storage = await newStorage();
  const home = tempDir(t);
  const source = join(tempDir(t), 'source');
  const versions = versionsOfFile(3, 90);
  t.after(() => onFailpoint(undefined));
  const dying = await openClient(t, storage, { home });
  writeTree(source, versions[0] as Tree);
  await snapshot(dying, [source]);
  writeTree(source, versions[1] as Tree);
  const death = new Error('the process ends here');
  onFailpoint((name) => {
    if (name === 'session.7.after') throw death;
  });
  await assert.rejects(snapshot(dying, [source]), death);
  onFailpoint(undefined);
  await dying.repository.close();

  const client = await openClient(t, storage, { home });
  writeTree(source, versions[2] as Tree);
  const taken = await snapshot(client, [source], { isForced: true });

  assert.equal(taken.deltaBlobs, 1);
  const depths = await depthsOf(client);
  assert.deepEqual(depths, [0, 1, 2], 'on what the process had stored before it ended');
  await assertRestores(client, { taken, source, tree: versions[2] as Tree });
  await assertSound(client);
});

test('data that is not compressed becomes deltas where its previous version is known', async (t) => {
  const source = join(tempDir(t), 'source');
  const client = await newClient(t);
  let encrypted = seededRandom(400).bytes(500_000);
  writeTree(source, new Map([['file', encrypted]]));
  await snapshot(client, [source]);
  const deltas: number[] = [];
  const taken: Taken[] = [];
  const trees: Tree[] = [];

  for (const [i, isForced] of [false, true, false].entries()) {
    const edit = edited(encrypted, 401 + 10 * i, 4);
    encrypted = concatBytes(edit, seededRandom(402 + i).bytes(30_000));
    trees.push(new Map([['file', encrypted]]));
    writeTree(source, trees[i] as Tree);
    taken.push(await snapshot(client, [source], { isForced }));
    deltas.push((taken[i] as Taken).deltaBlobs);
  }

  assert.ok((deltas[0] as number) > 0, 'in its place');
  assert.equal(deltas[1], 0, 'it has no features');
  assert.ok((deltas[2] as number) > 0, 'in its place');
  for (const [i, tree] of trees.entries()) {
    await assertRestores(client, { taken: taken[i] as Taken, source, tree });
  }
  await assertSound(client);
});

/** Pieces of a file, in any order and number. */
const pieces = Array.from({ length: 8 }, (_, i) => textOf(200 + i, 70_000));
const whole = concatBytes(...pieces);
const changesOfFile: Readonly<Record<string, Uint8Array>> = {
  'cut off': whole.subarray(0, 300_000),
  'cut to one chunk': edited(whole.subarray(0, 10_000), 301),
  'cut at its start': edited(whole.subarray(222_222), 302, 5),
  grown: edited(concatBytes(whole, textOf(303, 100_000)), 303, 5),
  shuffled: edited(concatBytes(...pieces.toReversed()), 304, 5),
  doubled: edited(concatBytes(whole, whole), 305, 9),
  replaced: textOf(306, 500_000),
  'replaced by flat data': seededRandom(307).bytes(400_000),
  'the same but for little': edited(whole, 308, 3),
};

for (const [how, content] of Object.entries(changesOfFile)) {
  test(`a previous version that was ${how} changes how chunks are stored, and not which`, async (t) => {
    const source = join(tempDir(t), 'source');
    const client = await newClient(t);
    writeTree(source, new Map([['file', whole]]));
    await snapshot(client, [source]);
    const tree = new Map([['file', content]]);
    writeTree(source, tree);

    const on = await snapshot(client, [source]);
    const off = await snapshot(client, [source], { similarity: 'off', isForced: true });

    assert.equal(off.newBlobs, 0, 'all was stored');
    const roots = [on, off].map(({ snapshot: { manifest } }) => toHex(manifest.root.id));
    assert.equal(roots[0], roots[1]);
    await assertRestores(client, { taken: on, source, tree });
    await assertSound(client);
  });
}
