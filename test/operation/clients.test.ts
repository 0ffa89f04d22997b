import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { utimens } from '../../src/platform/times.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { compareTrees } from '../helpers/compare-trees.ts';
import { interceptStorage } from '../helpers/fault-storage.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import {
  type Client,
  check,
  newStorage,
  openClient,
  restore,
  snapshot,
  type Taken,
} from '../helpers/test-repository.ts';

/** A directory `name` of files with random content; the same salt gives the same files. */
function someFiles(t: TestContext, name: string, salts: readonly number[]): string {
  const top = join(tempDir(t), name);
  mkdirSync(top);
  for (const salt of salts) {
    writeFileSync(join(top, `file${salt}`), seededRandom(salt).bytes(200_000));
  }
  return top;
}

async function assertRestores(
  t: TestContext,
  client: Client,
  from: { taken: Taken; source: string },
): Promise<void> {
  const target = join(tempDir(t), 'target');
  const { problems } = await restore(client, { ...from.taken, path: from.source }, target);
  assert.deepEqual(problems, []);
  assert.deepEqual(compareTrees(from.source, target), []);
}

async function assertSound(client: Client): Promise<void> {
  assert.deepEqual((await check(client, true)).findings, []);
}

test('a client finds what another one has stored', async (t) => {
  const storage = await newStorage();
  const [alice, bob] = [await openClient(t, storage), await openClient(t, storage)];
  const [sourceOfAlice, sourceOfBob] = [someFiles(t, 'a', [1, 2]), someFiles(t, 'b', [2, 3])];

  const first = await snapshot(alice, [sourceOfAlice]);
  const second = await snapshot(bob, [sourceOfBob]);
  const third = await snapshot(alice, [sourceOfBob]);

  assert.ok(second.newBytes < 300_000, `${second.newBytes} new bytes`);
  assert.equal(third.newBlobs, 0);
  const writers = [first, second, third].map((one) => one.snapshot.manifest.chain.writerId);
  assert.equal(writers[0], writers[2]);
  assert.notEqual(writers[0], writers[1]);
  for (const client of [alice, bob]) {
    await assertRestores(t, client, { taken: first, source: sourceOfAlice });
    await assertRestores(t, client, { taken: second, source: sourceOfBob });
    await assertSound(client);
  }
});

test('clients that write at the same time all keep what they wrote', async (t) => {
  const storage = await newStorage();
  const clients = await Promise.all([1, 2, 3].map(() => openClient(t, storage)));
  const sources = clients.map((_, i) => someFiles(t, `source${i}`, [0, i, i + 1, 9]));

  const taken = await Promise.all(clients.map((one, i) => snapshot(one, [sources[i] as string])));

  const reader = await openClient(t, storage);
  for (const [i, one] of taken.entries()) {
    await assertRestores(t, reader, { taken: one, source: sources[i] as string });
  }
  await assertSound(reader);
  const again = await snapshot(reader, sources);
  assert.equal(again.errorCount, 0);
  await assertSound(clients[0] as Client);
});

test('a client adopts packs of a session that is still running', async (t) => {
  const storage = await newStorage();
  const source = someFiles(t, 'source', [1, 2]);
  const other = await openClient(t, storage);
  let adopted: Taken | undefined;
  const client = await openClient(
    t,
    beforeFirstSegment(storage, async () => {
      adopted = await snapshot(other, [source]);
    }),
  );

  const taken = await snapshot(client, [source]);

  assert.equal(adopted?.newBlobs, 0);
  await assertRestores(t, other, { taken: adopted as Taken, source });
  await assertRestores(t, other, { taken, source });
  await assertSound(other);
});

/** Calls `action` once when the first index segment is about to be stored. */
function beforeFirstSegment(storage: Storage, action: () => Promise<void>): Storage {
  let isDone = false;
  return interceptStorage(storage, async ({ operation, name }, run) => {
    if (operation === 'put' && name.startsWith('index/') && !isDone) {
      isDone = true;
      await action();
    }
    return await run();
  });
}

/** What may become of a cache between two runs; `path` is its LMDB file. */
const cacheDamage: Record<string, (path: string) => void> = {
  'is gone': (path) => rmSync(path),
  'is empty': (path) => truncateSync(path, 0),
  'is cut in half': (path) => truncateSync(path, statSync(path).size / 2),
  'is noise': (path) => writeFileSync(path, seededRandom().bytes(statSync(path).size)),
};
for (let i = 1; i <= 8; i++) {
  cacheDamage[`has changed bytes (${i})`] = (path) => {
    const bytes = readFileSync(path);
    const random = seededRandom(i);
    for (let n = 0; n < i; n++) bytes[random.below(bytes.length)] = random.below(256);
    writeFileSync(path, bytes);
  };
}

for (const [what, damage] of Object.entries(cacheDamage)) {
  test(`a cache that ${what} costs no more than building it again`, async (t) => {
    const storage = await newStorage();
    const home = tempDir(t);
    const source = someFiles(t, 'source', [1, 2]);
    const before = await openClient(t, storage, { home });
    const first = await snapshot(before, [source]);
    await before.repository.close();
    const [directory = ''] = readdirSync(before.cacheDirectory);
    damage(join(before.cacheDirectory, directory, 'data.mdb'));

    const client = await openClient(t, storage, { home });
    await assertRestores(t, client, { taken: first, source });
    const second = await snapshot(client, [source]);

    assert.equal(second.newBlobs, 0);
    await assertSound(client);
  });
}

