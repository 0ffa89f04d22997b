import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { BLOB_TYPE } from '../../src/blob/blob-type.ts';
import type { BlobId } from '../../src/id.ts';
import { openReadAccess } from '../../src/repository/read-access.ts';
import type { DirectoryEntry } from '../../src/tree/node.ts';
import { decodePage } from '../../src/tree/page.ts';
import { equalBytes, toHex } from '../../src/util/bytes.ts';
import { compareTrees } from '../helpers/compare-trees.ts';
import { hideFromListings, interceptStorage } from '../helpers/fault-storage.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import {
  type Client,
  check,
  namesOf,
  newClient,
  newStorage,
  openClient,
  restore,
  snapshot,
  type Taken,
} from '../helpers/test-repository.ts';

async function entryAt(client: Client, taken: Taken, path: string): Promise<DirectoryEntry> {
  const access = await openReadAccess(client.repository);
  const entry = await access.find(taken.snapshot.manifest.root, namesOf(path));
  assert(entry !== undefined);
  return entry;
}

/** The same client, for which every copy of that blob is damaged. */
function withDamaged(client: Client, id: BlobId): Client {
  const { identify } = client.repository;
  const other = new Uint8Array(32) as BlobId;
  return {
    ...client,
    repository: {
      ...client.repository,
      identify: (type, plaintext) => {
        const found = identify(type, plaintext);
        return equalBytes(found, id) ? other : found;
      },
    },
  };
}

async function manyFiles(t: TestContext): Promise<{ client: Client; top: string; taken: Taken }> {
  const top = join(tempDir(t), 'top');
  mkdirSync(top);
  for (let i = 0; i < 3000; i++) writeFileSync(join(top, `file${i}`), `${i % 7}`);
  symlinkSync('file1', join(top, 'symlink'));
  const client = await newClient(t);
  return { client, top, taken: await snapshot(client, [top]) };
}

test('restoreSnapshot() loses the entries of a damaged page and no others', async (t) => {
  const { client, top, taken } = await manyFiles(t);
  const directory = (await entryAt(client, taken, top)).directory;
  assert(directory !== undefined);
  const access = await openReadAccess(client.repository);
  const root = decodePage(await access.read(directory.id, BLOB_TYPE.treePage));
  assert(root.kind === 'inner' && root.children.length > 2);
  const second = root.children[1];
  assert(second !== undefined);
  const damaged = withDamaged(client, second.id);
  const target = join(tempDir(t), 'target');

  const { problems } = await restore(damaged, { ...taken, path: top }, target);
  const { findings } = await check(damaged);

  assert.equal(readdirSync(target).length, 3001 - Number(second.entries));
  const paths = problems.map(({ path }) => Buffer.from(path).toString());
  assert.deepEqual(paths, [target]);
  assert.deepEqual(
    findings.map(({ kind, object, paths: hurt }) => [
      kind,
      object,
      hurt.map((path) => Buffer.from(path).toString()),
    ]),
    [['blob-unreadable', toHex(second.id), [top]]],
  );
});

test('restoreSnapshot() loses the files of a damaged chunk and no others', async (t) => {
  const { client, top, taken } = await manyFiles(t);
  const entry = await entryAt(client, taken, join(top, 'file3'));
  assert(entry.type === 'f' && entry.content?.kind === 'blob');
  const target = join(tempDir(t), 'target');

  const { problems } = await restore(
    withDamaged(client, entry.content.id),
    { ...taken, path: top },
    target,
  );

  const lost = compareTrees(top, target);
  const expected = Array.from({ length: 3000 }, (_, i) => i).filter((i) => i % 7 === 3);
  assert.deepEqual(lost.sort(), expected.map((i) => `file${i}: missing`).sort());
  assert.equal(problems.length, expected.length);
});

test('restoreSnapshot() takes the good copy of a blob and reports the other', async (t) => {
  const storage = await newStorage();
  const blind = hideFromListings(storage, (name) => /^(meta|index)\//.test(name));
  const top = join(tempDir(t), 'top');
  mkdirSync(top);
  writeFileSync(join(top, 'file'), seededRandom().bytes(10_000));
  const taken = await snapshot(await openClient(t, storage), [top]);
  // Who does not see the first pack stores everything again.
  await snapshot(await openClient(t, blind), [top]);
  const packs: string[] = [];
  for await (const { name } of storage.list('meta/')) packs.push(name);
  assert.equal(packs.length, 2);

  for (const damaged of packs) {
    const bad = interceptStorage(storage, async ({ operation, name }, run) => {
      const result = await run();
      if (operation === 'getRange' && name === damaged) (result as Uint8Array).fill(0, 100);
      return result;
    });
    const target = join(tempDir(t), 'target');
    const client = await openClient(t, bad);

    const { problems } = await restore(client, { ...taken, path: top }, target);

    assert.deepEqual(problems, []);
    assert.deepEqual(compareTrees(top, target), []);
  }
});
