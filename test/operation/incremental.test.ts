/** Snapshots that take from their parent what has not changed: never another tree, never a lost blob. */
import assert from 'node:assert/strict';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Snapshot } from '../../src/snapshot/selection.ts';
import { toHex } from '../../src/util/bytes.ts';
import type { SourceFs } from '../../src/walk/source-fs.ts';
import { memorySource, type SourceTree } from '../helpers/memory-source.ts';
import { b } from '../helpers/raw-path.ts';
import { RecordWriter } from '../helpers/record-writer.ts';
import { SOURCE_ROOT } from '../helpers/repository-crash.ts';
import { seededRandom, testSeed } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import {
  type Client,
  check,
  inScope,
  newClient,
  objects,
  restore,
  snapshot,
  sourceFs,
  type Taken,
} from '../helpers/test-repository.ts';

function rootOf({ snapshot: { manifest } }: Taken): string {
  const { id, height, entries, bytes } = manifest.root;
  return `${toHex(id)} ${height} ${entries} ${bytes}`;
}

/** The source, counting the files that are opened. */
function counting(fs: SourceFs = sourceFs): { fs: SourceFs; opened: string[] } {
  const opened: string[] = [];
  const openFile: SourceFs['openFile'] = (path) => {
    opened.push(Buffer.from(path).toString());
    return fs.openFile(path);
  };
  return { fs: { ...fs, openFile }, opened };
}

/** A few names at a few depths, so that directories come, go and become files. */
const treeArbitrary: fc.Arbitrary<SourceTree> = fc
  .dictionary(
    fc.constantFrom('a', 'b', 'b/x', 'b/y', 'c/d/e', 'c/d/f', 'c/g', 'd', 'e/long', 'z'),
    fc.oneof(
      fc.record({ salt: fc.nat(3), size: fc.constantFrom(0, 1, 500, 90_000) }),
      fc.record({ target: fc.constantFrom('x', 'y') }),
    ),
  )
  .map((entries) => {
    const tree: Record<string, SourceTree[string]> = { [`${SOURCE_ROOT}/0`]: new Uint8Array(1) };
    for (const [name, entry] of Object.entries(entries)) {
      const isInside = Object.keys(entries).some((other) => name.startsWith(`${other}/`));
      if (isInside) continue;
      tree[`${SOURCE_ROOT}/${name}`] =
        'target' in entry ? entry : seededRandom(entry.salt).bytes(entry.size);
    }
    return tree;
  });

/** The same calls as those of a class, on its object. */
function asSourceFs(tree: SourceTree): SourceFs {
  const source = memorySource(tree);
  return {
    stat: (path) => source.stat(path),
    lstat: (path) => source.lstat(path),
    lstatIn: (directory, name) => source.lstatIn(directory, name),
    fstat: (fd) => source.fstat(fd),
    openDirectory: (path) => source.openDirectory(path),
    openDirectoryIn: (directory, name) => source.openDirectoryIn(directory, name),
    readLinkIn: (directory, name) => source.readLinkIn(directory, name),
    list: (directory) => source.list(directory),
    readLink: (path) => source.readLink(path),
    openFile: (path) => source.openFile(path),
    read: (fd, target, position) => source.read(fd, target, position),
    nextHole: (fd, offset) => source.nextHole(fd, offset),
    nextData: (fd, offset) => source.nextData(fd, offset),
    listAttributes: (place) => source.listAttributes(place),
    getAttribute: (place, name) => source.getAttribute(place, name),
    flags: (fd) => source.flags(fd),
    close: (fd) => source.close(fd),
  };
}

