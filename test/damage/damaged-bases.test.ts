/**
 * The pack of a base is gone or damaged: `check` tells all whom that hurts, those that rest on it by
 * deltas among them; a restore tells what it cannot read and never writes wrong bytes; and snapshots
 * go on, with whole chunks where a base cannot be read.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { BLOB_TYPE } from '../../src/blob/blob-type.ts';
import { StorageError } from '../../src/errors.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { equalBytes, toHex } from '../../src/util/bytes.ts';
import { interceptStorage } from '../helpers/fault-storage.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import {
  type Client,
  check,
  newDirectoryStorage,
  objectNames,
  openClient,
  replaceObject,
  restore,
  snapshot,
  type Taken,
} from '../helpers/test-repository.ts';

const TRAILER_REACH = 20_000;

interface World {
  readonly storage: Storage;
  readonly source: string;
  /** Versions of the file `changing`, each a delta on the one before, but for the first. */
  readonly versions: readonly Uint8Array[];
  readonly taken: readonly Taken[];
  /** Where the first version lies, and with it `bulk`, which never changes. */
  readonly pack: string;
}

/** Letters: they compress, and no two texts resemble each other. */
function textOf(salt: number, size: number): Uint8Array {
  return seededRandom(salt)
    .bytes(size)
    .map((byte) => 97 + (byte & 15));
}

function nextVersion(content: Uint8Array, salt: number): Uint8Array {
  const result = content.slice();
  result.set(textOf(salt, 9), 1000 * salt);
  return result;
}

/** Snapshots of a file that changes, beside one that does not and one that is new each time. */
async function newWorld(t: TestContext): Promise<World> {
  const source = join(tempDir(t), 'source');
  mkdirSync(source);
  const storage = await newDirectoryStorage(t);
  const client = await openClient(t, storage);
  // A session with this much data puts it into a pack apart from its tree.
  writeFileSync(join(source, 'bulk'), seededRandom(2).bytes(4_500_000));
  let content = textOf(1, 12_000);
  const versions: Uint8Array[] = [];
  const taken: Taken[] = [];
  for (let i = 0; i < 3; i++) {
    writeFileSync(join(source, 'changing'), content);
    // In the pack that will be damaged there is none of it.
    if (i > 0) writeFileSync(join(source, 'fresh'), textOf(100 + i, 5000));
    taken.push(await snapshot(client, [source]));
    versions.push(content);
    content = nextVersion(content, i + 1);
  }
  assert.deepEqual(
    taken.map(({ deltaBlobs }) => deltaBlobs),
    [0, 1, 1],
  );
  const [pack = ''] = await objectNames(storage, 'data/');
  return { storage, source, versions, taken, pack };
}

const damages: Readonly<Record<string, (storage: Storage, pack: string) => Promise<void>>> = {
  gone: (storage, pack) => storage.delete(pack),
  damaged: async (storage, pack) => {
    const bytes = (await storage.get(pack)).slice();
    bytes.fill(1, 64, bytes.length - TRAILER_REACH);
    await replaceObject(storage, pack, bytes);
  },
};

function idsOf({ repository }: Client, { versions }: World): string[] {
  return versions.map((content) => toHex(repository.identify(BLOB_TYPE.data, content)));
}

