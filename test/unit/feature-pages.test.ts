/** The table of features kept in the local index: written, loaded, filled from directories. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { BlobId } from '../../src/id.ts';
import { openEnvironment, writeAll } from '../../src/index/environment.ts';
import type { FeatureStore } from '../../src/index/feature-pages.ts';
import { LocalIndex } from '../../src/index/local-index.ts';
import { candidateAt } from '../../src/index/presence.ts';
import type { PackRecord } from '../../src/pack/pack-record.ts';
import { FeatureTable, hitsLength } from '../../src/similarity/feature-table.ts';
import { isZero, toHex, viewOf } from '../../src/util/bytes.ts';
import {
  bigPackOf,
  idOf,
  listingOf,
  packOf,
  randomIds,
  testRepositoryId as repositoryId,
  segmentName,
  segmentOf,
} from '../helpers/index-packs.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';

const SLOT_BITS = 16;
/** Blobs that make it due to write the table. */
const manyIds = randomIds(seededRandom(), 2 ** 15);

const newTable = (slotBits = SLOT_BITS): FeatureTable => new FeatureTable(slotBits);

/** 24 bytes that are the same for the same text. */
function featuresOf(text: string): Uint8Array {
  return idOf(`features ${text}`).subarray(0, 24);
}

/** A pack with a blob without features, and then one of each name with its features. */
function packWith(name: string, ...texts: string[]): PackRecord {
  const blobs = texts.map((text) => ({ id: idOf(`${name} ${text}`), features: featuresOf(text) }));
  return packOf(name, [{ id: idOf(name) }, ...blobs]);
}

function placeOf(table: FeatureTable, text: string): [packNo: number, slot: number] | undefined {
  const hits = new Uint32Array(hitsLength);
  table.lookUp(featuresOf(text), hits);
  const [packNo = 0, slot = 0, ...others] = hits;
  assert.deepEqual(others, [packNo, slot, packNo, slot]);
  return packNo === 0 ? undefined : [packNo, slot];
}

interface Cache {
  cacheDir: string;
  open(): Promise<LocalIndex>;
}

function newCache(t: TestContext): Cache {
  const cacheDir = tempDir(t);
  return { cacheDir, open: () => LocalIndex.open({ cacheDir, repositoryId }) };
}

/** A cache with one pack that has "a" and "b", and a table that was written with an entry of its own. */
async function savedCache(t: TestContext): Promise<Cache> {
  const cache = newCache(t);
  const index = await cache.open();
  const table = newTable();
  index.loadFeatures(table);
  await index.addPack(packWith('first', 'a', 'b'));
  table.insert(featuresOf('only in the table'), 77, 7);
  await index.addPack(bigPackOf('many', manyIds));
  await index.saveFeatures();
  await index.close();
  return cache;
}

test('LocalIndex enters the features of packs as they are added', async (t) => {
  const index = await newCache(t).open();
  const table = newTable();
  index.loadFeatures(table);

  await index.addPack(packWith('first', 'a', 'b'));
  await index.addPack(packWith('second', 'c', 'b'));

  assert.deepEqual(placeOf(table, 'a'), [1, 1]);
  assert.deepEqual(placeOf(table, 'b'), [2, 2]);
  assert.deepEqual(placeOf(table, 'c'), [2, 1]);
  assert.equal(placeOf(table, 'd'), undefined);
  await index.close();
});

test('LocalIndex loads the table as it was written', async (t) => {
  const index = await (await savedCache(t)).open();
  const table = newTable();

  index.loadFeatures(table);

  assert.deepEqual(placeOf(table, 'a'), [1, 1]);
  assert.deepEqual(placeOf(table, 'only in the table'), [77, 7]);
  assert.deepEqual(table.dirtyPages(), []);
  await index.close();
});

test('LocalIndex does not take in again what was loaded', async (t) => {
  const index = await (await savedCache(t)).open();
  const table = newTable();
  index.loadFeatures(table);
  table.insertByAge = () => assert.fail();

  await index.refillFeatures();

  await index.close();
});

test('LocalIndex keeps the table when nobody closed the cache', async (t) => {
  const cache = await savedCache(t);
  rmSync(join(cache.cacheDir, toHex(repositoryId), 'clean'));
  const index = await cache.open();
  const table = newTable();

  index.loadFeatures(table);

  assert.deepEqual(placeOf(table, 'only in the table'), [77, 7]);
  await index.close();
});

