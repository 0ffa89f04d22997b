/** Rules PRESENT and CHAIN, and the order in which copies are tried. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { BLOB_TYPE } from '../../src/blob/blob-type.ts';
import { type BlobId, blobKey, type PackName } from '../../src/id.ts';
import { LocalIndex } from '../../src/index/local-index.ts';
import {
  candidateAt,
  hasLostBlobs,
  isPresent,
  locate,
  usableChain,
} from '../../src/index/presence.ts';
import type { PackRecord } from '../../src/pack/pack-record.ts';
import {
  type BlobPlan,
  idOf,
  listingOf,
  packOf,
  segmentName,
  segmentOf,
  testRepositoryId,
} from '../helpers/index-packs.ts';
import { tempDir } from '../helpers/temp-dir.ts';

const nothing: ReadonlySet<PackName> = new Set();

async function openIndex(t: TestContext): Promise<LocalIndex> {
  const index = await LocalIndex.open({ cacheDir: tempDir(t), repositoryId: testRepositoryId });
  t.after(() => index.close());
  return index;
}

/** An index with these packs in a segment, all listed. */
async function indexOf(t: TestContext, packs: PackRecord[]): Promise<LocalIndex> {
  const index = await openIndex(t);
  await index.updateStates({ listed: listingOf(packs), dead: nothing });
  await index.applySegments([{ name: segmentName('all'), segment: segmentOf(packs) }]);
  return index;
}

function link(i: number): BlobId {
  return idOf(`link ${i}`);
}

/** One pack per delta: link n is kept as a delta on link n - 1. */
function chainPacks(count: number): PackRecord[] {
  return Array.from({ length: count }, (_, i) => {
    const plan: BlobPlan = { id: link(i + 1), base: link(i), depth: Math.min(i + 1, 32) };
    return packOf(`chain ${i + 1}`, [plan]);
  });
}

test('isPresent() counts a whole copy only in a live pack of the right size', async (t) => {
  const pack = packOf('1', [{ id: idOf('a') }]);
  const index = await openIndex(t);

  await index.applySegments([{ name: segmentName('s'), segment: segmentOf([pack]) }]);
  assert.equal(isPresent(index, idOf('a')), false, 'no view yet');

  const listed = listingOf([pack]);
  await index.updateStates({ listed, dead: nothing });
  assert.equal(isPresent(index, idOf('a')), true);
  assert.equal(isPresent(index, idOf('b')), false);

  await index.updateStates({ listed: new Map([[pack.name, pack.length + 1]]), dead: nothing });
  assert.equal(isPresent(index, idOf('a')), false, 'another size');
  await index.updateStates({ listed: new Map(), dead: nothing });
  assert.equal(isPresent(index, idOf('a')), false, 'not listed');
  await index.updateStates({ listed, dead: new Set([pack.name]) });
  assert.equal(isPresent(index, idOf('a')), false, 'dead');
  await index.updateStates({ listed, dead: nothing });
  assert.equal(isPresent(index, idOf('a')), true, 'rescued');
});

test('isPresent() does not count copies that are distrusted, nor deltas on them', async (t) => {
  const whole = packOf('whole', [{ id: idOf('a') }, { id: idOf('b') }]);
  const delta = packOf('delta', [{ id: idOf('on a'), base: idOf('a'), depth: 1 }]);
  const index = await indexOf(t, [whole, delta]);
  assert.equal(isPresent(index, idOf('on a')), true);

  index.distrust(new Map([[whole.name, new Set([blobKey(idOf('a'))])]]));
  const present = ['a', 'b', 'on a'].map((name) => isPresent(index, idOf(name)));
  const lost = hasLostBlobs(index);
  const other = packOf('other', [{ id: idOf('a') }]);
  await index.addPack(other);
  const after = ['a', 'b', 'on a'].map((name) => isPresent(index, idOf(name)));

  assert.deepEqual([present, lost], [[false, true, false], true]);
  assert.deepEqual([after, hasLostBlobs(index)], [[true, true, true], false]);
  assert.deepEqual(
    locate(index, idOf('a')).map(({ pack }) => pack.name),
    [other.name, whole.name],
  );
  assert.equal(usableChain(index, idOf('on a'))?.at(-1)?.pack.name, other.name);
});

