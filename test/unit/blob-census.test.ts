/** What distinct blobs take, over packs whose sizes can be computed by hand. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BLOB_TYPE } from '../../src/blob/blob-type.ts';
import type { BlobId } from '../../src/id.ts';
import { openPack } from '../../src/pack/pack-reader.ts';
import { packStorageName } from '../../src/pack/pack-record.ts';
import { beginSession } from '../../src/repository/begin-session.ts';
import { BlobCensus } from '../../src/repository/blob-census.ts';
import { openFixedAccess } from '../../src/repository/read-access.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { similarPlaintexts, storePack } from '../helpers/record-writer-packs.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { newClient } from '../helpers/test-repository.ts';

const tagSize = 16;

async function censusOf(repository: Repository): Promise<BlobCensus> {
  return new BlobCensus((await openFixedAccess(repository)).sync.index);
}

test('BlobCensus counts a blob once, and what it takes as a delta', async (t) => {
  const { repository } = await newClient(t);
  const [base, similar] = similarPlaintexts(2) as [Uint8Array, Uint8Array];
  const deltas = [{ plaintext: similar, delta: { base, depth: 1 } }];
  const record = await storePack(repository, [{ plaintext: base }, ...deltas]);
  const idOf = (plaintext: Uint8Array) => repository.identify(BLOB_TYPE.data, plaintext);
  const bytes = await repository.storage.get(packStorageName(record));
  const { directory } = openPack(repository.keys, { ...record, bytes });
  const census = await censusOf(repository);

  for (const plaintext of [base, similar, base]) assert.equal(census.add(idOf(plaintext)), true);

  const encodedSize = directory.blobs[1]?.delta?.encodedSize as number;
  assert.ok(encodedSize < 100);
  assert.deepEqual(census.sums(), {
    blobs: 2,
    uniqueSize: 2 * base.length,
    deltaBlobs: 1,
    deltaRawSize: similar.length,
    deltaStoredSize: encodedSize,
    compressedSize: base.length + tagSize + encodedSize,
  });
});

test('BlobCensus counts one of several copies', async (t) => {
  const { repository } = await newClient(t);
  const plaintext = seededRandom().bytes(1000);
  const other = seededRandom(1).bytes(10);
  await storePack(repository, [{ plaintext }]);
  await storePack(repository, [{ plaintext: other }, { plaintext }]);
  const census = await censusOf(repository);

  for (let i = 0; i < 2; i++) census.add(repository.identify(BLOB_TYPE.data, plaintext));

  assert.deepEqual(census.sums(), {
    blobs: 1,
    uniqueSize: 1000,
    deltaBlobs: 0,
    deltaRawSize: 0,
    deltaStoredSize: 0,
    compressedSize: 1000 + tagSize,
  });
});

test('BlobCensus shares a frame out by size, and knows when a blob is nowhere', async (t) => {
  const { repository } = await newClient(t);
  const session = await beginSession(repository, { purpose: 'snapshot' });
  const texts = [300, 100, 600].map((size) => new Uint8Array(size).fill(size & 255));
  const ids: BlobId[] = [];
  for (const text of texts) ids.push(await session.write(BLOB_TYPE.data, text));
  const root = { id: ids[0] as BlobId, height: 0, entries: 0n, bytes: 0n };
  const nobody = new Uint8Array(0);
  await session.commit({
    ...{ root, startedNs: 0n, endedNs: 1n, timeZone: 'UTC', host: nobody, user: nobody },
    ...{ source: nobody, roots: [], tags: [], parents: [], stats: {}, excludeHash: '' },
    ...{ errorCount: 0, errorSample: [], isPartial: false },
  });
  const access = await openFixedAccess(repository);
  const [pack] = [...access.sync.index.packs()];
  const directory = access.sync.index.directory(pack?.packNo ?? 0);
  const storedSize = directory?.frames[0]?.storedSize as number;

  const [all, part] = [new BlobCensus(access.sync.index), new BlobCensus(access.sync.index)];
  for (const id of ids) all.add(id);
  part.add(ids[0] as BlobId);

  assert.equal(directory?.frames[0]?.blobCount, 3);
  assert.equal(all.sums().compressedSize, storedSize);
  assert.equal(part.sums().compressedSize, Math.round((storedSize * 300) / 1000));
  assert.equal(part.add(seededRandom().bytes(32) as BlobId), false);
  assert.equal(part.sums().blobs, 1);
});
