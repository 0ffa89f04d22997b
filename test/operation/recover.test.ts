/** `recover.mjs` against repositories that varve made: what it restores, and what it lists. */
import assert from 'node:assert/strict';
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { initRepository } from '../../src/api/open-repository.ts';
import { BLOB_TYPE } from '../../src/blob/blob-type.ts';
import { storeRecover } from '../../src/recover/store-recover.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { ListWriter } from '../../src/tree/chunk-list.ts';
import type { Node } from '../../src/tree/node.ts';
import { PageWriter } from '../../src/tree/page.ts';
import { userTest } from '../helpers/as-user.ts';
import { compareTrees } from '../helpers/compare-trees.ts';
import { forge, writePage } from '../helpers/forged-snapshot.ts';
import { sha256Hex } from '../helpers/object-names.ts';
import { b } from '../helpers/raw-path.ts';
import { RecordWriter } from '../helpers/record-writer.ts';
import { recover } from '../helpers/run-recover.ts';
import { seededRandom, testSeed } from '../helpers/seeded-random.ts';
import { freshContent, newVersionedRepository } from '../helpers/similar-versions.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import {
  inScope,
  newDirectoryStorage,
  openClient,
  replaceObject,
  type Scope,
  snapshot,
} from '../helpers/test-repository.ts';
import { materialize, treeArbitrary } from '../helpers/tree-model.ts';

const isRoot = process.geteuid?.() === 0;
/** Node sets times as floating point numbers of seconds, which are this fine until the year 2446. */
const comparing = { without: 'p', isOwnerIgnored: !isRoot, timeSlackNs: 2000 };

function restoreTo(target: string, storage: Storage, words: readonly string[] = []) {
  const [snapshotId = 'latest', ...rest] = words;
  return recover([storage.location, 'restore', snapshotId, target, ...rest]);
}

async function assertRecovered(scope: Scope, fill: (source: string) => void): Promise<void> {
  const [source, target] = [join(tempDir(scope), 'source'), join(tempDir(scope), 'target')];
  mkdirSync(source);
  fill(source);
  const storage = await newDirectoryStorage(scope);
  await snapshot(await openClient(scope, storage), [source]);

  const { code, stdout, stderr } = recover([storage.location, 'restore', 'latest', target, source]);

  assert.equal(code, 0, stderr.join('\n'));
  assert.match(stdout, /^Restored /);
  assert.deepEqual(compareTrees(source, target, comparing), []);
}

test('recover.mjs restores any tree that was saved', { timeout: 300_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(treeArbitrary, (model) =>
      inScope((scope) => assertRecovered(scope, (source) => materialize(source, model))),
    ),
    { seed: testSeed, numRuns: 8 },
  );
});

test('recover.mjs restores large files, many files and empty ones', async (t) => {
  await assertRecovered(t, (source) => {
    writeFileSync(join(source, 'large'), seededRandom().bytes(18_000_000));
    writeFileSync(join(source, 'zeros'), new Uint8Array(3_000_000));
    mkdirSync(join(source, 'many'));
    for (let i = 0; i < 1500; i++)
      writeFileSync(join(source, 'many', `${i}`), `${i}`.repeat(i % 9));
    linkSync(join(source, 'many', '17'), join(source, 'another name'));
    symlinkSync('/nowhere', join(source, 'many', 'symlink'));
  });
});

test('recover.mjs lists snapshots and restores each, deltas too, with either zstd', async (t) => {
  const { storage, source, versions, taken } = await newVersionedRepository(t);
  const directory = tempDir(t);

  const { code, stdout } = recover([storage.location, 'list']);

  assert.equal(code, 0);
  const ids = taken.map(({ id }) => id);
  assert.deepEqual(
    stdout.split('\n').map((line) => line.split(' ')[0]),
    [...ids, ''],
  );
  assert.ok(stdout.includes(source));
  for (const isOwnZstdHidden of [false, true]) {
    for (const [i, id] of ids.entries()) {
      const target = join(directory, `${i} ${isOwnZstdHidden}`);
      const words = [storage.location, 'restore', id.slice(0, 8), target, source];
      const restored = recover(words, { isOwnZstdHidden });

      assert.deepEqual([restored.code, restored.stderr], [0, []]);
      assert.deepEqual(
        readFileSync(join(target, 'changing')),
        Buffer.from(versions[i] as Uint8Array),
      );
      assert.deepEqual(readFileSync(join(target, 'bulk')), readFileSync(join(source, 'bulk')));
      if (i > 0)
        assert.deepEqual(readFileSync(join(target, 'fresh')), Buffer.from(freshContent(i)));
    }
  }
});

