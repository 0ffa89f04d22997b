/**
 * Reading deltas, whoever wrote them: chains up to their bound, circles, missing and wrong bases,
 * and second copies that save a blob. One unreadable blob hurts no other.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BLOB_TYPE } from '../../src/blob/blob-type.ts';
import { CorruptionError, NotFoundError } from '../../src/errors.ts';
import type { BlobId } from '../../src/id.ts';
import { packStorageName } from '../../src/pack/pack-record.ts';
import { BlobReader } from '../../src/repository/blob-reader.ts';
import { indexFromPacks, syncIndex } from '../../src/repository/index-sync.ts';
import { openReadAccess } from '../../src/repository/read-access.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { loadView } from '../../src/repository/view.ts';
import { concatBytes, equalBytes, fromHex } from '../../src/util/bytes.ts';
import { similarPlaintexts, storePack } from '../helpers/record-writer-packs.ts';
import { memoryRepository } from '../helpers/repository-crash.ts';
import { seededRandom } from '../helpers/seeded-random.ts';

/** A reader over all packs stored so far, and the packs whose copies were of no use to it. */
async function readerOf(
  repository: Repository,
): Promise<{ reader: BlobReader; badPacks: string[] }> {
  const sync = await syncIndex(repository, await loadView(repository, 'read'));
  await indexFromPacks(repository, sync);
  const badPacks: string[] = [];
  const reader = new BlobReader(repository, sync.index, {
    onBadCopy: (_id, pack) => badPacks.push(pack),
  });
  return { reader, badPacks };
}

function idOf(repository: Repository, plaintext: Uint8Array): BlobId {
  return repository.identify(BLOB_TYPE.data, plaintext);
}

/** `versions[0]` whole, every other one as a delta on the one before, each in its own pack. */
async function storeChain(repository: Repository, versions: readonly Uint8Array[]): Promise<void> {
  for (const [i, plaintext] of versions.entries()) {
    const base = versions[i - 1];
    const delta = base && { base, depth: Math.min(i, 32) };
    await storePack(repository, [{ plaintext, ...(delta !== undefined && { delta }) }]);
  }
}

test('a chain of 8 and of 32 deltas is read, one of 33 is refused', async (t) => {
  const { repository } = await memoryRepository(t);
  const versions = similarPlaintexts(34);
  await storeChain(repository, versions);
  const { reader } = await readerOf(repository);

  for (const depth of [8, 32]) {
    const plaintext = versions[depth] as Uint8Array;
    assert.ok(
      equalBytes(await reader.read(idOf(repository, plaintext), BLOB_TYPE.data), plaintext),
    );
  }
  const deepest = idOf(repository, versions[33] as Uint8Array);
  await assert.rejects(reader.read(deepest, BLOB_TYPE.data), /delta chain too long/);
});

test('two deltas on each other are refused, and read as soon as one has a whole copy', async (t) => {
  const { repository } = await memoryRepository(t);
  const [x, y] = similarPlaintexts(2) as [Uint8Array, Uint8Array];
  await storePack(repository, [{ plaintext: x, delta: { base: y, depth: 1 } }]);
  await storePack(repository, [{ plaintext: y, delta: { base: x, depth: 1 } }]);
  const { reader } = await readerOf(repository);
  for (const plaintext of [x, y]) {
    await assert.rejects(reader.read(idOf(repository, plaintext), BLOB_TYPE.data), /delta circle/);
  }

  await storePack(repository, [{ plaintext: y }]);

  const { reader: later } = await readerOf(repository);
  assert.ok(equalBytes(await later.read(idOf(repository, x), BLOB_TYPE.data), x));
  assert.ok(equalBytes(await later.read(idOf(repository, y), BLOB_TYPE.data), y));
});

test('a delta without its base is unreadable, not missing, and hurts no neighbour', async (t) => {
  const { repository } = await memoryRepository(t);
  const [base, version, other] = similarPlaintexts(3) as [Uint8Array, Uint8Array, Uint8Array];
  await storePack(repository, [
    { plaintext: version, delta: { base, depth: 1 } },
    { plaintext: other },
  ]);
  const { reader } = await readerOf(repository);

  const lost = reader.read(idOf(repository, version), BLOB_TYPE.data);

  await assert.rejects(lost, (error: unknown) => {
    assert.ok(error instanceof CorruptionError);
    assert.match(error.message, /delta chain .* missing base/);
    return true;
  });
  await assert.rejects(reader.read(idOf(repository, base), BLOB_TYPE.data), NotFoundError);
  assert.ok(equalBytes(await reader.read(idOf(repository, other), BLOB_TYPE.data), other));
});

