/** The local index where files and disks come in: temporary caches, markers, full disks. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { BlobId, RepositoryId } from '../../src/id.ts';
import { systemCacheFs } from '../../src/index/cache-fs.ts';
import { CacheFailed, openEnvironment, putMeta, writeAll } from '../../src/index/environment.ts';
import { LocalIndex } from '../../src/index/local-index.ts';
import { isPresent, locate } from '../../src/index/presence.ts';
import { toHex } from '../../src/util/bytes.ts';
import { failingCacheFs } from '../helpers/index-cache-fs.ts';
import {
  bigPackOf,
  idOf,
  listingOf,
  packOf,
  randomIds,
  testRepositoryId as repositoryId,
  segmentName,
  segmentOf,
} from '../helpers/index-packs.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import { linesBelow, walkTree } from '../helpers/walk-tree.ts';

const noneDead = { dead: new Set<never>() };

function environmentPath(cacheDir: string): string {
  return join(cacheDir, toHex(repositoryId));
}

function filesIn(cacheDir: string): string[] {
  return readdirSync(environmentPath(cacheDir)).sort();
}

test('LocalIndex makes a directory only its owner can enter, and marks it clean', async (t) => {
  const cacheDir = join(tempDir(t), 'not', 'there', 'yet');

  const index = await LocalIndex.open({ cacheDir, repositoryId });
  const names = filesIn(cacheDir);
  await index.close();

  assert.equal(statSync(environmentPath(cacheDir)).mode & 0o777, 0o700);
  assert.deepEqual(names.slice(0, 3), ['CACHEDIR.TAG', 'data.mdb', 'lock.mdb']);
  assert.match(names[3] ?? '', /^process-\d+-\d+-[0-9a-f]{32}-[0-9a-f]{8}$/);
  assert.deepEqual(filesIn(cacheDir), ['CACHEDIR.TAG', 'clean', 'data.mdb', 'lock.mdb']);
});

test('LocalIndex marks its directory as a cache', async (t) => {
  const cacheDir = tempDir(t);

  const index = await LocalIndex.open({ cacheDir, repositoryId });
  t.after(() => index.close());

  const walked = walkTree([cacheDir], undefined, { isSkippingCaches: true });
  assert.deepEqual(linesBelow(walked, environmentPath(cacheDir)), ['entry f CACHEDIR.TAG']);
});

test('LocalIndex keeps records and states when it is opened again', async (t) => {
  const cacheDir = tempDir(t);
  const pack = packOf('1', [{ id: idOf('a') }]);
  const first = await LocalIndex.open({ cacheDir, repositoryId });
  await first.updateStates({ listed: listingOf([pack]), ...noneDead });
  await first.applySegments([{ name: segmentName('s'), segment: segmentOf([pack]) }]);
  await first.close();

  const second = await LocalIndex.open({ cacheDir, repositoryId });
  t.after(() => second.close());

  const packNo = second.packNo(pack.name) as number;
  const record = second.record(packNo);
  assert.equal(second.pack(packNo)?.state, 1);
  assert.equal(isPresent(second, idOf('a')), true);
  assert.equal(toHex(record?.body ?? new Uint8Array(0)), toHex(pack.body));
  assert.equal(toHex(record?.salt ?? new Uint8Array(0)), toHex(pack.salt));
  assert.equal(second.packNo(packOf('2', []).name), undefined);
  assert.equal(second.record(99), undefined);
  assert.equal(second.directory(99), undefined);
});

test('a copy of an id that the index gives does not keep the directory of its pack', async (t) => {
  const cacheDir = tempDir(t);
  const pack = packOf('1', [{ id: idOf('a') }]);
  const first = await LocalIndex.open({ cacheDir, repositoryId });
  await first.updateStates({ listed: listingOf([pack]), ...noneDead });
  await first.applySegments([{ name: segmentName('s'), segment: segmentOf([pack]) }]);
  await first.close();
  const index = await LocalIndex.open({ cacheDir, repositoryId });
  t.after(() => index.close());

  const [location] = locate(index, idOf('a'));

  for (const bytes of [location?.blob.id, location?.pack.salt]) {
    assert.equal(bytes?.slice().buffer.byteLength, 32);
  }
});

test('applySegments() keeps the numbers of known packs and copies of one blob apart', async (t) => {
  const index = await LocalIndex.open({ cacheDir: tempDir(t), repositoryId });
  t.after(() => index.close());
  const shared = idOf('shared');
  const packs = [1, 2, 3].map((i) => packOf(`${i}`, [{ id: idOf(`own ${i}`) }, { id: shared }]));
  const [one, two, three] = packs as [(typeof packs)[0], (typeof packs)[0], (typeof packs)[0]];

  await index.applySegments([{ name: segmentName('x'), segment: segmentOf([one, two]) }]);
  const before = [index.packNo(one.name), index.packNo(two.name)];
  await index.applySegments([
    { name: segmentName('y'), segment: segmentOf([two, three], [segmentName('x')]) },
  ]);

  assert.deepEqual([index.packNo(one.name), index.packNo(two.name)], before);
  assert.equal(index.copies(shared).length, 3);
  assert.deepEqual(index.counts, { packs: 3, blobs: 6, segments: 2 });
});

test('applySegments() writes nothing when a segment cannot be recorded', async (t) => {
  const index = await LocalIndex.open({ cacheDir: tempDir(t), repositoryId });
  t.after(() => index.close());
  const pack = packOf('1', [{ id: idOf('a') }]);
  const bad = { name: '' as ReturnType<typeof segmentName>, segment: segmentOf([]) };
  const good = { name: segmentName('good'), segment: segmentOf([pack]) };

  await assert.rejects(index.applySegments([good, bad]));

  assert.deepEqual(index.counts, { packs: 0, blobs: 0, segments: 0 });
  assert.deepEqual(index.copies(idOf('a')), []);
  assert.deepEqual([...index.packs()], []);
});

test('LocalIndex finds every blob of a large segment, appended in order of ids', async (t) => {
  const index = await LocalIndex.open({ cacheDir: tempDir(t), repositoryId });
  t.after(() => index.close());
  const ids = randomIds(seededRandom(1), 20_000);
  // Ids that agree in the four bytes the fast sort looks at.
  for (let i = 0; i < 500; i++) (ids[i] as BlobId).fill(7, 0, 4);
  // And repetitions, within a pack and between packs.
  ids[600] = ids[601] as BlobId;
  const packs = Array.from({ length: 20 }, (_, i) =>
    bigPackOf(`${i}`, ids.slice(1000 * i, 1000 * i + 1000)),
  );
  packs.push(bigPackOf('again', ids.slice(0, 1000)));
  await index.updateStates({ listed: listingOf(packs), ...noneDead });

  await index.applySegments([{ name: segmentName('s'), segment: segmentOf(packs) }]);

  assert.equal(index.counts.blobs, 21_000);
  for (const id of ids) assert.equal(index.lookUp(id), 'whole');
  assert.equal(index.copies(ids[600]).length, 4);
  assert.equal(index.copies(ids[3] as BlobId).length, 2);
  assert.equal(index.copies(ids[19_999] as BlobId).length, 1);
});

test('LocalIndex uses a temporary directory when none is wanted, and removes it', async () => {
  const made: string[] = [];
  const fs = {
    ...systemCacheFs,
    makeTemporary: async () => {
      made.push(await systemCacheFs.makeTemporary());
      return made[0] as string;
    },
  };

  const index = await LocalIndex.open({ cacheDir: undefined, repositoryId, fs });
  await index.addPack(packOf('1', [{ id: idOf('a') }]));
  const isFound = isPresent(index, idOf('a'));
  const isThere = existsSync(made[0] as string);
  await index.close();

  assert.equal(isFound && isThere, true);
  assert.equal(existsSync(made[0] as string), false);
});

test('LocalIndex says what fails when there can be no temporary directory either', async () => {
  const error = Object.assign(new Error('EROFS: read-only file system'), { code: 'EROFS' });
  const fs = { ...systemCacheFs, makeTemporary: () => Promise.reject(error) };

  const opening = LocalIndex.open({ cacheDir: undefined, repositoryId, fs });

  await assert.rejects(opening, { code: 'STORAGE', cause: error });
});

test('LocalIndex opens or fails, and kills nobody, where descriptors are few', (t) => {
  const child = fileURLToPath(new URL('../helpers/index-descriptors.js', import.meta.url));
  const limit = '--nofile=64:64';

  const output = execFileSync('prlimit', [limit, process.execPath, child, tempDir(t)], {
    encoding: 'latin1',
  });

  const outcomes = output.trimEnd().split('\n');
  assert.equal(outcomes[0], '0 STORAGE');
  assert.equal(outcomes.at(-1), '15 opened');
});

for (const [what, code, call] of [
  ['a directory that cannot be made', 'EACCES', 'makeDirectory'],
  ['a read-only file system', 'EROFS', 'write'],
  ['a full disk', 'ENOSPC', 'write'],
] as const) {
  test(`LocalIndex warns once and goes on without a cache: ${what}`, async (t) => {
    const cacheDir = tempDir(t);
    const notices: string[] = [];
    const fs = failingCacheFs(code, (made, path) => made === call && path.startsWith(cacheDir));

    const index = await LocalIndex.open({
      cacheDir,
      repositoryId,
      fs,
      onNotice: (text) => notices.push(text),
    });
    t.after(() => index.close());
    await index.addPack(packOf('1', [{ id: idOf('a') }]));

    assert.equal(isPresent(index, idOf('a')), true);
    assert.equal(notices.length, 1);
    assert.match(notices[0] ?? '', /^Cannot use the cache ".*": E[A-Z]+: simulated; going on/);
  });
}

test('LocalIndex goes on without a cache where a file is in the way', async (t) => {
  const cacheDir = join(tempDir(t), 'file');
  writeFileSync(cacheDir, 'in the way');
  const notices: string[] = [];

  const index = await LocalIndex.open({
    cacheDir,
    repositoryId,
    onNotice: (text) => notices.push(text),
  });
  await index.addPack(packOf('1', [{ id: idOf('a') }]));
  await index.close();

  assert.equal(notices.length, 1);
  assert.equal(readFileSync(cacheDir, 'latin1'), 'in the way');
});

test('LocalIndex throws away the cache of another repository', async (t) => {
  const [own, other] = [tempDir(t), tempDir(t)];
  const otherId = idOf('other repository') as Uint8Array as RepositoryId;
  const index = await LocalIndex.open({ cacheDir: other, repositoryId: otherId });
  await index.addPack(packOf('1', [{ id: idOf('a') }]));
  await index.close();
  execFileSync('cp', ['-a', join(other, toHex(otherId)), environmentPath(own)]);

  const opened = await LocalIndex.open({ cacheDir: own, repositoryId });
  t.after(() => opened.close());

  assert.deepEqual(opened.counts, { packs: 0, blobs: 0, segments: 0 });
  assert.deepEqual(opened.copies(idOf('a')), []);
});

test('LocalIndex throws away the cache of another schema', async (t) => {
  const cacheDir = tempDir(t);
  const index = await LocalIndex.open({ cacheDir, repositoryId });
  await index.addPack(packOf('1', [{ id: idOf('a') }]));
  await index.close();
  const environment = await openEnvironment(environmentPath(cacheDir));
  writeAll(environment, () => putMeta(environment, 'schema', 'varve.index/999'));
  await environment.root.close();

  const opened = await LocalIndex.open({ cacheDir, repositoryId });
  t.after(() => opened.close());

  assert.deepEqual(opened.counts, { packs: 0, blobs: 0, segments: 0 });
});

test('LocalIndex.discard() leaves nothing, and is content with nothing', async (t) => {
  const cacheDir = tempDir(t);
  const index = await LocalIndex.open({ cacheDir, repositoryId });
  await index.close();

  await LocalIndex.discard({ cacheDir, repositoryId });
  await LocalIndex.discard({ cacheDir, repositoryId });

  assert.deepEqual(readdirSync(cacheDir), []);
});

test('LocalIndex.discard() is content when what it took away cannot be removed yet', async (t) => {
  const cacheDir = tempDir(t);
  await (await LocalIndex.open({ cacheDir, repositoryId })).close();
  const isAside = (call: string, path: string): boolean =>
    call === 'remove' && path.includes('.aside-');
  const fs = failingCacheFs('EIO', isAside);

  await LocalIndex.discard({ cacheDir, repositoryId, fs });
  const notices: string[] = [];
  const onNotice = (text: string): unknown => notices.push(text);
  await (await LocalIndex.open({ cacheDir, repositoryId, fs, onNotice })).close();

  assert.deepEqual(notices, []);
  assert.equal(existsSync(environmentPath(cacheDir)), true);
  assert.equal(readdirSync(cacheDir).length, 2);
  await LocalIndex.open({ cacheDir, repositoryId }).then((index) => index.close());
  assert.equal(readdirSync(cacheDir).length, 1);
});

test('LocalIndex removes what an interrupted removal left beside it', async (t) => {
  const cacheDir = tempDir(t);
  await systemCacheFs.makeDirectory(`${environmentPath(cacheDir)}.aside-12345678`);

  const index = await LocalIndex.open({ cacheDir, repositoryId });
  await index.close();

  assert.deepEqual(readdirSync(cacheDir), [toHex(repositoryId)]);
});

test('LocalIndex opened twice in one process shares the cache, clean after the last', async (t) => {
  const cacheDir = tempDir(t);
  const first = await LocalIndex.open({ cacheDir, repositoryId });
  const second = await LocalIndex.open({ cacheDir, repositoryId });
  await first.addPack(packOf('1', [{ id: idOf('a') }]));
  await second.addPack(packOf('2', [{ id: idOf('b') }]));
  await new Promise((resolve) => setImmediate(resolve));

  const copies = [first.copies(idOf('b')), second.copies(idOf('a'))];
  await first.close();
  const whileOpen = filesIn(cacheDir);
  await second.close();

  assert.deepEqual(
    copies.map((found) => found.length),
    [1, 1],
  );
  assert.equal(whileOpen.includes('clean'), false);
  assert.deepEqual(filesIn(cacheDir), ['CACHEDIR.TAG', 'clean', 'data.mdb', 'lock.mdb']);
});

test('updateStates() takes in what another process has added to the cache since', async (t) => {
  const cacheDir = tempDir(t);
  const known = packOf('1', [{ id: idOf('a') }]);
  const packs = [known, packOf('2', [{ id: idOf('b') }])];
  const view = { listed: listingOf(packs), ...noneDead };
  const first = await LocalIndex.open({ cacheDir, repositoryId });
  const second = await LocalIndex.open({ cacheDir, repositoryId });
  t.after(() => first.close());
  t.after(() => second.close());
  await first.addPack(known);
  const before = first.lookUp(idOf('b'));
  await second.applySegments([{ name: segmentName('s'), segment: segmentOf(packs) }]);
  await second.updateStates(view);

  await first.updateStates(view);

  assert.deepEqual([...first.packs()], [...second.packs()]);
  assert.ok([...first.packs()].every(({ isIndexed }) => isIndexed));
  assert.deepEqual([before, first.lookUp(idOf('b'))], ['none', 'whole']);
  assert.ok(isPresent(first, idOf('a')));
});

test('LocalIndex does not vouch for a file that took the place of its own', async (t) => {
  const cacheDir = tempDir(t);
  const index = await LocalIndex.open({ cacheDir, repositoryId });
  const path = join(environmentPath(cacheDir), 'data.mdb');
  const bytes = readFileSync(path);
  rmSync(path);
  writeFileSync(path, bytes);
  await index.close();

  assert.equal(filesIn(cacheDir).includes('clean'), false);
});

test('a write that LMDB refuses is CacheFailed, and the cache is not called clean', async (t) => {
  const cacheDir = tempDir(t);
  const index = await LocalIndex.open({ cacheDir, repositoryId });
  const ids = randomIds(seededRandom(2), 5000);
  await index.addPack(packOf('1', [{ id: idOf('a') }]));
  // No file of this process may grow any more: what a full disk looks like to a write.
  limitFileSize(String(statSync(join(environmentPath(cacheDir), 'data.mdb')).size));

  try {
    await assert.rejects(index.addPack(bigPackOf('2', ids)), CacheFailed);

    assert.equal(index.isDamaged, true);
    assert.equal(isPresent(index, idOf('a')), true);
    assert.equal(isPresent(index, ids[0] as BlobId), false);
    assert.equal(index.counts.packs, 1);
  } finally {
    limitFileSize('unlimited');
  }
  await index.close();
  assert.equal(dirname(cacheDir).length > 0 && filesIn(cacheDir).includes('clean'), false);
  const again = await LocalIndex.open({ cacheDir, repositoryId });
  t.after(() => again.close());
  assert.equal(again.counts.packs <= 1, true);
  await again.addPack(bigPackOf('2', ids));
  assert.equal(isPresent(again, ids[0] as BlobId), true);
});

test('a merge that does not fit the disk is CacheFailed, and all answers stay', async (t) => {
  const cacheDir = tempDir(t);
  const mergeBounds = { min: 20_000, max: 20_000 };
  const index = await LocalIndex.open({ cacheDir, repositoryId, mergeBounds });
  const ids = randomIds(seededRandom(3), 20_000);
  const pack = bigPackOf('1', ids);
  await index.applySegments([{ name: segmentName('s'), segment: segmentOf([pack]) }]);
  limitFileSize(String(statSync(join(environmentPath(cacheDir), 'data.mdb')).size));

  try {
    const view = { listed: listingOf([pack]), ...noneDead };
    await assert.rejects(index.updateStates(view), CacheFailed);

    assert.equal(index.isDamaged, true);
    for (const id of ids) assert.equal(index.lookUp(id), 'whole');
  } finally {
    limitFileSize('unlimited');
  }
  await index.close();
  assert.equal(filesIn(cacheDir).includes('clean'), false);
});

test('two indexes on one cache may merge at the same time', async (t) => {
  const cacheDir = tempDir(t);
  const options = { cacheDir, repositoryId, mergeBounds: { min: 50, max: 50 } };
  const first = await LocalIndex.open(options);
  const second = await LocalIndex.open(options);
  const ids = randomIds(seededRandom(4), 2000);

  for (let i = 0; i < ids.length; i += 100) {
    await Promise.all([
      first.addPack(bigPackOf(`${i}`, ids.slice(i, i + 50))),
      second.addPack(bigPackOf(`${i} too`, ids.slice(i + 50, i + 100))),
    ]);
  }

  // What is being read keeps its snapshot for the rest of the turn.
  await new Promise((resolve) => setTimeout(resolve, 5));

  for (const id of ids) assert.equal(first.copies(id).length, 1);
  for (const id of ids) assert.equal(second.copies(id).length, 1);
  assert.deepEqual([first.isDamaged, second.isDamaged], [false, false]);
  await first.close();
  await second.close();
});

test('close() does not wait for the end of a merge', async (t) => {
  const options = { cacheDir: tempDir(t), repositoryId, mergeBounds: { min: 10, max: 10 } };
  const ids = randomIds(seededRandom(5), 5000);
  const index = await LocalIndex.open(options);
  const added = index.addPack(bigPackOf('1', ids));
  await index.close();
  await added;

  const again = await LocalIndex.open(options);
  t.after(() => again.close());

  for (const id of ids) assert.equal(again.copies(id).length, 1);
  assert.equal(again.isDamaged, false);
});

test('locate() finds copies in more packs than directories are kept of', async (t) => {
  const index = await LocalIndex.open({ cacheDir: tempDir(t), repositoryId });
  t.after(() => index.close());
  const random = seededRandom(6);
  const ids = Array.from({ length: 30 }, () => randomIds(random, 10_000));
  const packs = ids.map((content, i) => bigPackOf(`${i}`, content));
  await index.applySegments([{ name: segmentName('s'), segment: segmentOf(packs) }]);

  for (const round of [1, 37, 5]) {
    for (let i = 0; i < ids.length; i++) {
      const pack = (i * round) % packs.length;
      const [location] = locate(index, ids[pack]?.[i] as BlobId);
      assert.equal(location?.pack.name, packs[pack]?.name);
      assert.equal(location?.slot, i);
    }
  }
});

function limitFileSize(size: string): void {
  execFileSync('prlimit', [`--fsize=${size}:unlimited`, '--pid', String(process.pid)]);
}