test('LocalIndex does not write the table for a few blobs, and finds them all the same', async (t) => {
  const cache = newCache(t);
  const first = await cache.open();
  const written = newTable();
  first.loadFeatures(written);
  await first.addPack(packWith('first', 'a'));
  await first.saveFeatures();
  assert.notDeepEqual(written.dirtyPages(), []);
  await first.close();
  const index = await cache.open();
  const table = newTable();

  index.loadFeatures(table);
  assert.equal(placeOf(table, 'a'), undefined);
  await index.refillFeatures();

  assert.deepEqual(placeOf(table, 'a'), [1, 1]);
  await index.close();
});

test('LocalIndex.refillFeatures() takes in what others stored, the newest last', async (t) => {
  const cache = await savedCache(t);
  const index = await cache.open();
  const table = newTable();
  const packs = [packWith('second', 'c', 'a'), packWith('third', 'c')];
  index.loadFeatures(table);
  await index.applySegments([{ name: segmentName('s'), segment: segmentOf(packs) }]);
  await index.updateStates({ listed: listingOf(packs), dead: new Set() });

  await index.refillFeatures();

  assert.deepEqual(placeOf(table, 'a'), [3, 2]);
  assert.deepEqual(placeOf(table, 'b'), [1, 2]);
  assert.deepEqual(placeOf(table, 'c'), [4, 1]);
  await index.close();
});

test('LocalIndex.refillFeatures() takes in what others stored before a pack of this session', async (t) => {
  const index = await newCache(t).open();
  const table = newTable();
  index.loadFeatures(table);
  const theirs = [packWith('theirs', 'a', 'b')];
  await index.applySegments([{ name: segmentName('s'), segment: segmentOf(theirs) }]);
  await index.updateStates({ listed: listingOf(theirs), dead: new Set() });
  await index.addPack(packWith('ours', 'b'));
  assert.equal(placeOf(table, 'a'), undefined);

  await index.refillFeatures();

  assert.deepEqual(placeOf(table, 'a'), [1, 1]);
  assert.deepEqual(placeOf(table, 'b'), [2, 1]);
  await index.close();
});

test('LocalIndex.refillFeatures() leaves out packs that are gone', async (t) => {
  const index = await newCache(t).open();
  const table = newTable();
  const packs = [packWith('live', 'a'), packWith('dead', 'a', 'b'), packWith('missing', 'a', 'c')];
  await index.applySegments([{ name: segmentName('s'), segment: segmentOf(packs) }]);
  const [live, dead] = packs as [PackRecord, PackRecord];
  await index.updateStates({ listed: listingOf([live, dead]), dead: new Set([dead.name]) });
  index.loadFeatures(table);

  await index.refillFeatures();

  assert.deepEqual(placeOf(table, 'a'), [1, 1]);
  assert.equal(placeOf(table, 'b'), undefined);
  assert.equal(placeOf(table, 'c'), undefined);
  await index.close();
});

test('LocalIndex.refillFeatures() begins with the newest pack and ends when the table is full', async (t) => {
  const index = await newCache(t).open();
  const packs = [packWith('1', 'a', 'b'), packWith('2', 'c', 'd'), packWith('3', 'e', 'f')];
  for (const pack of packs) await index.addPack(pack);
  const entered: number[] = [];
  const table = newTable();
  const store: FeatureStore = {
    layout: '',
    capacity: 3,
    insert: () => assert.fail(),
    insertByAge: (_features, packNo) => entered.push(packNo),
    dirtyPages: () => [],
    markClean: () => {},
    page: (page) => table.page(page),
    load: () => false,
    clear: () => {},
  };
  index.loadFeatures(store);

  await index.refillFeatures();
  assert.deepEqual(entered, [3, 3, 2, 2]);

  await index.refillFeatures();
  assert.equal(entered.length, 4, 'nothing twice');
  await index.close();
});

test('LocalIndex starts with an empty table where the kept one has another size', async (t) => {
  const cache = await savedCache(t);
  const index = await cache.open();
  const larger = newTable(SLOT_BITS + 1);

  index.loadFeatures(larger);
  assert.equal(placeOf(larger, 'a'), undefined);
  await index.saveFeatures();
  assert.deepEqual(placeOf(larger, 'a'), [1, 1], 'taken in before it is written');
  await index.close();
  const environment = await openEnvironment(join(cache.cacheDir, toHex(repositoryId)));
  const pages = [...environment.features.getKeys()].map((key) => viewOf(key).getUint32(0));
  await environment.root.close();
  const isUsed = (page: number): boolean => !isZero(larger.page(page));
  assert.deepEqual(pages, [...Array(larger.pageCount).keys()].filter(isUsed), 'no others left');

  const again = await cache.open();
  const [loaded, other] = [newTable(SLOT_BITS + 1), newTable()];
  again.loadFeatures(loaded);
  assert.deepEqual(placeOf(loaded, 'a'), [1, 1]);
  again.loadFeatures(other);
  assert.equal(placeOf(other, 'a'), undefined);
  await again.close();
});