test('a snapshot with a parent has the tree that one without has', {
  timeout: 300_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(treeArbitrary, { minLength: 2, maxLength: 4 }), (trees) =>
      inScope(async (scope) => {
        const client = await newClient(scope);
        for (const [i, tree] of trees.entries()) {
          const { fs, opened } = counting(asSourceFs(tree));
          const taken = await snapshot(client, [SOURCE_ROOT], { fs });
          const forced = await snapshot(client, [SOURCE_ROOT], {
            fs: asSourceFs(tree),
            isForced: true,
          });

          assert.equal(rootOf(taken), rootOf(forced));
          assert.equal(forced.newBlobs, 0);
          assert.equal(taken.filesNew + taken.filesChanged, opened.length);
          assert.equal(taken.files, forced.files);
          assert.equal(taken.parent === undefined, i === 0);
          assert.equal(forced.parent, undefined);
        }
        assert.deepEqual((await check(client, true)).findings, []);
      }),
    ),
    { seed: testSeed, numRuns: 60 },
  );
});

/** A client with a tree of 60 files in 6 directories on the disk, saved once. */
async function savedTree(t: Parameters<typeof newClient>[0] & Parameters<typeof tempDir>[0]) {
  const source = tempDir(t);
  for (let i = 0; i < 60; i++) {
    const directory = join(source, `directory-${i % 6}`);
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, `file-${i}`), seededRandom(i).bytes(2000 + 100 * i));
  }
  const client = await newClient(t);
  return { client, source, first: await snapshot(client, [source]) };
}

test('an unchanged tree is not opened, and its root is taken over', async (t) => {
  const { client, source, first } = await savedTree(t);
  const { fs, opened } = counting();

  const second = await snapshot(client, [source], { fs });

  assert.deepEqual(opened, []);
  assert.equal(rootOf(second), rootOf(first));
  assert.equal(second.filesUnchanged, 60);
  assert.equal(second.newBlobs, 0);
  assert.equal(second.bytesRead, 0n);
  assert.equal(second.bytes, first.bytes);
  assert.equal(second.parent, first.id);
});

test('only what has changed is read, wherever it lies', async (t) => {
  const { client, source } = await savedTree(t);
  writeFileSync(join(source, 'directory-3', 'file-9'), 'other');
  writeFileSync(join(source, 'directory-5', 'new'), 'new');
  rmSync(join(source, 'directory-0', 'file-0'));
  renameSync(join(source, 'directory-1'), join(source, 'renamed'));
  const { fs, opened } = counting();

  const second = await snapshot(client, [source], { fs });

  const expected = ['directory-3/file-9', 'directory-5/new'];
  for (let i = 1; i < 60; i += 6) expected.push(`renamed/file-${i}`);
  assert.deepEqual(opened.sort(), expected.map((name) => join(source, name)).sort());
  const { filesNew, filesChanged, filesUnchanged } = second;
  assert.deepEqual(
    { filesNew, filesChanged, filesUnchanged },
    { filesNew: 11, filesChanged: 1, filesUnchanged: 48 },
  );
  assert.equal(rootOf(second), rootOf(await snapshot(client, [source], { isForced: true })));
});

test("a source that is not the system's is read as it is given, whatever the number of threads", async (t) => {
  const { client, source, first } = await savedTree(t);
  const { fs, opened } = counting();
  const repository = { ...client.repository, jobs: 2 };

  const forced = await snapshot({ ...client, repository }, [source], { fs, isForced: true });

  assert.equal(opened.length, 60);
  assert.equal(rootOf(forced), rootOf(first));
});

test('isForced reads every file and finds nothing new', async (t) => {
  const { client, source, first } = await savedTree(t);
  const { fs, opened } = counting();

  const forced = await snapshot(client, [source], { fs, isForced: true });

  assert.equal(opened.length, 60);
  assert.equal(forced.newBlobs, 0);
  assert.equal(rootOf(forced), rootOf(first));
});

test('the parent is the newest of the same host and source, unless another is named', async (t) => {
  const { client, source, first } = await savedTree(t);
  const second = await snapshot(client, [source]);
  const elsewhere = await snapshot(client, [source], { host: b('another') });
  const named = await snapshot(client, [source], { source: b('named') });
  const past = await snapshot(client, [source], { timeNs: 5n });

  assert.equal(second.parent, first.id);
  assert.equal(elsewhere.parent, undefined);
  assert.equal(named.parent, undefined);
  assert.equal(past.parent, undefined);
  assert.equal(past.snapshot.manifest.startedNs, 5n);
  assert.equal(past.snapshot.manifest.endedNs, 5n);
  assert.deepEqual(second.snapshot.manifest.parents, [first.id]);
  assert.equal((await snapshot(client, [source])).parent, second.id);
  assert.equal((await snapshot(client, [source], { parent: first.id })).parent, first.id);
  assert.equal(
    (await snapshot(client, [source], { parent: named.id.slice(0, 8) })).parent,
    named.id,
  );
  await assert.rejects(snapshot(client, [source], { parent: 'f'.repeat(32) }), {
    code: 'NOT_FOUND',
  });
});

