/** What the storage may learn, and what it may cost to open a repository. Ids as in docs/regressions.md. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { VarveError } from '../../src/errors.ts';
import { loadView } from '../../src/repository/view.ts';
import type { ByteRange, Storage } from '../../src/storage/storage.ts';
import { newStage, ownTree } from '../helpers/collection-stage.ts';
import { interceptStorage } from '../helpers/fault-storage.ts';
import { pruneNow } from '../helpers/forget-snapshots.ts';
import { namesIn, SOURCE_ROOT } from '../helpers/repository-crash.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import { restore } from '../helpers/test-repository.ts';

const gridSize = 2 ** 18;

test('F04 thousands of files that look like key slots cost no more than a few', async (t) => {
  const stage = await newStage(t);
  const [good = ''] = await namesIn(stage.storage, 'keys/');
  const slot = await stage.storage.get(good);
  await stage.storage.delete(good);
  for (let i = 0; i < 5000; i++) {
    await stage.storage.putIfAbsent(`keys/${i.toString(16).padStart(32, '0')}`, slot.toReversed());
  }
  let reads = 0;
  const counted = interceptStorage(stage.storage, async ({ operation }, run) => {
    if (operation === 'get' || operation === 'getRange') reads += 1;
    return await run();
  });

  await assert.rejects(stage.client(counted), VarveError);

  assert.ok(reads < 50, `${reads} reads`);
});

test('F08 restore, check and collection read packs on the grid', async (t) => {
  const stage = await newStage(t);
  const requests: { name: string; range: ByteRange; size: number }[] = [];
  const inner = stage.storage;
  const watched: Storage = {
    ...interceptStorage(inner, (_call, run) => run()),
    getRange: async (name, range, options) => {
      const stat = await inner.stat(name);
      if (!name.startsWith('keys/')) requests.push({ name, range, size: stat?.size ?? 0 });
      return await inner.getRange(name, range, options);
    },
  };
  const file = (salt: number, size: number) => ({
    [`${SOURCE_ROOT}/${salt}`]: seededRandom(salt).bytes(size),
  });
  const client = await stage.client(watched);
  const first = await stage.save(client, { ...file(1, 3_000_000), ...file(2, 6_000_000) });
  await stage.save(client, { ...file(2, 6_000_000), ...ownTree(1) });
  await stage.forget(client, first);

  const { repacked } = await pruneNow(await stage.client(watched));
  assert.deepEqual(await stage.losses(watched), []);
  const reader = await stage.client(watched);
  const [snapshot] = (await loadView(reader, 'read')).snapshots;
  assert.ok(snapshot !== undefined);
  const restored = { repository: reader, cacheDirectory: '', stateDirectory: '', notices: [] };
  const { problems } = await restore(restored, { snapshot }, join(tempDir(t), 'target'));

  assert.ok(repacked.packs > 0);
  assert.deepEqual(problems, []);
  assert.ok(requests.some(({ range, size }) => range.length < size));
  const isOnGrid = ({ range: { offset, length }, size }: (typeof requests)[number]): boolean =>
    offset % gridSize === 0 && ((offset + length) % gridSize === 0 || offset + length === size);
  assert.deepEqual(
    requests.filter((request) => !isOnGrid(request)),
    [],
  );
});
