/** `repair packs`: what is damaged or missing is stored again from wherever it can be had. */
import assert from 'node:assert/strict';
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { CorruptionError } from '../../src/errors.ts';
import { type PacksRepairOptions, repairPacks } from '../../src/maintain/repair/repair-packs.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { compareTrees } from '../helpers/compare-trees.ts';
import { interceptStorage, StorageStopped, stopStorage } from '../helpers/fault-storage.ts';
import { pruneNow } from '../helpers/forget-snapshots.ts';
import { b } from '../helpers/raw-path.ts';
import { assertKept, objectHashes } from '../helpers/repaired.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { edited, newVersionedRepository } from '../helpers/similar-versions.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import {
  type Client,
  check,
  copyStorage,
  flipStored,
  newStorage,
  objectNames,
  openClient,
  replaceObject,
  restore,
  snapshot,
  type Taken,
} from '../helpers/test-repository.ts';

interface Sound {
  storage: Storage;
  /** Of the client that took the snapshots; it is closed. */
  home: string;
  source: string;
  taken: Taken[];
  /** Packs of the snapshots. */
  packs: string[];
}

/** Three snapshots, each with a pack of its own; the file `large` of the first has a chunk list. */
async function threeSnapshots(t: TestContext): Promise<Sound> {
  const storage = await newStorage();
  const home = tempDir(t);
  const client = await openClient(t, storage, { home });
  const source = join(tempDir(t), 'source');
  mkdirSync(join(source, 'directory'), { recursive: true });
  writeFileSync(join(source, 'large'), seededRandom(9).bytes(400_000));
  const [taken, packs]: [Taken[], string[]] = [[], []];
  for (let i = 0; i < 3; i++) {
    writeFileSync(join(source, 'directory', `${i}`), seededRandom(i).bytes(30_000));
    writeFileSync(join(source, `of-${i}`), seededRandom(10 + i).bytes(2000));
    taken.push(await snapshot(client, [source]));
    packs.push(...(await objectNames(storage, 'meta/')).filter((name) => !packs.includes(name)));
  }
  await client.repository.close();
  return { storage, home, source, taken, packs };
}

async function assertSound(
  t: TestContext,
  storage: Storage,
  taken: readonly Taken[],
): Promise<Client> {
  const client = await openClient(t, storage);
  const { findings, isDamaged } = await check(client, true);
  const damage = findings.filter(({ severity }) => severity === 'damage');
  assert.deepEqual(
    damage.map(({ message }) => message),
    [],
  );
  assert.equal(isDamaged, false);
  for (const one of taken) assert.equal((await restore(client, one, tempDir(t))).errorCount, 0);
  return client;
}

test('repairPacks() does nothing in a sound repository', async (t) => {
  const { storage, source } = await threeSnapshots(t);
  const before = await objectHashes(storage);
  const { repository } = await openClient(t, storage);

  const repair = await repairPacks(repository, { live: b(source), isReadingData: true });

  assert.deepEqual(repair, {
    healed: { repository: 0, live: 0, from: 0 },
    lost: [],
    storedBytes: 0,
    isApplied: false,
  });
  assert.deepEqual(await objectHashes(storage), before);
});

for (const where of ['where they were saved', 'moved', 'below another root']) {
  test(`repairPacks() heals chunks from live files ${where}`, async (t) => {
    const { storage, source, taken, packs } = await threeSnapshots(t);
    for (const name of packs) await flipStored(storage, name);
    const before = await objectHashes(storage);
    const client = await openClient(t, storage);
    let live = source;
    if (where === 'below another root') live = '/';
    if (where === 'moved') {
      live = tempDir(t);
      mkdirSync(join(live, source, '..'), { recursive: true });
      renameSync(source, join(live, source));
    }
    const options = { live: b(live), isReadingData: true };

    const plan = await repairPacks(client.repository, { ...options, isDryRun: true });
    const kept = await objectHashes(storage);
    const repair = await repairPacks(client.repository, options);

    assert.deepEqual(kept, before);
    assert.deepEqual([plan.healed, plan.lost, plan.isApplied], [repair.healed, [], false]);
    assert.ok(repair.healed.live >= 3 && repair.isApplied && repair.storedBytes > 0);
    assert.deepEqual(repair.lost, []);
    await assertKept(storage, before);
    await assertSound(t, storage, taken);
  });
}