test('a dry run says what a snapshot would store, and writes nothing', async (t) => {
  const { client, source } = await savedTree(t);
  const { storage } = client.repository;
  writeFileSync(join(source, 'directory-2', 'file-2'), seededRandom(99).bytes(300_000));
  const before = await objects(storage);
  const calls = { paths: [source], workingDirectory: '/', host: b('host'), user: b('user') };
  const { takeSnapshot } = await import('../../src/backup/take-snapshot.ts');

  const dry = await takeSnapshot(client.repository, {
    ...calls,
    timeZone: 'UTC',
    fs: sourceFs,
    isDryRun: true,
  });

  assert.deepEqual(await objects(storage), before);
  assert.equal(dry.id, '');
  const real = await snapshot(client, [source]);
  const { newBlobs, newBytes, filesChanged, filesUnchanged, bytesRead } = real;
  assert.deepEqual(
    { newBlobs, newBytes, filesChanged, filesUnchanged, bytesRead },
    {
      newBlobs: dry.newBlobs,
      newBytes: dry.newBytes,
      filesChanged: dry.filesChanged,
      filesUnchanged: dry.filesUnchanged,
      bytesRead: dry.bytesRead,
    },
  );
});

async function assertRestores(client: Client, taken: { snapshot: Snapshot }): Promise<void> {
  const scope = { after: () => {} };
  const target = tempDir(scope);
  try {
    assert.deepEqual((await restore(client, taken, join(target, 'restored'))).problems, []);
  } finally {
    rmSync(target, { recursive: true });
  }
}

test('unchanged files whose pack is lost are read and stored again', async (t) => {
  const { client, source } = await savedTree(t);
  const { storage } = client.repository;
  for (const name of (await objects(storage, 'meta/')).keys()) await storage.delete(name);

  const healed = await snapshot(client, [source]);

  assert.equal(healed.filesUnchanged, 0);
  await assertRestores(client, healed);
});

for (const isCounted of [true, false]) {
  test(`while a mark is pending that has ${isCounted ? '' : 'not '}counted the parent, nothing is lost`, async (t) => {
    const { client, source, first } = await savedTree(t);
    const writer = new RecordWriter(client.repository);
    const condemned = [...(await objects(client.repository.storage, 'meta/')).keys()];
    // A collector that did not count the parent may condemn what only the parent holds.
    await writer.mark(1, {
      condemned: isCounted ? [] : condemned.map((name) => name.slice('meta/00/'.length)),
      counted: isCounted ? [first.snapshot] : [],
    });

    const second = await snapshot(client, [source]);

    assert.equal(second.filesUnchanged, isCounted ? 60 : 0);
    for (const name of isCounted ? [] : condemned) await client.repository.storage.delete(name);
    await assertRestores(client, second);
  });
}

test('hard links are read once, and changed ones again', async (t) => {
  const source = tempDir(t);
  const { linkSync } = await import('node:fs');
  mkdirSync(join(source, 'a'));
  for (let i = 0; i < 300; i++)
    writeFileSync(join(source, 'a', `${i}`), seededRandom(i).bytes(20_000));
  for (let i = 0; i < 300; i++) linkSync(join(source, 'a', `${i}`), join(source, `b${i}`));
  const client = await newClient(t);
  const { fs, opened } = counting();

  const first = await snapshot(client, [source], { fs });

  // Names that come while the first one is still under way are read too; most come later.
  assert.ok(opened.length < 600, `${opened.length} files opened`);
  assert.equal(first.bytes, 600n * 20_000n);
  await assertRestores(client, first);
});
