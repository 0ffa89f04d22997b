/** Snapshots by worker threads: the same tree as without them, whatever becomes of a thread. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { initRepository, openRepository, type Repository, type Snapshot } from '../../src/index.ts';
import { toHex } from '../../src/util/bytes.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';

interface World {
  readonly source: string;
  readonly location: string;
  open(jobs: number): Promise<Repository>;
}

/** 700 small files, some equal, and two large ones: one random, one that repeats. */
function makeSource(source: string): void {
  for (let i = 0; i < 700; i++) {
    const directory = join(source, `directory-${i % 7}`);
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, `file-${i}`), seededRandom(i % 500).bytes(1 + 97 * i));
  }
  writeFileSync(join(source, 'large'), seededRandom(1000).bytes(19_000_000));
  const piece = seededRandom(1001).bytes(300_001);
  writeFileSync(join(source, 'repeating'), Buffer.concat(Array(45).fill(piece)));
  writeFileSync(join(source, 'zeros'), new Uint8Array(13_000_000));
}

async function newWorld(t: TestContext): Promise<World> {
  const directory = tempDir(t);
  const source = join(directory, 'source');
  const location = join(directory, 'repository');
  makeSource(source);
  await initRepository({ location, isInsecure: true });
  const open = async (jobs: number): Promise<Repository> => {
    const repository = await openRepository({
      location,
      jobs,
      cacheDirectory: join(directory, 'cache'),
      stateDirectory: join(directory, 'state'),
    });
    t.after(() => repository.close());
    return repository;
  };
  return { source, location, open };
}

/** Id of the root page of a directory. */
async function directoryId(repository: Repository, snapshot: Snapshot, path: string) {
  for await (const { entry } of repository.list({ snapshot, path: dirname(path) })) {
    const isIt = Buffer.from(entry.name).toString() === basename(path);
    if (isIt && entry.type === 'd') return toHex(entry.directory?.id ?? new Uint8Array(0));
  }
  return assert.fail(`no ${path}`);
}

test('threads save the tree that the calling thread saves', async (t) => {
  const { source, open } = await newWorld(t);
  const threads = await open(3);

  const first = await threads.snapshot({ paths: [source] });
  await threads.close();
  const alone = await open(0);
  const second = await alone.snapshot({ paths: [source], isForced: true });

  const { snapshots } = await alone.snapshots();
  const roots = await Promise.all(snapshots.map((each) => directoryId(alone, each, source)));
  assert.equal(roots.length, 2);
  assert.equal(roots[0], roots[1]);
  // Directories above the source change with whatever else goes on in them: one page each.
  assert.ok(second.newBlobs <= source.split('/').length, `${second.newBlobs} new blobs`);
  assert.equal(first.files, 703);
  assert.deepEqual((await alone.check({ isReadingData: true })).findings, []);
});

test('cancelling while threads work leaves a sound repository without the snapshot', async (t) => {
  const { source, open } = await newWorld(t);
  const repository = await open(2);
  const controller = new AbortController();
  const reason = new Error('enough');

  const call = repository.snapshot({
    paths: [source],
    signal: controller.signal,
    onProgress: ({ filesDone }) => {
      if (filesDone > 300) controller.abort(reason);
    },
  });

  await assert.rejects(call, reason);
  assert.deepEqual((await repository.snapshots()).snapshots, []);
  assert.deepEqual((await repository.check({ isReadingData: true })).findings, []);
  await repository.snapshot({ paths: [source] });
  assert.deepEqual((await repository.check({ isReadingData: true })).findings, []);
});

test('a storage that fails in a thread fails the snapshot, by its class', async (t) => {
  const { source, location, open } = await newWorld(t);
  const repository = await open(2);
  // Packs cannot be written where a file stands in the way of their directory.
  writeFileSync(join(location, 'data'), 'in the way');

  await assert.rejects(repository.snapshot({ paths: [source] }), {
    name: 'StorageError',
    code: 'STORAGE',
  });
  assert.deepEqual((await repository.snapshots()).snapshots, []);
  assert.deepEqual(
    readdirSync(location).filter((name) => name === 'index'),
    [],
  );
});
