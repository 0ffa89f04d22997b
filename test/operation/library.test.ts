import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative as relativePath } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  checkRestorePatterns,
  initRepository,
  KeyError,
  NoRepositoryError,
  NotFoundError,
  type OnProgress,
  openRepository,
  printable,
  type Repository,
  RepositoryExistsError,
  type SnapshotFilter,
  TargetError,
} from '../../src/index.ts';
import { compareTrees } from '../helpers/compare-trees.ts';
import { tempDir } from '../helpers/temp-dir.ts';

interface Place {
  readonly location: string;
  readonly cacheDirectory: string;
  readonly stateDirectory: string;
  readonly source: string;
}

function newPlace(t: TestContext): Place {
  const top = tempDir(t);
  const source = join(top, 'source');
  mkdirSync(join(source, 'directory'), { recursive: true });
  writeFileSync(join(source, 'file'), 'content');
  writeFileSync(join(source, 'directory', 'other'), 'other content');
  return {
    location: join(top, 'repository'),
    cacheDirectory: join(top, 'cache'),
    stateDirectory: join(top, 'state'),
    source,
  };
}

async function newRepository(t: TestContext, place: Place): Promise<Repository> {
  await initRepository({ location: place.location, isInsecure: true });
  const repository = await openRepository(place);
  t.after(() => repository.close());
  return repository;
}

test('the library saves, lists, restores and checks a tree on disk', async (t) => {
  const place = newPlace(t);
  const { source } = place;
  const repository = await newRepository(t, place);
  const target = join(tempDir(t), 'target');
  const phases = new Set<string>();

  const taken = await repository.snapshot({
    paths: [source],
    tags: ['daily'],
    onProgress: ({ phase }) => phases.add(phase),
  });
  const snapshot = await repository.select('latest', { tag: 'daily' });
  const paths: string[] = [];
  for await (const { path } of repository.list({ snapshot, path: source, isRecursive: true })) {
    paths.push(Buffer.from(path).toString());
  }
  await repository.restore({ snapshot, path: `${source}/`, target });
  const { findings, snapshots } = await repository.check({ isReadingData: true });

  assert.equal(snapshot.id, taken.id);
  assert.deepEqual(
    paths.map((path) => path.replace(source, '')),
    ['/directory', '/directory/other', '/file'],
  );
  assert.deepEqual(compareTrees(source, target), []);
  assert.deepEqual([findings, snapshots], [[], 1]);
});

test('restore() of the library takes patterns, and refuses those that make no sense', async (t) => {
  const place = newPlace(t);
  const { source } = place;
  const repository = await newRepository(t, place);
  const target = join(tempDir(t), 'target');
  await repository.snapshot({ paths: [source] });
  const from = { snapshot: await repository.select('latest'), path: source, target };

  await assert.rejects(repository.restore({ ...from, includes: ['[a'] }), RangeError);
  assert.throws(() => checkRestorePatterns({ excludes: ['.'] }), RangeError);
  const { files } = await repository.restore({
    ...from,
    includes: [Buffer.from('o*'), 'file'],
    excludes: [`${source}/file`],
  });

  assert.equal(files, 1);
  assert.deepEqual(allFiles(target), ['directory', 'directory/other']);
});

function allFiles(top: string): string[] {
  return readdirSync(top, { recursive: true, encoding: 'utf8' }).sort();
}

test('select() and snapshots() take ids, their prefixes, ages and filters', async (t) => {
  const place = newPlace(t);
  const repository = await newRepository(t, place);

  const first = await repository.snapshot({ paths: [place.source], host: 'one' });
  const second = await repository.snapshot({ paths: [place.source], host: 'two' });

  const select = async (...args: Parameters<Repository['select']>): Promise<string> =>
    (await repository.select(...args)).id;
  assert.equal(await select('latest'), second.id);
  assert.equal(await select('latest~1'), first.id);
  assert.equal(await select('latest', { host: Buffer.from('one') }), first.id);
  assert.equal(await select('latest', { host: 'one' }), first.id);
  assert.equal(await select(second.id), second.id);
  assert.equal(await select(first.id.slice(0, 12)), first.id);
  for (const none of ['latest~2', 'latest~', '@1999-01-01', 'ffff', 'nothing', '']) {
    await assert.rejects(select(none), NotFoundError, none);
  }
  const { snapshots } = await repository.snapshots();
  assert.deepEqual(
    snapshots.map(({ id }) => id),
    [first.id, second.id],
  );
});

test('snapshot() leaves out what it is told to, and refuses what makes no sense', async (t) => {
  const place = newPlace(t);
  const repository = await newRepository(t, place);
  const paths = [place.source];

  const { excluded } = await repository.snapshot({ paths, excludes: { patterns: ['other'] } });

  assert.equal(excluded, 1);
  await assert.rejects(repository.snapshot({ paths, excludes: { patterns: ['[a'] } }), RangeError);
  await assert.rejects(
    repository.snapshot({ paths, excludes: { markers: [{ name: '' }] } }),
    RangeError,
  );
  assert.equal((await repository.snapshots()).snapshots.length, 1);
});