test('repairPacks() finds the data behind a hole of a live file', async (t) => {
  const storage = await newStorage();
  const home = tempDir(t);
  const source = tempDir(t);
  const file = openSync(join(source, 'sparse'), 'w');
  for (const [i, position] of [0, 2 ** 20, 2 ** 21].entries()) {
    writeSync(file, seededRandom(20 + i).bytes(300_000), 0, 300_000, position);
  }
  closeSync(file);
  const client = await openClient(t, storage, { home });
  await snapshot(client, [source]);
  const [first = ''] = await objectNames(storage, 'meta/');
  writeFileSync(join(source, 'later'), 'makes a tree of its own');
  const taken = await snapshot(client, [source]);
  await client.repository.close();
  await storage.delete(first);

  const { repository } = await openClient(t, storage);
  await repairPacks(repository, { live: b(source) });

  const target = tempDir(t);
  const { errorCount } = await restore(
    await openClient(t, storage),
    { ...taken, path: source },
    target,
  );
  assert.equal(errorCount, 0);
  assert.deepEqual(readFileSync(join(target, 'sparse')), readFileSync(join(source, 'sparse')));
});

test('repairPacks() stores only what is wanted of a file that has changed', async (t) => {
  const { storage, source, taken, packs } = await threeSnapshots(t);
  await flipStored(storage, packs[2] as string);
  writeFileSync(join(source, 'directory', '2'), seededRandom(99).bytes(30_000));
  const { repository } = await openClient(t, storage);

  const repair = await repairPacks(repository, { live: b(source), isReadingData: true });

  assert.equal(repair.healed.live, 0);
  assert.deepEqual(
    repair.lost.flatMap(({ paths }) => paths.map((path) => Buffer.from(path).toString())),
    [join(source, 'directory', '2')],
  );
  assert.deepEqual(repair.lost[0]?.snapshots, [taken[2]?.id]);
});

test('repairPacks() heals a chunk list and its chunks when the file is what it was', async (t) => {
  const { storage, source, taken, packs } = await threeSnapshots(t);
  await storage.delete(packs[0] as string);
  const client = await openClient(t, storage);

  const repair = await repairPacks(client.repository, { live: b(source) });

  // The first snapshot has lost its tree, which no live file has.
  const newest = taken.slice(1);
  assert.ok(repair.lost.every(({ snapshots }) => !snapshots.includes(taken[2]?.id as never)));
  const after = await openClient(t, storage);
  const target = tempDir(t);
  const last = newest.at(-1) as Taken;
  assert.equal((await restore(after, { ...last, path: source }, target)).errorCount, 0);
  assert.deepEqual(compareTrees(source, target), []);
});

test('repairPacks() stores again what only a damaged pack holds and can be read', async (t) => {
  const { storage, taken, packs } = await threeSnapshots(t);
  const [longer = '', flipped = ''] = packs;
  const bytes = await storage.get(longer);
  await replaceObject(storage, longer, Uint8Array.from([...bytes, 0]));
  // The directory: everything can be read as long as a segment knows it.
  await flipStored(storage, flipped, -100);
  const { repository } = await openClient(t, storage);

  const repair = await repairPacks(repository);

  assert.ok(repair.healed.repository > 5);
  assert.deepEqual(repair.lost, []);
  await storage.delete(longer);
  await storage.delete(flipped);
  await assertSound(t, storage, taken);
});

test('repairPacks() takes what is missing from a copy of the repository', async (t) => {
  const { storage, taken, packs } = await threeSnapshots(t);
  const copy = await copyStorage(storage);
  for (const name of packs) await storage.delete(name);
  const from = (await openClient(t, copy)).repository;
  const client = await openClient(t, storage);

  const repair = await repairPacks(client.repository, { from });

  assert.deepEqual([repair.lost, repair.healed.live, client.notices], [[], 0, []]);
  await assertSound(t, storage, taken);
});

test('repairPacks() takes lost trees level by level where the index is lost, too', async (t) => {
  const { storage, taken, packs } = await threeSnapshots(t);
  const copy = await copyStorage(storage);
  for (const name of [...packs, ...(await objectNames(storage, 'index/'))]) {
    await storage.delete(name);
  }
  const from = (await openClient(t, copy)).repository;
  const { repository } = await openClient(t, storage);

  const repair = await repairPacks(repository, { from });

  assert.deepEqual(repair.lost, []);
  await assertSound(t, storage, taken);
});

test('repairPacks() says that another repository has other ids', async (t) => {
  const { storage, packs } = await threeSnapshots(t);
  await flipStored(storage, packs[0] as string);
  const from = (await openClient(t, await newStorage())).repository;
  const client = await openClient(t, storage);

  const repair = await repairPacks(client.repository, { from, isReadingData: true });

  assert.equal(repair.isApplied, false);
  assert.match(
    client.notices.join(),
    /keys of its own.*varve restore --repo .*varve repair packs --live DIR"/,
  );
});