test('recover.mjs says so when there is no zstd', async (t) => {
  const storage = await newDirectoryStorage(t);
  const env = { PATH: '/nowhere' };

  const { code, stderr } = recover([storage.location, 'list'], { env, isOwnZstdHidden: true });

  assert.equal(code, 1);
  assert.match(stderr.join('\n'), /the program "zstd" is needed/);
});

test('recover.mjs restores a whole snapshot with its absolute paths, a path without', async (t) => {
  const { storage, source, versions } = await newVersionedRepository(t);
  const directory = tempDir(t);
  const at = (name: string) => join(directory, name);

  const whole = restoreTo(at('whole'), storage);
  const file = restoreTo(at('file'), storage, ['latest', join(source, 'changing')]);
  const nothing = restoreTo(at('nothing'), storage, ['latest', '/no/such/path']);
  const occupied = restoreTo(at('whole'), storage);
  const unknown = restoreTo(at('unknown'), storage, ['00000000']);

  assert.equal(whole.code, 0);
  assert.deepEqual(compareTrees(source, join(at('whole'), source), comparing), []);
  assert.equal(file.code, 0);
  assert.deepEqual(readdirSync(at('file')), ['changing']);
  assert.deepEqual(
    readFileSync(join(at('file'), 'changing')),
    Buffer.from(versions[2] as Uint8Array),
  );
  assert.deepEqual([nothing.code, occupied.code, unknown.code], [1, 1, 1]);
  assert.match(nothing.stderr.join('\n'), /has no "no"/);
  assert.match(occupied.stderr.join('\n'), /is not empty/);
  assert.match(unknown.stderr.join('\n'), /no snapshot "00000000"/);
});

test('recover.mjs leaves out what was forgotten, unless it is wanted', async (t) => {
  const { storage, source, taken, versions } = await newVersionedRepository(t);
  const client = await openClient(t, storage);
  const [first, second, third] = taken;
  const writer = new RecordWriter(client.repository);
  await writer.tomb({ forgotten: [third?.snapshot as NonNullable<typeof third>['snapshot']] });
  await writer.tomb({ closed: [first?.id as string] });
  await writer.fence('f'.repeat(32));
  const [target, older] = [join(tempDir(t), 'target'), join(tempDir(t), 'older')];

  const listed = recover([storage.location, 'list']);
  const all = recover([storage.location, 'list', '--forgotten']);
  const restored = restoreTo(older, storage, ['latest', source]);
  const refused = restoreTo(target, storage, [third?.id as string]);
  const wanted = restoreTo(target, storage, [third?.id as string, source, '--forgotten']);

  assert.equal(listed.stdout.split('\n').length, 2);
  assert.ok(listed.stdout.startsWith(second?.id as string));
  assert.equal(all.stdout.match(/ forgotten$/gm)?.length, 2);
  assert.equal(restored.code, 0);
  assert.deepEqual(readFileSync(join(older, 'changing')), Buffer.from(versions[1] as Uint8Array));
  assert.equal(refused.code, 1);
  assert.equal(wanted.code, 0);
  assert.deepEqual(readFileSync(join(target, 'changing')), Buffer.from(versions[2] as Uint8Array));
});

test('recover.mjs goes on past a damaged frame and lists the gaps', async (t) => {
  const { storage, source, pack } = await newVersionedRepository(t);
  const target = join(tempDir(t), 'target');
  const bytes = await storage.get(pack);
  (bytes as Uint8Array)[2_000_000] = ((bytes as Uint8Array)[2_000_000] as number) ^ 1;
  await replaceObject(storage, pack, bytes);

  const { code, stderr } = restoreTo(target, storage, ['latest', source]);

  assert.equal(code, 3);
  const gap = stderr.find((line) => line.startsWith('missing: ')) ?? '';
  const [, from, to] = /bulk: bytes (\d+) to (\d+): chunk [0-9a-f]{64}: pack data/.exec(gap) ?? [];
  assert.ok(gap.includes(`${source}/bulk`), gap);
  assert.deepEqual(readdirSync(target).sort(), ['bulk.incomplete', 'changing', 'fresh']);
  const [saved, restored] = ['bulk', 'bulk.incomplete'].map((name, i) =>
    readFileSync(join(i === 0 ? source : target, name)),
  ) as [Buffer, Buffer];
  assert.ok(Number(to) > Number(from));
  saved.fill(0, Number(from), Number(to) + 1);
  assert.ok(restored.equals(saved));
  assert.deepEqual(readFileSync(join(target, 'fresh')), Buffer.from(freshContent(2)));
});