test('names and paths are text or bytes, in filters as in snapshots', async (t) => {
  const place = newPlace(t);
  const repository = await newRepository(t, place);
  const odd = Uint8Array.of(0x61, 0xff);
  const relative = join(relativePath(process.cwd(), place.source), 'file');
  const first = await repository.snapshot({ paths: [place.source], host: odd, source: 'docs' });
  const second = await repository.snapshot({ paths: [relative], host: 'b', source: odd });

  const idsOf = async (filter: SnapshotFilter): Promise<string[]> =>
    (await repository.snapshots(filter)).snapshots.map(({ id }) => id);

  assert.deepEqual(await idsOf({ host: odd }), [first.id]);
  assert.deepEqual(await idsOf({ host: Buffer.from('b') }), [second.id]);
  assert.deepEqual(await idsOf({ source: 'docs' }), [first.id]);
  assert.deepEqual(await idsOf({ source: odd }), [second.id]);
  assert.deepEqual(await idsOf({ path: relative }), [second.id]);
  assert.deepEqual(await idsOf({ path: Buffer.from(place.source) }), [first.id]);
  assert.deepEqual(await idsOf({ path: place.source, tag: 'none' }), []);
  const { manifest } = await repository.select('latest', { host: odd });
  assert.equal(printable(manifest.host), 'a\\xff');
});

test('every long call ends when it is cancelled, with the reason given', async (t) => {
  const place = newPlace(t);
  const repository = await newRepository(t, place);
  await repository.snapshot({ paths: [place.source] });
  const snapshot = await repository.select('latest');
  const reason = new Error('enough');
  const signal = AbortSignal.abort(reason);
  const list = async (): Promise<void> => {
    for await (const _ of repository.list({ snapshot, isRecursive: true, signal }));
  };
  const target = join(tempDir(t), 'target');
  const isReason = (error: unknown): boolean => error === reason;

  await assert.rejects(repository.snapshot({ paths: [place.source], signal }), isReason);
  await assert.rejects(list(), isReason);
  await assert.rejects(repository.restore({ snapshot, target, signal }), isReason);
  await assert.rejects(repository.forget({ policy: { last: 1 }, signal }), isReason);
  await assert.rejects(repository.check({ signal }), isReason);
  await assert.rejects(repository.rebuildIndex({ signal }), isReason);

  assert.equal((await repository.snapshots()).snapshots.length, 1);
});

test('list() stops between entries when it is cancelled', async (t) => {
  const place = newPlace(t);
  const repository = await newRepository(t, place);
  await repository.snapshot({ paths: [place.source] });
  const snapshot = await repository.select('latest');
  const controller = new AbortController();
  let count = 0;

  await assert.rejects(async () => {
    const { signal } = controller;
    for await (const _ of repository.list({ snapshot, path: place.source, signal })) {
      count += 1;
      controller.abort();
    }
  }, /abort/);

  assert.equal(count, 1);
});

test('the library forgets by a policy or by name, lists what it forgot, and brings it back', async (t) => {
  const place = newPlace(t);
  const { source } = place;
  const repository = await newRepository(t, place);
  const taken: string[] = [];
  for (const day of [1n, 2n, 3n]) {
    const timeNs = day * 86_400_000_000_000n;
    taken.push((await repository.snapshot({ paths: [source], host: 'alice', timeNs })).id);
  }
  const policy = { last: 2 };
  const both = { policy, snapshots: ['latest'] };

  await assert.rejects(repository.forget({}), TypeError);
  await assert.rejects(repository.forget(both), TypeError);
  await assert.rejects(repository.forget({ policy: { last: 0 } }), RangeError);
  const other = await repository.forget({ policy, filter: { host: 'bob' } });
  const byPolicy = await repository.forget({ policy, groupBy: ['host'] });
  const named = await repository.forget({ snapshots: ['latest'] });
  const { snapshots, damaged } = await repository.forgotten();
  const none = await repository.forgotten({ host: 'bob' });
  const back = await repository.undelete('latest~1', { filter: { host: 'alice' } });

  assert.deepEqual([other.isDone, byPolicy.isDone, named.isDone], [false, true, true]);
  assert.deepEqual(
    [byPolicy, named].map(({ forgotten }) => forgotten.map(({ id }) => id)),
    [[taken[0]], [taken[2]]],
  );
  assert.deepEqual(
    snapshots.map(({ id }) => id),
    [taken[0], taken[2]],
  );
  assert.deepEqual([damaged, none.snapshots], [[], []]);
  assert.equal(back.forgottenId, taken[0]);
  const live = (await repository.snapshots()).snapshots.map(({ id }) => id);
  assert.deepEqual(live, [back.id, taken[1]]);
  await assert.rejects(repository.undelete('latest', { filter: { host: 'bob' } }), NotFoundError);
});

