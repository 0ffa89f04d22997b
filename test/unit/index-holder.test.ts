/** What becomes of the local index where the cache it would be made anew in cannot be taken away. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemCacheFs } from '../../src/index/cache-fs.ts';
import { IndexHolder } from '../../src/repository/index-holder.ts';
import { testRepositoryId as repositoryId } from '../helpers/index-packs.ts';
import { tempDir } from '../helpers/temp-dir.ts';

test('IndexHolder.discard() goes on with a temporary index where a disk fails', async (t) => {
  const notices: string[] = [];
  const cacheDirectory = tempDir(t);
  const onNotice = (text: string): unknown => notices.push(text);
  const holder = new IndexHolder({ cacheDirectory, repositoryId, onNotice });
  await holder.open();
  t.mock.method(systemCacheFs, 'rename', async () => {
    throw Object.assign(new Error('EIO: simulated'), { code: 'EIO' });
  });

  await holder.discard();
  const index = await holder.open();

  assert.deepEqual([...index.packs()], []);
  assert.deepEqual(notices, ['Cannot write the cache: EIO: simulated; going on without it']);
  await holder.close();
});
