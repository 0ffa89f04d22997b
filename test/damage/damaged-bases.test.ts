/**
 * The pack of a base is gone or damaged: `check` tells all whom that hurts, those that rest on it by
 * deltas among them; a restore tells what it cannot read and never writes wrong bytes; and snapshots
 * go on, with whole chunks where a base cannot be read.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { BLOB_TYPE } from '../../src/blob/blob-type.ts';
import { StorageError } from '../../src/errors.ts';
import type { Finding } from '../../src/maintain/finding.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { equalBytes, toHex } from '../../src/util/bytes.ts';
import { interceptStorage } from '../helpers/fault-storage.ts';
import {
  edited,
  freshContent,
  newVersionedRepository,
  type VersionedRepository,
} from '../helpers/similar-versions.ts';
import {
  type Client,
  check,
  openClient,
  replaceObject,
  restore,
  snapshot,
} from '../helpers/test-repository.ts';

const TRAILER_REACH = 20_000;

const damages: Readonly<Record<string, (storage: Storage, pack: string) => Promise<void>>> = {
  gone: (storage, pack) => storage.delete(pack),
  damaged: async (storage, pack) => {
    const bytes = (await storage.get(pack)).slice();
    bytes.fill(1, 64, bytes.length - TRAILER_REACH);
    await replaceObject(storage, pack, bytes);
  },
};

function idsOf({ repository }: Client, { versions }: VersionedRepository): string[] {
  return versions.map((content) => toHex(repository.identify(BLOB_TYPE.data, content)));
}

interface Damaged {
  readonly world: VersionedRepository;
  readonly client: Client;
  /** Of the versions, hex. */
  readonly ids: readonly string[];
}

function textsOf(paths: readonly Uint8Array[]): string[] {
  return paths.map((path) => Buffer.from(path).toString());
}

/** The finding that says whom the loss of that blob hurts. */
function hurtBy(findings: readonly Finding[], id: string): Finding | undefined {
  return findings.find(({ object, paths }) => object === id && paths.length > 0);
}

function assertCheckTells(findings: readonly Finding[], { world, ids }: Damaged): void {
  const { source, taken, pack } = world;
  assert.ok(findings.some(({ object }) => object === pack));
  for (const [i, id] of ids.entries()) {
    const hurt = hurtBy(findings, id);
    assert.deepEqual(hurt?.snapshots, [taken[i]?.id], `version ${i}`);
    assert.deepEqual(textsOf(hurt.paths), [join(source, 'changing')]);
    if (i === 0) continue;
    const isPlace = (finding: Finding) => finding.object === id && finding.kind === 'blob-damaged';
    const { message = '' } = findings.find(isPlace) ?? {};
    assert.match(message, new RegExp(`a delta on ${ids[i - 1]}`));
  }
  const all = taken.map(({ id }) => id).sort();
  for (const { paths, snapshots } of findings) {
    assert.ok(!textsOf(paths).includes(join(source, 'fresh')));
    if (!textsOf(paths).includes(join(source, 'bulk'))) continue;
    assert.deepEqual(snapshots.toSorted(), all);
  }
}

async function assertRestoreTells({ world, client, ids }: Damaged): Promise<void> {
  const { source, taken, pack } = world;
  for (const [i, one] of taken.entries()) {
    const target = mkdtempSync(`${source}-restored-`);
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
    assert.ok(equalBytes(readFileSync(join(target, 'fresh')), freshContent(i)));
  }
}

for (const [how, damage] of Object.entries(damages)) {
  test(`check() and restoreSnapshot() tell all who rest on a pack that is ${how}`, async (t) => {
    const world = await newVersionedRepository(t);
    await damage(world.storage, world.pack);

    for (const jobs of [0, 3]) {
      const client = await openClient(t, world.storage, { jobs });
      const damaged = { world, client, ids: idsOf(client, world) };
      assertCheckTells((await check(client, true)).findings, damaged);
      await assertRestoreTells(damaged);
    }
  });

  for (const jobs of [0, 3]) {
    test(`takeSnapshot() goes on where a base is ${how}, with ${jobs} threads`, async (t) => {
      const { storage, source, versions, pack } = await newVersionedRepository(t);
      await damage(storage, pack);
      const client = await openClient(t, storage, { jobs });
      const content = edited(versions[2] as Uint8Array, 20);
      writeFileSync(join(source, 'changing'), content);

      const taken = await snapshot(client, [source]);

      assert.equal(taken.deltaBlobs, 0);
      assert.deepEqual(taken.errors, []);
      // A pack that is not there is none to rest on, so that nothing had to be read.
      const notice = /^Cannot read \d chunks that new ones resemble: please check the repository$/;
      if (how === 'damaged') assert.match(client.notices.join('\n'), notice);
      else assert.deepEqual(client.notices, []);
      const target = mkdtempSync(`${source}-restored-`);
      const path = join(source, 'changing');
      const { problems } = await restore(client, { ...taken, path }, target);
      assert.deepEqual(problems, []);
      assert.ok(equalBytes(readFileSync(join(target, 'changing')), content));
      const next = edited(content, 21);
      writeFileSync(join(source, 'changing'), next);
      const again = await snapshot(client, [source]);
      assert.equal(again.deltaBlobs, 1, 'on the whole chunk');
    });
  }
}

test('takeSnapshot() goes on where the storage fails to give a base', async (t) => {
  const { storage, source, versions, pack } = await newVersionedRepository(t);
  const failing = interceptStorage(storage, async ({ operation, name }, run) => {
    if (operation === 'getRange' && name === pack) throw new StorageError(operation, name, 'busy');
    return await run();
  });
  const client = await openClient(t, failing);
  const content = edited(versions[2] as Uint8Array, 20);
  writeFileSync(join(source, 'changing'), content);

  const taken = await snapshot(client, [source]);

  assert.equal(taken.deltaBlobs, 0);
  assert.equal(client.notices.length, 1);
  assert.deepEqual((await check(await openClient(t, storage), true)).findings, []);
});