test('isPresent() does not count a distrusted pack that becomes known later', async (t) => {
  const pack = packOf('1', [{ id: idOf('a') }]);
  const index = await openIndex(t);
  await index.updateStates({ listed: listingOf([pack]), dead: nothing });
  index.distrust(new Map([[pack.name, 'all']]));

  await index.addPack(pack);

  assert.equal(isPresent(index, idOf('a')), false);
  index.distrust(new Map());
  assert.equal(isPresent(index, idOf('a')), true);
});

test('isPresent() counts a pack in no segment only in the session that uploaded it', async (t) => {
  const options = { cacheDir: tempDir(t), repositoryId: testRepositoryId };
  const pack = packOf('1', [{ id: idOf('a') }, { id: idOf('b'), base: idOf('a') }]);
  const first = await LocalIndex.open(options);
  await first.updateStates({ listed: new Map(), dead: nothing });
  await first.addPack(pack);
  assert.equal(isPresent(first, idOf('b')), true);
  await first.close();

  const second = await LocalIndex.open(options);
  await second.updateStates({ listed: listingOf([pack]), dead: nothing });
  assert.equal(isPresent(second, idOf('a')), false);
  assert.equal(isPresent(second, idOf('b')), false);

  await second.addPack(pack);
  assert.equal(isPresent(second, idOf('b')), true, 'adopted');
  await second.close();
});

test('isPresent() never counts a dead pack, even one of this session', async (t) => {
  const pack = packOf('1', [{ id: idOf('a') }]);
  const index = await openIndex(t);

  await index.updateStates({ listed: new Map(), dead: new Set([pack.name]) });
  await index.addPack(pack);

  assert.equal(isPresent(index, idOf('a')), false);
});

test('isPresent() follows a chain of 32 deltas and not one of 33', async (t) => {
  const index = await indexOf(t, [packOf('root', [{ id: link(0) }]), ...chainPacks(34)]);

  // The longest first, so that no shorter one is remembered.
  assert.equal(isPresent(index, link(33)), false);
  assert.equal(isPresent(index, link(32)), true);
  assert.equal(isPresent(index, link(33)), false);
  assert.equal(isPresent(index, link(1)), true);
  assert.equal(isPresent(index, link(34)), false);
});

test('isPresent() takes the shorter of two chains', async (t) => {
  const chain = chainPacks(40);
  const shortcut = packOf('shortcut', [{ id: link(20), base: link(0), depth: 32 }]);
  const index = await indexOf(t, [packOf('root', [{ id: link(0) }]), ...chain, shortcut]);

  assert.equal(isPresent(index, link(40)), true);
  assert.equal(isPresent(index, link(20)), true);
});

test('isPresent() refuses a delta without its base, also further up the chain', async (t) => {
  const [one, two, three] = chainPacks(3) as [PackRecord, PackRecord, PackRecord];
  const root = packOf('root', [{ id: link(0) }]);
  const all = [root, one, two, three];
  const index = await indexOf(t, all);
  assert.equal(isPresent(index, link(3)), true);

  for (const gone of all) {
    const listed = listingOf(all.filter((pack) => pack !== gone));
    await index.updateStates({ listed, dead: nothing });
    assert.equal(isPresent(index, link(3)), false, `missing ${gone.name}`);
    await index.updateStates({ listed: listingOf(all), dead: new Set([gone.name]) });
    assert.equal(isPresent(index, link(3)), false, `dead ${gone.name}`);
  }
  await index.updateStates({ listed: listingOf(all), dead: nothing });
  assert.equal(isPresent(index, link(3)), true);
});

test('isPresent() refuses deltas that form a circle, until one has a whole copy', async (t) => {
  const circle = packOf('circle', [
    { id: idOf('a'), base: idOf('b') },
    { id: idOf('b'), base: idOf('c') },
    { id: idOf('c'), base: idOf('a') },
  ]);
  const whole = packOf('whole', [{ id: idOf('b') }]);
  const index = await indexOf(t, [circle, whole]);

  await index.updateStates({ listed: listingOf([circle]), dead: nothing });
  for (const text of ['a', 'b', 'c']) assert.equal(isPresent(index, idOf(text)), false);

  await index.updateStates({ listed: listingOf([circle, whole]), dead: nothing });
  for (const text of ['a', 'b', 'c']) assert.equal(isPresent(index, idOf(text)), true);
});

test('isPresent() ends soon among many circles', async (t) => {
  const plans: BlobPlan[] = [];
  for (let i = 0; i < 20; i++) {
    for (let j = 0; j < 20; j++) if (i !== j) plans.push({ id: link(i), base: link(j) });
  }
  const index = await indexOf(t, [packOf('all on all', plans)]);

  assert.equal(isPresent(index, link(0)), false);
});

