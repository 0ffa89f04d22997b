/** `BaseFinder` alone, over an index whose packs are made up. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BlobId } from '../../src/id.ts';
import { LocalIndex } from '../../src/index/local-index.ts';
import { BaseFinder, type WantedBase } from '../../src/repository/base-finder.ts';
import { bigPackOf, randomIds, testRepositoryId } from '../helpers/index-packs.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';

const packCount = 40;
const chunksPerPack = 2000;

test('BaseFinder takes a larger table when its own is full, and forgets nothing', async (t) => {
  const random = seededRandom(1);
  const cacheDir = tempDir(t);
  const index = await LocalIndex.open({ cacheDir, repositoryId: testRepositoryId });
  t.after(() => index.close());
  const finder = new BaseFinder(index, { depthMax: 8, onNotice: assert.fail });
  const packs = Array.from({ length: packCount }, () => ({
    ids: randomIds(random, chunksPerPack),
    features: random.bytes(24 * chunksPerPack),
  }));
  const wantedOf = (ids: readonly BlobId[], features: Uint8Array): WantedBase[] =>
    ids.map((id, i) => ({
      id,
      features: features.subarray(24 * i, 24 * i + 24),
      hint: undefined,
      isFlat: false,
    }));

  for (const [i, { ids, features }] of packs.entries()) {
    await finder.open();
    finder.find(wantedOf(ids, features));
    await index.addPack(bigPackOf(`${i}`, ids, features));
  }
  await finder.open();

  let found = 0;
  for (const { ids, features } of packs) {
    const { candidates } = finder.find(wantedOf(randomIds(random, chunksPerPack), features));
    for (const [i, [first]] of candidates.entries()) {
      if (first !== undefined && Buffer.compare(first.id, ids[i] as BlobId) === 0) found++;
    }
  }
  // In a table that is nearly full, four in a bucket have pushed some fifth out.
  assert.ok(found > 0.95 * packCount * chunksPerPack, `${found} chunks are found`);
});