test('rebuildIndex(), check() and restore() tell how far the index is', async (t) => {
  const place = newPlace(t);
  const repository = await newRepository(t, place);
  await repository.snapshot({ paths: [place.source] });
  const snapshot = await repository.select('latest');
  const phasesOf = async (
    cacheDirectory: string,
    call: (fresh: Repository, onProgress: OnProgress) => Promise<unknown>,
  ): Promise<string[]> => {
    const fresh = await openRepository({ ...place, cacheDirectory });
    const phases = new Set<string>();
    await call(fresh, ({ phase }) => phases.add(phase));
    await fresh.close();
    return [...phases];
  };

  const target = join(tempDir(t), 'target');
  const rebuilt = await phasesOf(place.cacheDirectory, (fresh, onProgress) =>
    fresh.rebuildIndex({ onProgress }),
  );
  const checked = await phasesOf(join(tempDir(t), 'empty'), (fresh, onProgress) =>
    fresh.check({ onProgress }),
  );
  const restored = await phasesOf(join(tempDir(t), 'empty'), (fresh, onProgress) =>
    fresh.restore({ snapshot, target, onProgress }),
  );

  assert.deepEqual(rebuilt, ['index']);
  assert.deepEqual(checked.slice(0, 2), ['index', 'packs']);
  assert.equal(restored[0], 'index');
});

test('rebuildIndex() gives the same index and writes nothing', async (t) => {
  const place = newPlace(t);
  const repository = await newRepository(t, place);
  await repository.snapshot({ paths: [place.source] });
  const before = allFiles(place.location);

  const rebuilt = await repository.rebuildIndex();

  assert.deepEqual([rebuilt.packs, rebuilt.segments, rebuilt.damaged], [1, 1, []]);
  assert.ok(rebuilt.blobs > 4);
  assert.deepEqual(allFiles(place.location), before);
});

test('a passphrase is needed where one was given', async (t) => {
  const place = newPlace(t);
  await initRepository({ location: place.location, passphrase: 'right' });
  let asked = 0;
  const ask = async (): Promise<string> => {
    asked += 1;
    return 'right';
  };

  await assert.rejects(openRepository({ ...place, passphrase: 'wrong' }), KeyError);
  await assert.rejects(openRepository(place), KeyError);
  const repository = await openRepository({ ...place, passphrase: ask });
  await repository.close();

  assert.equal(asked, 1);
});

test('initRepository() makes no repository without passphrase unless it is told to', async (t) => {
  const { location } = newPlace(t);

  await assert.rejects(initRepository({ location }), TypeError);
  await assert.rejects(initRepository({ location, passphrase: '' }), TypeError);
  await assert.rejects(initRepository({ location, passphrase: 'x', isInsecure: true }), TypeError);

  await assert.rejects(openRepository({ location }), NoRepositoryError);
});

test('what cannot be used at all is refused by name', async (t) => {
  const place = newPlace(t);
  const repository = await newRepository(t, place);
  const { id } = await repository.snapshot({ paths: [place.source] });
  const snapshot = await repository.select(id);
  const file = join(place.source, 'file');

  await assert.rejects(initRepository({ ...place, isInsecure: true }), RepositoryExistsError);
  await assert.rejects(openRepository({ ...place, location: place.source }), NoRepositoryError);
  await assert.rejects(repository.restore({ snapshot, target: file }), TargetError);
  await assert.rejects(
    repository.restore({ snapshot, path: '/nowhere', target: join(tempDir(t), 'x') }),
    NotFoundError,
  );
  assert.equal(readFileSync(file, 'utf8'), 'content');
});

test('the library adds, lists, changes and removes keys, and lists sessions', async (t) => {
  const place = newPlace(t);
  const repository = await newRepository(t, place);
  const [own] = await repository.keys();

  const id = await repository.addKey({ passphrase: 'open sesame' });
  const selected = await repository.selectKey(id.slice(0, 8));
  const removed = await repository.removeKey(own?.id ?? '');
  const closed = await openRepository({ ...place, passphrase: '' }).catch((error) => error);
  const opened = await openRepository({ ...place, passphrase: 'open sesame' });
  t.after(() => opened.close());
  const changed = await opened.changePassphrase('open barley');
  const keys = await opened.keys();

  assert.deepEqual([selected.id, selected.kind, selected.isInUse], [id, 'passphrase', false]);
  assert.deepEqual([removed.id, removed.kind, removed.isInUse], [own?.id, 'none', true]);
  assert.ok(closed instanceof KeyError);
  assert.equal(changed.removedId, id);
  assert.deepEqual(
    keys.map((key) => [key.id, key.isInUse]),
    [[changed.id, true]],
  );
  await assert.rejects(opened.removeKey(changed.id), NotFoundError);
  for (const key of [{}, { passphrase: '' }, { passphrase: 'x', isInsecure: true }]) {
    await assert.rejects(opened.addKey(key), TypeError);
  }
  await assert.rejects(opened.changePassphrase(''), TypeError);
  assert.deepEqual(await opened.sessions(), { sessions: [], damaged: [] });
});