test('isPresent() does not take a delta whose id differs after 16 bytes', async (t) => {
  const stored = idOf('a');
  const other = stored.slice() as BlobId;
  other[31] = (other[31] as number) ^ 1;
  const delta = packOf('1', [{ id: idOf('base') }, { id: stored, base: idOf('base') }]);
  const index = await indexOf(t, [delta]);

  assert.equal(isPresent(index, stored), true);
  assert.equal(isPresent(index, other), false);
  assert.deepEqual(locate(index, other), []);
});

test('locate() puts whole copies first, then deltas by depth, and unusable packs last', async (t) => {
  const id = idOf('a');
  const packs = [
    packOf('deep', [{ id, base: idOf('b'), depth: 3 }]),
    packOf('whole', [{ id: idOf('z') }, { id }]),
    packOf('shallow', [{ id, base: idOf('b') }]),
    packOf('gone', [{ id }]),
    packOf('swept', [{ id }]),
  ] as const;
  const [deep, whole, shallow, gone, swept] = packs;
  const index = await indexOf(t, [...packs]);
  const listed = listingOf([deep, whole, shallow, swept]);
  await index.updateStates({ listed, dead: new Set([swept.name]) });

  const locations = locate(index, id);

  const names = locations.map(({ pack }) => pack.name);
  assert.deepEqual(
    names,
    [whole, shallow, deep, swept, gone].map(({ name }) => name),
  );
  const [first] = locations;
  assert.equal(first?.slot, 1);
  assert.equal(first?.blob.id[5], id[5]);
  assert.equal(first?.frame.offset, 64 + 16 + 1 + ((idOf('z')[0] as number) & 63));
  assert.equal(first?.pack.length, whole.length);
});

const features = new Uint8Array(24).fill(1);

test('candidateAt() gives the blob in a place with all that is needed to read it', async (t) => {
  const plans = [{ id: idOf('a') }, { id: idOf('b'), features }];
  const pack = packOf('1', plans);
  const index = await indexOf(t, [packOf('0', [{ id: idOf('x') }]), pack]);

  const found = candidateAt(index, { packNo: 2, slot: 1 });

  assert.deepEqual(found, locate(index, idOf('b'))[0]);
  assert.equal(found?.pack.name, pack.name);
  assert.equal(found.depth, 0);
  assert.ok(found.frame.offset > 64);
});

test('candidateAt() misses where the place is stale', async (t) => {
  const pack = packOf('1', [{ id: idOf('a') }, { id: idOf('b'), features }]);
  const index = await indexOf(t, [pack]);
  const place = { packNo: 1, slot: 1 };
  assert.notEqual(candidateAt(index, place), undefined);

  for (const [packNo, slot] of [
    [1, 0],
    [1, 2],
    [1, 2 ** 32 - 1],
    [0, 1],
    [2, 1],
    [2 ** 32 - 1, 1],
  ] as const) {
    assert.equal(candidateAt(index, { packNo, slot }), undefined, `${packNo} ${slot}`);
  }
  await index.updateStates({ listed: listingOf([pack]), dead: new Set([pack.name]) });
  assert.equal(candidateAt(index, place), undefined, 'dead');
  await index.updateStates({ listed: new Map(), dead: nothing });
  assert.equal(candidateAt(index, place), undefined, 'missing');
});

test('candidateAt() gives no tree page, even one with features', async (t) => {
  const page = { id: idOf('page'), type: BLOB_TYPE.treePage, features };
  const index = await indexOf(t, [packOf('1', [page, { id: idOf('a'), features }])]);

  assert.equal(candidateAt(index, { packNo: 1, slot: 0 }), undefined);
  assert.notEqual(candidateAt(index, { packNo: 1, slot: 1 }), undefined);
});

test('candidateAt() gives a delta only with the whole chain of its bases', async (t) => {
  const root = packOf('root', [{ id: link(0) }]);
  const one = packOf('one', [{ id: link(1), base: link(0), features }]);
  const two = packOf('two', [{ id: link(2), base: link(1), depth: 2, features }]);
  const all = [root, one, two];
  const index = await indexOf(t, all);
  const place = { packNo: 3, slot: 0 };
  assert.equal(candidateAt(index, place)?.blob.delta?.depth, 2);

  for (const gone of [root, one]) {
    await index.updateStates({ listed: listingOf(all), dead: new Set([gone.name]) });
    assert.equal(candidateAt(index, place), undefined, gone.name);
  }
});
