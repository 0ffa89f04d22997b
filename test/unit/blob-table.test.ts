/** Blobs of packs by slot, out of flat tables. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BLOB_TYPE } from '../../src/blob/blob-type.ts';
import { rawSizeOf } from '../../src/index/presence.ts';
import { scanFeatures } from '../../src/pack/directory.ts';
import { blobTableOf, directoryOf } from '../../src/pack/pack-record.ts';
import { openFixedAccess } from '../../src/repository/read-access.ts';
import { flipBit } from '../helpers/fault-storage.ts';
import { openGoldenPack } from '../helpers/golden-pack.ts';
import { idOf, packOf } from '../helpers/index-packs.ts';
import { storePack } from '../helpers/record-writer-packs.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { newClient } from '../helpers/test-repository.ts';

test('rawSizeOf() knows a blob by its whole id', async (t) => {
  const { repository } = await newClient(t);
  const random = seededRandom();
  const blobs = [100, 200].map((size) => ({ plaintext: random.bytes(size) }));
  await storePack(repository, blobs);
  const { index } = (await openFixedAccess(repository)).sync;
  const ids = blobs.map(({ plaintext }) => repository.identify(BLOB_TYPE.data, plaintext));

  for (const [slot, id] of ids.entries()) {
    const last = flipBit(id, 8 * 31) as typeof id;

    assert.equal(rawSizeOf(index, id, { packNo: 1, slot }), 100 * (slot + 1));
    assert.equal(rawSizeOf(index, id, { packNo: 1, slot: 1 - slot }), undefined);
    assert.equal(rawSizeOf(index, id, { packNo: 1, slot: 2 }), undefined);
    assert.equal(rawSizeOf(index, id, { packNo: 2, slot }), undefined);
    assert.equal(rawSizeOf(index, last, { packNo: 1, slot }), undefined);
  }
});

test('BlobTable gives the blobs of a parsed directory, deltas and features included', () => {
  const { record } = openGoldenPack();
  const { frames, blobs } = directoryOf(record);

  const table = blobTableOf(record);

  assert.deepEqual(table.frames, frames);
  assert.equal(table.count, blobs.length);
  for (const [slot, blob] of blobs.entries()) {
    assert.deepEqual(table.at(slot), blob);
    assert.equal(table.rawSizeAt(slot), blob.rawSize);
    assert.ok(table.isAt(slot, blob.id));
  }
  assert.equal(table.at(blobs.length), undefined);
  assert.ok(blobs.some(({ delta }) => delta !== undefined));
  assert.ok(blobs.some(({ features }) => features !== undefined));
});

test('scanFeatures() gives those of a parsed directory, of deltas too', () => {
  const features = (first: number): Uint8Array => new Uint8Array(24).map((_, i) => first + i);
  const base = idOf('a');
  const record = packOf('1', [
    { id: idOf('a') },
    { id: idOf('b'), features: features(1) },
    { id: idOf('c'), base },
    { id: idOf('d'), base, features: features(2) },
    { id: idOf('e'), features: features(3) },
  ]);
  const found: [slot: number, features: Uint8Array][] = [];

  const count = scanFeatures(record.body, (slot, each) => found.push([slot, each.slice()]));

  assert.equal(count, 5);
  const { blobs } = directoryOf(record);
  const expected = blobs.flatMap((blob, slot) =>
    blob.features === undefined ? [] : [[slot, blob.features]],
  );
  assert.equal(expected.length, 3);
  assert.deepEqual(found, expected);
});
