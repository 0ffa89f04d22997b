/** Flat tables of the blobs of packs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BLOB_TYPE } from '../../src/blob/blob-type.ts';
import { PackTables } from '../../src/repository/pack-tables.ts';
import { openFixedAccess } from '../../src/repository/read-access.ts';
import { flipBit } from '../helpers/fault-storage.ts';
import { storePack } from '../helpers/record-writer-packs.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { newClient } from '../helpers/test-repository.ts';

test('PackTables knows a blob by its whole id', async (t) => {
  const { repository } = await newClient(t);
  const random = seededRandom();
  const blobs = [100, 200].map((size) => ({ plaintext: random.bytes(size) }));
  await storePack(repository, blobs);
  const { index } = (await openFixedAccess(repository)).sync;
  const ids = blobs.map(({ plaintext }) => repository.identify(BLOB_TYPE.data, plaintext));
  const tables = new PackTables(index);

  for (const [slot, id] of ids.entries()) {
    const last = flipBit(id, 8 * 31) as typeof id;

    assert.equal(tables.rawSizeOf(id, { packNo: 1, slot }), 100 * (slot + 1));
    assert.equal(tables.rawSizeOf(id, { packNo: 1, slot: 1 - slot }), undefined);
    assert.equal(tables.rawSizeOf(id, { packNo: 1, slot: 2 }), undefined);
    assert.equal(tables.rawSizeOf(id, { packNo: 2, slot }), undefined);
    assert.equal(tables.rawSizeOf(last, { packNo: 1, slot }), undefined);
  }
});
