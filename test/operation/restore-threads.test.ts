/** Restores by worker threads: what is planned apart comes together, and what fails, fails alone. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { linkSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { TargetError } from '../../src/errors.ts';
import { openReadAccess } from '../../src/repository/read-access.ts';
import { nodeTargetFs } from '../../src/restore/target-fs.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { compareTrees } from '../helpers/compare-trees.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import {
  type Client,
  namesOf,
  newDirectoryStorage,
  openClient,
  replaceObject,
  restore,
  snapshot,
  type Taken,
} from '../helpers/test-repository.ts';

interface Saved {
  readonly top: string;
  readonly target: string;
  readonly storage: Storage;
  readonly taken: Taken;
  /** A client of its own, with threads. */
  readonly client: Client;
}

async function save(t: TestContext, make: (top: string) => void): Promise<Saved> {
  const [top, target] = [join(tempDir(t), 'top'), join(tempDir(t), 'target')];
  mkdirSync(top);
  make(top);
  const storage = await newDirectoryStorage(t);
  const writer = await openClient(t, storage);
  // Small packs, so that there are some.
  const { config } = writer.repository;
  const pack = { ...config.pack, dataTarget: 2 ** 22 };
  const repository = { ...writer.repository, config: { ...config, pack } };
  const taken = await snapshot({ ...writer, repository }, [top]);
  return { top, target, storage, taken, client: await openClient(t, storage, { jobs: 2 }) };
}

/** Names below a directory, of any depth. */
function allNames(path: string): string[] {
  return readdirSync(path, { recursive: true, encoding: 'utf8' });
}

function demandNothingUnfinished(path: string): void {
  assert.deepEqual(
    allNames(path).filter((name) => name.includes('.varve-')),
    [],
  );
}

test('threads restore large files, many small ones, shared chunks and links', async (t) => {
  const random = seededRandom();
  const shared = random.bytes(3_000_000);
  const { top, target, taken, client } = await save(t, (path) => {
    for (let i = 0; i < 2000; i++) {
      const directory = join(path, `d${i % 40}`);
      mkdirSync(directory, { recursive: true });
      writeFileSync(join(directory, `file${i}`), random.bytes(i % 700));
    }
    writeFileSync(join(path, 'large'), Buffer.concat([random.bytes(9_000_000), shared]));
    for (let i = 0; i < 5; i++) {
      const around = [random.bytes(100_000), shared, random.bytes(50_000)];
      writeFileSync(join(path, `d${i}`, 'shared'), Buffer.concat(around));
      // Before and behind the first name, in directories that are long done by then.
      linkSync(join(path, `d${i}`, 'shared'), join(path, `d${39 - i}`, 'another name'));
      linkSync(join(path, `d${i}`, 'shared'), join(path, `d${i}`, 'a name'));
      symlinkSync('shared', join(path, `d${i}`, 'symlink'));
    }
  });

  const restored = await restore(client, { ...taken, path: top }, target);

  assert.deepEqual(restored.problems, []);
  assert.equal(restored.files, 2000 + 1 + 15);
  assert.equal(restored.directories, 40);
  assert.equal(restored.others, 5);
  assert.deepEqual(compareTrees(top, target), []);
});

test('a damaged frame costs the files that need it and no others', async (t) => {
  const random = seededRandom();
  const fileCount = 1500;
  const { top, target, storage, taken, client } = await save(t, (path) => {
    for (let i = 0; i < fileCount; i++) writeFileSync(join(path, `${i}`), random.bytes(4000));
    writeFileSync(join(path, 'large'), random.bytes(6_000_000));
  });
  const access = await openReadAccess(client.repository);
  const framesOf = async (
    name: string,
  ): Promise<{ pack: string; offset: number; key: string }[]> => {
    const found = await access.find(taken.snapshot.manifest.root, namesOf(join(top, name)));
    assert(found?.type === 'f' && found.content !== undefined);
    const frames = [];
    for await (const chunks of access.chunks(found.content)) {
      for (const { id } of chunks) {
        const location = id && access.locateChunk(id);
        assert(location !== undefined);
        const { pack, frame } = location;
        const { offset, storedSize } = frame;
        const at = offset + Math.floor(storedSize / 2);
        frames.push({ pack: pack.name, offset: at, key: `${pack.name} ${offset}` });
      }
    }
    return frames;
  };
  const [damaged] = await framesOf('750');
  assert(damaged !== undefined);
  const expected: string[] = [];
  for (const name of readdirSync(top)) {
    if ((await framesOf(name)).some(({ key }) => key === damaged.key)) expected.push(name);
  }
  assert.ok(expected.length > 50 && expected.length < fileCount / 2, `${expected.length} files`);
  const object = `data/${damaged.pack.slice(0, 2)}/${damaged.pack}`;
  const bytes = await storage.get(object);
  bytes[damaged.offset] = (bytes[damaged.offset] as number) ^ 1;
  await replaceObject(storage, object, bytes);

  const restored = await restore(client, { ...taken, path: top }, target);

  const lost = restored.problems.map(({ path }) => Buffer.from(path).toString());
  assert.deepEqual(lost.sort(), expected.map((name) => join(target, name)).sort());
  assert.deepEqual(new Set(restored.problems.map(({ error }) => error.code)), new Set(['CORRUPT']));
  assert.deepEqual(
    compareTrees(top, target).sort(),
    expected.map((name) => `${name}: missing`).sort(),
  );
  demandNothingUnfinished(target);
});

