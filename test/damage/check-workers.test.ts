/**
 * `check` that reads all data, with workers in threads and without any: what it finds does not
 * depend on them. The repository lies on disk, since a thread opens the storage by its location.
 */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { BLOB_TYPE } from '../../src/blob/blob-type.ts';
import { StorageError } from '../../src/errors.ts';
import type { BlobId } from '../../src/id.ts';
import { type CheckResult, checkRepository } from '../../src/maintain/check.ts';
import { type PackRecord, packStorageName } from '../../src/pack/pack-record.ts';
import type { Progress } from '../../src/progress.ts';
import { initRepository } from '../../src/repository/init-repository.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { createStorage } from '../../src/storage/location.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { toHex } from '../../src/util/bytes.ts';
import { interceptStorage } from '../helpers/fault-storage.ts';
import { similarPlaintexts, storePack } from '../helpers/record-writer-packs.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import {
  flipStored,
  newClient,
  objectNames,
  objects,
  openClient,
  snapshot,
} from '../helpers/test-repository.ts';

const threadCounts = [0, 1, 3];

interface Sound {
  readonly storage: Storage;
  readonly repository: Repository;
  /** Eight packs of eight blobs in no snapshot; every second blob is a delta on the one before. */
  readonly packs: PackRecord[];
}

async function soundRepository(t: TestContext): Promise<Sound> {
  const directory = tempDir(t);
  const storage = await createStorage(join(directory, 'repository'));
  await initRepository({ storage, credential: { kind: 'none' } });
  const client = await openClient(t, storage);
  const { repository } = client;
  const source = join(directory, 'source');
  const random = seededRandom();
  mkdirSync(source);
  for (const name of ['a', 'b', 'c']) writeFileSync(join(source, name), random.bytes(200_000));
  await snapshot(client, [source]);
  const packs: PackRecord[] = [];
  for (let i = 0; i < 8; i++) {
    const versions = similarPlaintexts(8, i);
    const blobs = versions.map((plaintext, v) => {
      const base = v % 2 === 1 ? versions[v - 1] : undefined;
      return { plaintext, ...(base !== undefined && { delta: { base, depth: 1 } }) };
    });
    packs.push(await storePack(repository, blobs));
  }
  return { storage, repository, packs };
}

async function checkWith(
  repository: Repository,
  options: { jobs: number; signal?: AbortSignal; onProgress?: (progress: Progress) => void },
): Promise<CheckResult> {
  const { jobs, ...rest } = options;
  return await checkRepository({ ...repository, jobs }, { isReadingData: true, ...rest });
}