test('recover.mjs names the base that a delta has lost', async (t) => {
  const { storage, source, pack } = await newVersionedRepository(t);
  const target = join(tempDir(t), 'target');
  await storage.delete(pack);

  const { code, stderr } = restoreTo(target, storage, ['latest', source]);

  assert.equal(code, 3);
  assert.match(
    stderr.join('\n'),
    /changing: bytes 0 to 11999: chunk \w{64}: its base \w{64} is lost/,
  );
  assert.match(stderr.join('\n'), /bulk: bytes 0 to 4299999: .* no pack that can be read has it/);
  assert.deepEqual(readdirSync(target), ['fresh']);
});

test('recover.mjs takes from the index what the directory of a pack does not say', async (t) => {
  const { storage, source, pack } = await newVersionedRepository(t);
  const target = join(tempDir(t), 'target');
  const bytes = await storage.get(pack);
  await replaceObject(storage, pack, bytes.subarray(0, bytes.length - 100));

  const { code, stderr } = restoreTo(target, storage, ['latest', source]);

  assert.equal(code, 0);
  assert.match(stderr.join('\n'), /note: cannot read the directory of pack data/);
  assert.deepEqual(compareTrees(source, target, comparing), []);
});

test('recover.mjs needs neither index nor config', async (t) => {
  const { storage, source } = await newVersionedRepository(t);
  const target = join(tempDir(t), 'target');
  for (const name of ['config', 'index', 'sessions', 'gc', 'tmp', 'probe']) {
    rmSync(join(storage.location, name), { recursive: true, force: true });
  }

  const { code, stderr } = restoreTo(target, storage, ['latest', source]);

  assert.equal(code, 0);
  assert.match(stderr.join('\n'), /cannot read config, going on without/);
  assert.deepEqual(compareTrees(source, target, comparing), []);
});

test('recover.mjs passes over a damaged snapshot', async (t) => {
  const { storage, taken } = await newVersionedRepository(t);
  const name = `snapshots/${taken[1]?.id}`;
  const bytes = Uint8Array.from(await storage.get(name));
  bytes[200] = (bytes[200] as number) ^ 1;
  await replaceObject(storage, name, bytes);

  const { code, stdout, stderr } = recover([storage.location, 'list']);

  assert.equal(code, 3);
  assert.equal(stdout.split('\n').length, 3);
  assert.deepEqual(stderr, [`missing: ${name}: the tag does not fit`]);
});

test('recover.mjs needs the right passphrase', async (t) => {
  const location = join(tempDir(t), 'repository');
  await initRepository({ location, passphrase: 'caf\u00e9 sesame' });
  const withPassphrase = (passphrase: string) =>
    recover([location, 'list'], { env: { VARVE_PASSWORD: passphrase } });

  const [right, decomposed, wrong] = ['caf\u00e9 sesame', 'cafe\u0301 sesame', 'sesame'].map(
    withPassphrase,
  );
  const none = recover([location, 'list']);

  assert.deepEqual([right?.code, right?.stderr], [0, []]);
  assert.equal(decomposed?.code, 0);
  assert.deepEqual([wrong?.code, wrong?.stderr], [1, ['The passphrase opens no key slot']]);
  assert.deepEqual([none.code, none.stderr], [1, ['A passphrase is needed: set VARVE_PASSWORD']]);
});