test('repairPacks() of one base heals every delta on it (R10)', async (t) => {
  const { storage, source, versions, taken, pack } = await newVersionedRepository(t);
  await storage.delete(pack);
  rmSync(join(source, 'changing'));
  writeFileSync(join(source, 'changing'), versions[0] as Uint8Array);
  const client = await openClient(t, storage);
  const before = await check(client);

  const repair = await repairPacks(client.repository, { live: b(source) });

  assert.equal(before.isDamaged, true);
  assert.deepEqual(repair.lost, []);
  await assertSound(t, storage, taken);
});

test('takeSnapshot() of a damaged base heals every delta on it (R10)', async (t) => {
  const { storage, source, versions, taken, pack } = await newVersionedRepository(t);
  await storage.delete(pack);
  writeFileSync(join(source, 'changing'), versions[0] as Uint8Array);
  const client = await openClient(t, storage);

  const { deltaBlobs } = await snapshot(client, [source]);

  assert.equal(deltaBlobs, 0);
  await assertSound(t, storage, taken);
});

test('takeSnapshot() does not make a delta on a base that is known to be damaged (I20)', async (t) => {
  const { storage, source, versions, pack } = await newVersionedRepository(t);
  const bytes = await storage.get(pack);
  const copy = bytes.slice();
  for (let i = 100; i < copy.length - 5000; i += 500) copy[i] = (copy[i] as number) ^ 1;
  await replaceObject(storage, pack, copy);
  const client = await openClient(t, storage);
  await check(client, true);
  writeFileSync(join(source, 'changing'), edited(versions[2] as Uint8Array, 77));

  const taken = await snapshot(client, [source]);

  assert.equal(taken.deltaBlobs, 0);
  assert.equal((await restore(client, taken, tempDir(t))).errorCount, 0);
});

test('repairPacks() claims nothing that it did not read back (R05)', async (t) => {
  const { storage, source, packs } = await threeSnapshots(t);
  await flipStored(storage, packs[0] as string);
  const lying = interceptStorage(storage, async ({ operation, name }, run) => {
    const result = await run();
    if (operation === 'put' && /^(data|meta)\//.test(name)) await flipStored(storage, name);
    return result;
  });
  const { repository } = await openClient(t, lying);

  const repairing = repairPacks(repository, { live: b(source), isReadingData: true });

  await assert.rejects(repairing, CorruptionError);
});

test('repairPacks() stopped before any request loses nothing and can be repeated (R03)', async (t) => {
  const { storage: sound, source, taken, packs } = await threeSnapshots(t);
  for (const name of packs) await flipStored(sound, name);
  const options: PacksRepairOptions = { live: b(source), isReadingData: true };
  const before = await objectHashes(sound);
  const storage = await copyStorage(sound);
  let isDone = false;
  // Every request of the repair itself; those before it only look.
  for (let n = 60; !isDone; n += 7) {
    const client = await openClient(t, stopStorage(storage, n)).catch(() => undefined);
    if (client === undefined) continue;
    try {
      await repairPacks(client.repository, options);
      isDone = true;
    } catch (error) {
      assert.ok(error instanceof StorageStopped, `${error}`);
    }
    await assertKept(storage, before, `stopped at ${n}`);
  }
  await assertSound(t, storage, taken);
});

test('repairPacks() repeated writes nothing more', async (t) => {
  const { storage, source, packs } = await threeSnapshots(t);
  for (const name of packs) await flipStored(storage, name);
  const client = await openClient(t, storage);
  await repairPacks(client.repository, { live: b(source), isReadingData: true });
  const repaired = await objectHashes(storage);

  const again = await repairPacks(client.repository, { live: b(source), isReadingData: true });
  const byOther = await repairPacks((await openClient(t, storage)).repository, {
    live: b(source),
    isReadingData: true,
  });

  assert.deepEqual([again.isApplied, byOther.isApplied], [false, false]);
  assert.deepEqual(await objectHashes(storage), repaired);
});

for (const who of ['the client that healed', 'a client that knows nothing of it']) {
  test(`pruneRepository() by ${who} keeps what was healed`, async (t) => {
    const { storage, source, taken, packs } = await threeSnapshots(t);
    for (const name of packs) await flipStored(storage, name);
    const healer = await openClient(t, storage);
    await repairPacks(healer.repository, { live: b(source), isReadingData: true });
    const isHealer = who === 'the client that healed';
    const { repository } = isHealer ? healer : await openClient(t, storage);

    await pruneNow(repository);

    await assertSound(t, storage, taken);
  });
}