test('check() finds nothing in a sound repository, however many threads read it', async (t) => {
  const { storage, repository } = await soundRepository(t);
  const sizes = await objects(storage);
  const packBytes = [...sizes].filter(([name]) => /^(data|meta)\//.test(name));
  const total = packBytes.reduce((sum, [, size]) => sum + size, 0);

  for (const jobs of threadCounts) {
    const { findings, bytesRead } = await checkWith(repository, { jobs });

    assert.deepEqual([...new Set(findings.map(({ kind }) => kind))], ['pack-unindexed']);
    assert.equal(bytesRead, total);
  }
});

test('check() finds the same damage in the same order, however many threads read it', async (t) => {
  const { storage, repository, packs } = await soundRepository(t);
  const random = seededRandom(1);
  for (const pack of packs.slice(0, 5)) {
    await flipStored(storage, packStorageName(pack), 64 + random.below(pack.length - 500));
  }
  for (const name of await objectNames(storage, 'meta/')) await flipStored(storage, name, 200);
  const [plaintext, other] = [random.bytes(500), random.bytes(500)];
  const identify = () => random.bytes(32) as BlobId;
  await storePack({ ...repository, identify }, [{ plaintext }, { plaintext: other }]);
  const missing = random.bytes(32) as BlobId;
  const lost = { base: plaintext, baseId: missing, depth: 1 };
  await storePack(repository, [{ plaintext: other, delta: lost }]);

  const results: CheckResult[] = [];
  for (const jobs of threadCounts) results.push(await checkWith(repository, { jobs }));

  const [inline] = results;
  const kinds = new Set(inline?.findings.map(({ kind }) => kind));
  assert.deepEqual(
    [...kinds].sort(),
    ['blob-damaged', 'blob-unreadable', 'delta-stranded', 'pack-damaged', 'pack-unindexed'],
    'one of each kind, so that there is something to compare',
  );
  for (const { findings } of results) assert.deepEqual(findings, inline?.findings);
  const lostBlob = toHex(repository.identify(BLOB_TYPE.data, other));
  const ofDelta = inline?.findings.filter(({ object }) => object === lostBlob);
  assert.match(ofDelta?.[0]?.message ?? '', new RegExp(`missing base ${toHex(missing)}`));
});

test('check() sees a changed bit anywhere in a pack of several pieces', async (t) => {
  const { repository } = await newClient(t);
  const { storage } = repository;
  const random = seededRandom();
  // Pieces end with the frame before 4 MiB; one frame is larger than that by itself.
  const sizes = [3_000_000, 1_000_000, 500_000, 5_000_000, 10, 4_190_000, 60_000];
  const blobs = sizes.map((size) => ({ plaintext: random.bytes(size) }));
  const name = packStorageName(await storePack(repository, blobs));
  const sound = await checkWith(repository, { jobs: 0 });
  assert.equal(sound.isDamaged, false);

  let offset = 64;
  for (const [i, size] of sizes.entries()) {
    for (const at of [offset, offset + size + 15]) {
      await flipStored(storage, name, at);

      const { findings } = await checkWith(repository, { jobs: 0 });

      const damaged = findings.filter(({ kind }) => kind !== 'pack-unindexed');
      assert.deepEqual(
        damaged.map(({ kind, object }) => [kind, object]),
        [['pack-damaged', name]],
        `frame ${i} at ${at}`,
      );
      await flipStored(storage, name, at);
    }
    offset += size + 16;
  }
});

test('check() tells of a pack that cannot be read to its end, and of nothing in it', async (t) => {
  const { repository } = await newClient(t);
  const random = seededRandom();
  const blobs = [3_000_000, 3_000_000].map((size) => ({ plaintext: random.bytes(size) }));
  const name = packStorageName(await storePack(repository, blobs));
  await flipStored(repository.storage, name, 100);
  let reads = 0;
  const storage = interceptStorage(repository.storage, async (call, run) => {
    const isRead = call.name === name && call.operation === 'getRange';
    // The directory is read to index the pack, and once more to compare it; then come two pieces.
    if (isRead && ++reads === 4) throw new StorageError('read', name, 'input or output error');
    return await run();
  });

  const { findings, bytesRead } = await checkWith({ ...repository, storage }, { jobs: 0 });

  const damaged = findings.filter(({ kind }) => kind !== 'pack-unindexed');
  assert.equal(damaged.length, 1);
  assert.equal(damaged[0]?.kind, 'pack-damaged');
  assert.match(damaged[0]?.message ?? '', /input or output error/);
  assert.equal(bytesRead, 0);
});

test('check() tells how much of the packs and of the trees is done', async (t) => {
  const { storage, repository } = await soundRepository(t);
  const sizes = await objects(storage);
  const packs = [...sizes].filter(([name]) => /^(data|meta)\//.test(name));
  const bytes = packs.reduce((sum, [, size]) => sum + size, 0);

  for (const jobs of threadCounts) {
    const told: Progress[] = [];
    await checkWith(repository, { jobs, onProgress: (progress) => told.push(progress) });

    const last = told.findLast(({ phase }) => phase === 'packs');
    assert.deepEqual(last, {
      phase: 'packs',
      filesDone: packs.length,
      filesTotal: packs.length,
      bytesDone: bytes,
      bytesTotal: bytes,
    });
    for (const { filesDone, filesTotal = 0 } of told) assert.ok(filesDone <= filesTotal);
  }
});

for (const jobs of threadCounts) {
  test(`check() with ${jobs} threads ends when it is cancelled`, async (t) => {
    const { repository } = await soundRepository(t);
    const controller = new AbortController();
    const onProgress = ({ phase, bytesDone }: Progress): void => {
      if (phase === 'packs' && bytesDone > 0) controller.abort();
    };

    const cancelled = checkWith(repository, { jobs, signal: controller.signal, onProgress });

    await assert.rejects(cancelled, { name: 'AbortError' });
    assert.equal((await checkWith(repository, { jobs })).isDamaged, false);
  });
}