test('LocalIndex.loadFeatures() empties a table of another index', async (t) => {
  const index = await newCache(t).open();
  const table = newTable();
  table.insert(featuresOf('a'), 9, 9);

  index.loadFeatures(table);

  assert.equal(placeOf(table, 'a'), undefined);
  await index.close();
});

test('local-index-feature-page-damaged: the table is empty, and the next cache is a new one', async (t) => {
  const cache = await savedCache(t);
  const index = await cache.open();
  await changeLastPage(cache, (row) => row.fill(1, 100, 101));
  // Ends the transaction in which the index reads.
  await index.updateStates({ listed: new Map(), dead: new Set() });
  const table = newTable();

  index.loadFeatures(table);

  for (let page = 0; page < table.pageCount; page++) assert.ok(isZero(table.page(page)));
  assert.equal(index.isDamaged, true);
  await index.close();
  const next = await cache.open();
  assert.equal(next.counts.packs, 0);
  await next.close();
});

async function changeLastPage(cache: Cache, change: (row: Uint8Array) => void): Promise<void> {
  const environment = await openEnvironment(join(cache.cacheDir, toHex(repositoryId)));
  const last = [...environment.features.getRange()].at(-1);
  const { key, value } = last as { key: Uint8Array; value: Uint8Array };
  const row = Uint8Array.from(value);
  change(row);
  assert.notDeepEqual(row, value);
  writeAll(environment, () => environment.features.putSync(Uint8Array.from(key), row));
  await environment.root.close();
}

test('a table that was kept goes with the numbers of its packs', async (t) => {
  const cache = await savedCache(t);
  await LocalIndex.discard({ cacheDir: cache.cacheDir, repositoryId });
  const index = await cache.open();
  const packs = [packWith('zeroth', 'z'), packWith('first', 'a', 'b')];
  await index.applySegments([{ name: segmentName('s'), segment: segmentOf(packs) }]);
  await index.updateStates({ listed: listingOf(packs), dead: new Set() });
  const table = newTable();

  index.loadFeatures(table);
  assert.equal(placeOf(table, 'a'), undefined);
  await index.refillFeatures();

  assert.deepEqual(placeOf(table, 'a'), [2, 1]);
  assert.equal(placeOf(table, 'only in the table'), undefined);
  await index.close();
});

test('places in a table stay when the index writes a new base', async (t) => {
  const cacheDir = tempDir(t);
  const mergeBounds = { min: 1, max: 1 };
  const index = await LocalIndex.open({ cacheDir, repositoryId, mergeBounds });
  const table = newTable();
  index.loadFeatures(table);

  for (const name of ['1', '2', '3']) await index.addPack(packWith(name, `in ${name}`));

  for (const [i, name] of ['1', '2', '3'].entries()) {
    const [packNo, slot] = placeOf(table, `in ${name}`) as [number, number];
    assert.equal(packNo, i + 1);
    const id = candidateAt(index, { packNo, slot })?.blob.id;
    assert.equal(toHex(id as BlobId), toHex(idOf(`${name} in ${name}`)));
  }
  await index.close();
});

test('LocalIndex.loadFeatures() ends the refill of the table before', async (t) => {
  const index = await newCache(t).open();
  const ids = manyIds.slice(0, 2 ** 14);
  const features = new Uint8Array(24 * ids.length);
  for (let i = 0; i < 3; i++) await index.addPack(bigPackOf(`${i}`, ids, features));
  const [before, after] = [newTable(), newTable()];
  let count = 0;
  before.insertByAge = () => count++;
  index.loadFeatures(before);
  const refilled = index.refillFeatures();

  index.loadFeatures(after);

  await refilled;
  assert.equal(count, ids.length, 'one pack');
  await index.close();
});

test('LocalIndex.close() ends a refill', async (t) => {
  const index = await newCache(t).open();
  const ids = manyIds.slice(0, 2 ** 14);
  const features = new Uint8Array(24 * ids.length);
  for (let i = 0; i < 3; i++) await index.addPack(bigPackOf(`${i}`, ids, features));
  const table = newTable();
  let count = 0;
  table.insertByAge = () => count++;
  index.loadFeatures(table);

  const refilled = index.refillFeatures();
  await index.close();

  await refilled;
  assert.equal(count, ids.length, 'one pack');
});