test('a delta that names the wrong base is refused by its id', async (t) => {
  const { repository } = await memoryRepository(t);
  const [base, version] = similarPlaintexts(2) as [Uint8Array, Uint8Array];
  const wrong = seededRandom(63).bytes(base.length);
  const baseId = idOf(repository, wrong);
  await storePack(repository, [
    { plaintext: wrong },
    { plaintext: version, delta: { base, baseId, depth: 1 } },
  ]);
  const { reader } = await readerOf(repository);

  await assert.rejects(reader.read(idOf(repository, version), BLOB_TYPE.data), CorruptionError);
  assert.ok(equalBytes(await reader.read(baseId, BLOB_TYPE.data), wrong));
});

test('a second copy saves a blob whose first copy is damaged, which is reported', async (t) => {
  const { storage, repository } = await memoryRepository(t);
  const [base, version] = similarPlaintexts(2) as [Uint8Array, Uint8Array];
  const whole = await storePack(repository, [{ plaintext: version }]);
  await storePack(repository, [
    { plaintext: base },
    { plaintext: version, delta: { base, depth: 1 } },
  ]);
  const name = packStorageName(whole);
  const bytes = await storage.get(name);
  bytes[100] = (bytes[100] ?? 0) ^ 1;
  await storage.delete(name);
  await storage.put(name, bytes);
  const { reader, badPacks } = await readerOf(repository);

  const read = await reader.read(idOf(repository, version), BLOB_TYPE.data);

  assert.ok(equalBytes(read, version));
  assert.deepEqual(badPacks, [name]);
});

test('a second copy of the base saves a delta', async (t) => {
  const { storage, repository } = await memoryRepository(t);
  const [base, version] = similarPlaintexts(2) as [Uint8Array, Uint8Array];
  const first = await storePack(repository, [{ plaintext: base }]);
  await storePack(repository, [{ plaintext: version, delta: { base, depth: 1 } }]);
  await storePack(repository, [{ plaintext: base }]);
  const sync = await readerOf(repository);
  await storage.delete(packStorageName(first));

  const read = await sync.reader.read(idOf(repository, version), BLOB_TYPE.data);

  assert.ok(equalBytes(read, version));
});

test('a base that begins with the magic of a zstd dictionary is taken as bytes', async (t) => {
  const { repository } = await memoryRepository(t);
  const base = concatBytes(fromHex('37a430ec'), seededRandom(61).bytes(3000));
  const version = concatBytes(base, seededRandom(62).bytes(50));
  await storeChain(repository, [base, version]);
  const { reader } = await readerOf(repository);

  assert.ok(equalBytes(await reader.read(idOf(repository, version), BLOB_TYPE.data), version));
});

test('a web of deltas with many copies ends after a bounded number of tries', async (t) => {
  const { repository } = await memoryRepository(t);
  const versions = similarPlaintexts(12);
  const missing = similarPlaintexts(1, 901)[0] as Uint8Array;
  // Each blob has three copies, each a delta on the next: 3^12 ways, all of which end in nothing.
  for (let copy = 0; copy < 3; copy++) {
    const blobs = versions.map((plaintext, i) => ({
      plaintext,
      delta: { base: versions[i + 1] ?? missing, depth: 12 - i },
    }));
    await storePack(repository, blobs);
  }
  const { reader, badPacks } = await readerOf(repository);

  const first = idOf(repository, versions[0] as Uint8Array);
  await assert.rejects(reader.read(first, BLOB_TYPE.data), CorruptionError);
  assert.ok(badPacks.length <= 1024, `${badPacks.length} copies tried`);
});

test('a blob asked for as another type is refused', async (t) => {
  const { repository } = await memoryRepository(t);
  const [plaintext] = similarPlaintexts(1) as [Uint8Array];
  await storePack(repository, [{ plaintext }]);
  const access = await openReadAccess(repository);
  const id = idOf(repository, plaintext);

  assert.ok(equalBytes(await access.read(id, BLOB_TYPE.data), plaintext));
  await assert.rejects(access.read(id, BLOB_TYPE.treePage), CorruptionError);
});