test('a full disk costs the files that do not fit, each with its reason', async (t) => {
  // Hooks run in the order they were given: nothing is mounted in there when it is removed.
  const unmount = { path: '' };
  t.after(() => spawnSync('umount', [unmount.path]));
  const full = join(tempDir(t), 'full');
  mkdirSync(full);
  const mount = ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', full];
  if (spawnSync('mount', mount).status !== 0) {
    t.skip('nobody here may mount a file system');
    return;
  }
  unmount.path = full;
  const random = seededRandom();
  const { top, taken, client } = await save(t, (path) => {
    for (let i = 0; i < 200; i++) writeFileSync(join(path, `${i}`), random.bytes(60_000));
    writeFileSync(join(path, 'large'), random.bytes(12_000_000));
  });

  const restored = await restore(client, { ...taken, path: top }, join(full, 'target'));

  const names = readdirSync(join(full, 'target'));
  assert.equal(restored.errorCount, 201 - names.length);
  assert.ok(restored.errorCount > 0);
  for (const { error, path } of restored.problems) {
    assert(error instanceof TargetError);
    assert.deepEqual([error.reason, error.operation], ['no_space', 'write']);
    assert.ok(
      error.message.includes(`"${Buffer.from(path)}": no space left on device`),
      error.message,
    );
  }
  demandNothingUnfinished(join(full, 'target'));
});

test('a cancelled restore leaves no unfinished file', async (t) => {
  const random = seededRandom();
  const { top, target, taken, client } = await save(t, (path) => {
    for (let i = 0; i < 300; i++) writeFileSync(join(path, `${i}`), random.bytes(30_000));
    writeFileSync(join(path, 'large'), random.bytes(30_000_000));
  });
  const controller = new AbortController();

  const cancelled = restore(
    client,
    {
      ...taken,
      path: top,
      signal: controller.signal,
      onProgress: ({ bytesDone }) => {
        if (bytesDone > 0) controller.abort();
      },
    },
    target,
  );

  await assert.rejects(cancelled, { name: 'AbortError' });
  demandNothingUnfinished(target);
  assert.equal(readdirSync(target).includes('large'), false);
});

test('a file that cannot be made costs its directory nothing', async (t) => {
  const { top, target, taken, client } = await save(t, (path) => {
    mkdirSync(join(path, 'd'));
    for (let i = 0; i < 20; i++) writeFileSync(join(path, 'd', `${i}`), 'content');
  });
  let count = 0;
  const createFile = (path: Uint8Array): number => {
    if (++count === 5) throw Object.assign(new Error('EDQUOT'), { code: 'EDQUOT' });
    return nodeTargetFs.createFile(path);
  };

  const from = { ...taken, path: top, fs: { ...nodeTargetFs, createFile } };
  const restored = await restore(client, from, target);

  assert.equal(restored.problems.length, 1);
  const [problem] = restored.problems;
  assert(problem?.error instanceof TargetError);
  assert.equal(problem.error.reason, 'no_space');
  assert.deepEqual(problem.error.path, problem.path);
  const name = Buffer.from(problem.path)
    .toString()
    .slice(target.length + 1);
  assert.deepEqual(compareTrees(top, target), [`${name}: missing`]);
});