test('a blob that the cache has lost is found again', async (t) => {
  const storage = await newStorage();
  const home = tempDir(t);
  const source = someFiles(t, 'source', [1, 2]);
  const before = await openClient(t, storage, { home });
  const taken = await snapshot(before, [source]);
  await before.repository.close();
  const [directory = ''] = readdirSync(before.cacheDirectory);
  changeBehindItsBack(
    join(before.cacheDirectory, directory, 'data.mdb'),
    taken.snapshot.manifest.root.id.subarray(0, 16),
  );

  const client = await openClient(t, storage, { home });

  await assertRestores(t, client, { taken, source });
  await assertSound(client);
});

/** Changes the last byte of each place with these bytes, as a failing medium does: unseen. */
function changeBehindItsBack(path: string, searched: Uint8Array): void {
  const { mtimeNs } = statSync(path, { bigint: true });
  const bytes = readFileSync(path);
  let count = 0;
  for (let at = bytes.indexOf(searched); at >= 0; at = bytes.indexOf(searched, at + 1)) {
    const last = at + searched.length - 1;
    bytes[last] = (bytes[last] as number) ^ 1;
    count++;
  }
  assert.ok(count > 0);
  writeFileSync(path, bytes);
  const mtime = { seconds: mtimeNs / 10n ** 9n, nanoseconds: Number(mtimeNs % 10n ** 9n) };
  utimens(Buffer.from(path), { mtime }, false);
}

test('a client whose state is lost goes on as a new writer', async (t) => {
  const storage = await newStorage();
  const home = tempDir(t);
  const source = someFiles(t, 'source', [1]);
  const before = await openClient(t, storage, { home });
  const first = await snapshot(before, [source]);
  await before.repository.close();
  rmSync(before.stateDirectory, { recursive: true });

  const client = await openClient(t, storage, { home });
  const second = await snapshot(client, [source]);

  const [chain, next] = [first.snapshot.manifest.chain, second.snapshot.manifest.chain];
  assert.notEqual(next.writerId, chain.writerId);
  assert.equal(next.writerSeq, 1);
  assert.deepEqual(
    next.seen.map(({ writerId }) => writerId),
    [chain.writerId],
  );
  assert.deepEqual(client.notices, []);
  await assertSound(client);
});

test('a client whose state is unreadable, or cannot be kept, goes on and says so', async (t) => {
  const storage = await newStorage();
  const home = tempDir(t);
  const source = someFiles(t, 'source', [1]);
  const before = await openClient(t, storage, { home });
  await snapshot(before, [source]);
  await before.repository.close();
  const [state = ''] = readdirSync(before.stateDirectory);
  writeFileSync(join(before.stateDirectory, state), '{"writer_id":');

  const client = await openClient(t, storage, { home });
  await snapshot(client, [source]);
  await assertSound(client);
  await client.repository.close();
  rmSync(before.stateDirectory, { recursive: true });
  writeFileSync(before.stateDirectory, 'a file where the directory should be');
  const stateless = await openClient(t, storage, { home });
  const taken = await snapshot(stateless, [source]);

  assert.match(stateless.notices[0] ?? '', /^Cannot keep the writer state: /);
  await assertRestores(t, stateless, { taken, source });
  await assertSound(stateless);
  const told = stateless.notices.slice(1).join('\n');
  assert.match(told, /^Cannot read the writer state: .*\nCannot remember what was read: /);
});

test('sessions of one client continue its chain, one at a time', async (t) => {
  const storage = await newStorage();
  const client = await openClient(t, storage);
  const source = someFiles(t, 'source', [1]);

  const first = await snapshot(client, [source]);
  const second = await snapshot(client, [source]);

  const { chain } = second.snapshot.manifest;
  assert.deepEqual([chain.writerSeq, chain.previous], [2, first.snapshot.hash]);
  const locks = readdirSync(client.stateDirectory).filter((name) => name.endsWith('.lock'));
  assert.deepEqual(locks, []);
  assert.equal(existsSync(client.stateDirectory), true);
});

test('two processes of one client write as two writers', async (t) => {
  const storage = await newStorage();
  const home = tempDir(t);
  const source = someFiles(t, 'source', [1]);
  const other = await openClient(t, storage, { home });
  let meanwhile: Taken | undefined;
  const client = await openClient(
    t,
    beforeFirstSegment(storage, async () => {
      meanwhile = await snapshot(other, [source]);
    }),
    { home },
  );

  const taken = await snapshot(client, [source]);
  const next = await snapshot(other, [source]);

  const writers = [taken, meanwhile, next].map((one) => one?.snapshot.manifest.chain.writerId);
  assert.notEqual(writers[1], writers[0]);
  assert.equal(writers[2], writers[0]);
  await assertSound(client);
});

test('a read error of the storage is thrown and not taken for damage', async (t) => {
  const storage = await newStorage();
  const source = someFiles(t, 'source', [1]);
  await snapshot(await openClient(t, storage), [source]);
  const failure = new Error('the network is down');
  const failing = interceptStorage(storage, async ({ operation, name }, run) => {
    if (operation === 'get' && name.startsWith('index/')) throw failure;
    return await run();
  });
  const client = await openClient(t, failing);

  await assert.rejects(check(client), failure);
});