test('recover.mjs restores holes, and says what it leaves out', async (t) => {
  const storage = await newDirectoryStorage(t);
  const { repository } = await openClient(t, storage);
  const target = join(tempDir(t), 'target');
  const content = b('content');
  await forge(repository, async (session) => {
    const id = await session.write(BLOB_TYPE.data, content);
    const list = new ListWriter(0);
    const hole = { id: undefined, length: 10_000_000n };
    for (const child of [hole, { id, length: 7n }, hole]) list.add(child);
    const length = 20_000_007n;
    const listId = await session.write(BLOB_TYPE.chunkList, list.take());
    const attributeBlob = await session.write(BLOB_TYPE.attributes, new Uint8Array(2000).fill(1));
    const sparse = { kind: 'list', id: listId, height: 0, length, chunks: 3n } as const;
    const plain = { kind: 'blob', id, length: 7n } as const;
    const unknown = [[100, b('of a later version')]] as const;
    const nodes: Node[] = [
      { name: b('device'), type: 'c', device: { major: 1, minor: 3 } },
      { name: b('empty directory'), type: 'd', attributeBlob },
      { name: b('later'), type: 'f', size: 7n, content: plain, unknown },
      { name: b('sparse'), type: 'f', size: length, content: sparse, flags: 1 },
      { name: b('with attributes'), type: 'f', size: 7n, content: plain, attributeBlob },
    ];
    const page = makePage(nodes);
    page[page.indexOf('of a later version') - 2] = 200; // A critical tag.
    const pageId = await session.write(BLOB_TYPE.treePage, page);
    return { id: pageId, height: 0, entries: 5n, bytes: length + 14n };
  });

  const { code, stderr } = restoreTo(target, storage);

  assert.equal(code, 3);
  assert.deepEqual(stderr, [
    'missing: /later: it has the unknown field 200',
    'left out: devices, FIFOs and sockets: 1, first of /device',
    'left out: file flags: 1, first of /sparse',
    'left out: extended attributes: 2, first of /with attributes',
  ]);
  assert.deepEqual(readdirSync(target), ['empty directory', 'sparse', 'with attributes']);
  const expected = Buffer.alloc(20_000_007);
  expected.set(content, 10_000_000);
  assert.ok(readFileSync(join(target, 'sparse')).equals(expected));
  assert.ok(statSync(join(target, 'sparse')).blocks * 512 < 1_000_000);
});

function makePage(nodes: readonly Node[]): Buffer {
  const page = new PageWriter('leaf');
  for (const node of nodes) page.addNode(node);
  return Buffer.from(page.take());
}

const hostileNames = ['..', 'a/', '/a', 'a\0', '.'];

test('recover.mjs writes nothing under a name that leads elsewhere', async (t) => {
  const storage = await newDirectoryStorage(t);
  const { repository } = await openClient(t, storage);
  for (const [i, name] of hostileNames.entries()) {
    const top = tempDir(t);
    const forged = await forge(repository, async (session) => {
      const id = await session.write(BLOB_TYPE.data, b('evil'));
      const node: Node = {
        name: b('#'.repeat(name.length)),
        type: 'f',
        size: 4n,
        content: { kind: 'blob', id, length: 4n },
      };
      const page = makePage([node]);
      page.write(name, page.indexOf('#'), 'latin1');
      const pageId = await session.write(BLOB_TYPE.treePage, page);
      const root = { id: pageId, height: 0, entries: 1n, bytes: 4n };
      return await writePage(session, { name: b(`${i}`), type: 'd', directory: root });
    });

    const { code, stderr } = restoreTo(join(top, 'target'), storage, [forged.id, `/${i}`]);

    assert.equal(code, 3, name);
    assert.match(stderr.join('\n'), /1 entries in or below it: a name that no file can have/);
    assert.deepEqual(readdirSync(top, { recursive: true }), ['target']);
  }
});

for (const [claimed, found] of [
  ['b', /the names of two pages overlap/],
  ['c', /the names of a page are wrong/],
] as const) {
  test(`recover.mjs follows no link of the snapshot: ${found.source}`, async (t) => {
    const storage = await newDirectoryStorage(t);
    const { repository } = await openClient(t, storage);
    const [outside, target] = [join(tempDir(t), 'outside'), join(tempDir(t), 'target')];
    mkdirSync(outside);
    await forge(repository, async (session) => {
      const id = await session.write(BLOB_TYPE.data, b('evil'));
      const content = { kind: 'blob', id, length: 4n } as const;
      const inner = await writePage(session, { name: b('file'), type: 'f', size: 4n, content });
      // A link and a directory of one name, on two pages.
      const link: Node = { name: b('b'), type: 'l', target: b(outside) };
      const first = await writePage(session, { name: b('a'), type: 'd' }, link);
      const second = await writePage(session, { name: b('b'), type: 'd', directory: inner });
      const page = new PageWriter('inner');
      page.addChild({ ...first, firstName: b('a') });
      page.addChild({ ...second, firstName: b(claimed) });
      const rootId = await session.write(BLOB_TYPE.treePage, page.take());
      const { bytes } = inner;
      return { id: rootId, height: 1, entries: first.entries + second.entries, bytes };
    });

    const { code, stderr } = restoreTo(target, storage);

    assert.equal(code, 3);
    assert.match(stderr.join('\n'), found);
    assert.deepEqual(readdirSync(outside), []);
  });
}