for (const [how, damage] of Object.entries(damages)) {
  for (const jobs of [0, 3]) {
    test(`check() tells all who rest on a pack that is ${how}, with ${jobs} threads`, async (t) => {
      const world = await newWorld(t);
      const { storage, source, taken, pack } = world;
      await damage(storage, pack);
      const client = await openClient(t, storage, { jobs });

      const { findings } = await check(client, true);

      assert.ok(findings.some(({ object }) => object === pack));
      const ids = idsOf(client, world);
      for (const [i, id] of ids.entries()) {
        const hurt = findings.find(({ object, paths }) => object === id && paths.length > 0);
        assert.deepEqual(hurt?.snapshots, [taken[i]?.id], `version ${i}`);
        assert.deepEqual(
          hurt.paths.map((path) => Buffer.from(path).toString()),
          [join(source, 'changing')],
        );
        const place = findings.find(
          ({ object, kind }) => object === id && kind === 'blob-damaged',
        )?.message;
        if (i > 0) assert.match(place ?? '', new RegExp(`a delta on ${ids[i - 1]}`));
      }
      const paths = findings.flatMap((finding) =>
        finding.paths.map((path) => `${Buffer.from(path)}`),
      );
      assert.ok(!paths.includes(join(source, 'fresh')));
      const all = taken.map(({ id }) => id).sort();
      const bulk = findings.filter((finding) =>
        finding.paths.some((path) => `${Buffer.from(path)}` === join(source, 'bulk')),
      );
      assert.ok(bulk.length > 10);
      for (const { snapshots } of bulk) assert.deepEqual(snapshots.toSorted(), all);
    });

    test(`restoreSnapshot() names what it cannot read of a base that is ${how}, with ${jobs} threads`, async (t) => {
      const world = await newWorld(t);
      const { storage, source, taken, pack } = world;
      await damage(storage, pack);
      const client = await openClient(t, storage, { jobs });
      const ids = idsOf(client, world);

      for (const [i, one] of taken.entries()) {
        const target = join(tempDir(t), 'target');
        const { problems, files } = await restore(client, { ...one, path: source }, target);

        const told = new Map(problems.map(({ error, path }) => [`${Buffer.from(path)}`, error]));
        assert.deepEqual([...told.keys()].sort(), [join(target, 'bulk'), join(target, 'changing')]);
        const message = told.get(join(target, 'changing'))?.message ?? '';
        // Of a chain, the lowest delta, whose base it is.
        const names = i === 0 ? [pack] : [pack, ids[0], ids[1]];
        for (const name of names) assert.ok(message.includes(name as string), message);
        assert.equal(files, i === 0 ? 0 : 1);
        assert.deepEqual(readdirSync(target), i === 0 ? [] : ['fresh']);
        if (i === 0) continue;
        const fresh = readFileSync(join(target, 'fresh'));
        assert.ok(equalBytes(fresh, textOf(100 + i, 5000)));
      }
    });

    test(`takeSnapshot() goes on where a base is ${how}, with ${jobs} threads`, async (t) => {
      const { storage, source, versions, pack } = await newWorld(t);
      await damage(storage, pack);
      const client = await openClient(t, storage, { jobs });
      const content = nextVersion(versions[2] as Uint8Array, 5);
      writeFileSync(join(source, 'changing'), content);

      const taken = await snapshot(client, [source]);

      assert.equal(taken.deltaBlobs, 0);
      assert.deepEqual(taken.errors, []);
      // A pack that is not there is none to rest on, so that nothing had to be read.
      const notice = /^Cannot read \d chunks that new ones resemble: please check the repository$/;
      if (how === 'damaged') assert.match(client.notices.join('\n'), notice);
      else assert.deepEqual(client.notices, []);
      const target = join(tempDir(t), 'target');
      const path = join(source, 'changing');
      const { problems } = await restore(client, { ...taken, path }, target);
      assert.deepEqual(problems, []);
      assert.ok(equalBytes(readFileSync(join(target, 'changing')), content));
      const next = nextVersion(content, 6);
      writeFileSync(join(source, 'changing'), next);
      const again = await snapshot(client, [source]);
      assert.equal(again.deltaBlobs, 1, 'on the whole chunk');
    });
  }
}

test('takeSnapshot() goes on where the storage fails to give a base', async (t) => {
  const { storage, source, versions, pack } = await newWorld(t);
  const failing = interceptStorage(storage, async ({ operation, name }, run) => {
    if (operation === 'getRange' && name === pack) throw new StorageError(operation, name, 'busy');
    return await run();
  });
  const client = await openClient(t, failing);
  const content = nextVersion(versions[2] as Uint8Array, 5);
  writeFileSync(join(source, 'changing'), content);

  const taken = await snapshot(client, [source]);

  assert.equal(taken.deltaBlobs, 0);
  assert.equal(client.notices.length, 1);
  assert.deepEqual((await check(await openClient(t, storage), true)).findings, []);
});