test('recover.mjs restores directories in each other, however many', async (t) => {
  const storage = await newDirectoryStorage(t);
  const { repository } = await openClient(t, storage);
  const target = join(tempDir(t), 'target');
  const depth = 4090;
  await forge(repository, async (session) => {
    let root = await writePage(session, { name: b('innermost'), type: 'l', target: b('x') });
    for (let i = 1; i < depth; i++) {
      root = await writePage(session, { name: b('d'), type: 'd', directory: root });
    }
    return root;
  });

  const { code, stdout } = restoreTo(target, storage);

  assert.equal(code, 0);
  assert.equal(stdout, `Restored 0 files (0 bytes), ${depth - 1} directories, 1 links\n`);
});

test('recover.mjs refuses a tree that is larger than it says', async (t) => {
  const storage = await newDirectoryStorage(t);
  const { repository } = await openClient(t, storage);
  const target = join(tempDir(t), 'target');
  await forge(repository, async (session) => {
    let root = await writePage(session, { name: b('x'), type: 'd' });
    // Each level names the one below twice, and claims that it is one entry.
    for (let i = 0; i < 8; i++) {
      const directory = { ...root, entries: 1n };
      root = await writePage(
        session,
        { name: b('a'), type: 'd', directory },
        { name: b('b'), type: 'd', directory },
      );
    }
    return root;
  });

  const { code, stderr } = restoreTo(target, storage);

  assert.equal(code, 3);
  assert.match(stderr.join('\n'), /a page holds something else than it should/);
});

userTest(import.meta.url, 'recover.mjs gives no special rights to an ordinary user', async (t) => {
  const storage = await newDirectoryStorage(t);
  const { repository } = await openClient(t, storage);
  const target = join(tempDir(t), 'target');
  await forge(repository, async (session) => {
    const id = await session.write(BLOB_TYPE.data, b('content'));
    const content = { kind: 'blob', id, length: 7n } as const;
    const owner = { uid: 0, gid: 0 };
    return await writePage(session, {
      ...{ name: b('file'), type: 'f', size: 7n, content, owner },
      mode: 0o6755,
    });
  });

  const { code, stderr } = restoreTo(target, storage);

  assert.equal(code, 0);
  assert.equal(statSync(join(target, 'file')).mode & 0o7777, 0o755);
  assert.deepEqual(stderr, [
    'left out: owners: 1, first of /file',
    'left out: setuid, setgid or sticky bits: 1, first of /file',
  ]);
});

test('initRepository() stores recover.mjs, which restores when all else is gone', async (t) => {
  const location = join(tempDir(t), 'repository');
  const [source, target] = [join(tempDir(t), 'source'), join(tempDir(t), 'target')];
  mkdirSync(source);
  writeFileSync(join(source, 'letter'), 'dear');
  const { recoverPath } = await initRepository({ location, isInsecure: true, withRecover: true });
  const { openStorage } = await import('../../src/storage/location.ts');
  const client = await openClient(t, await openStorage(location));
  await snapshot(client, [source]);

  const { code } = recover([location, 'restore', 'latest', target, source], {
    program: recoverPath as string,
  });

  assert.equal(recoverPath, join(location, 'recover.mjs'));
  assert.equal(code, 0);
  assert.deepEqual(compareTrees(source, target, comparing), []);
  const readme = readFileSync(join(location, 'README.txt'), 'utf8');
  assert.ok(readme.includes(sha256Hex(readFileSync(recoverPath as string))));
  const { checkRepository } = await import('../../src/maintain/check.ts');
  const { findings } = await checkRepository(client.repository, { isReadingData: true });
  assert.deepEqual(findings, []);
});

test('initRepository() stores nothing beside the data when it is not asked to', async (t) => {
  const location = join(tempDir(t), 'repository');

  const { recoverPath } = await initRepository({ location, isInsecure: true });

  assert.equal(recoverPath, undefined);
  assert.ok(!existsSync(join(location, 'recover.mjs')));
});

test('half a recover.mjs has no name: where it cannot be written there is none', async (t) => {
  const location = join(tempDir(t), 'repository');
  await initRepository({ location, isInsecure: true });
  rmSync(join(location, 'tmp'), { recursive: true });

  await assert.rejects(storeRecover(location), { code: 'STORAGE' });

  assert.equal(existsSync(join(location, 'recover.mjs')), false);
  mkdirSync(join(location, 'tmp'));
  const path = await storeRecover(location);
  assert.ok(readFileSync(path).length > 10_000);
  assert.deepEqual(readdirSync(join(location, 'tmp')), []);
});
