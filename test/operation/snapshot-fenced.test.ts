/** A session that collections end and whose packs they take, whatever it was about to do. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newStage, ownTree } from '../helpers/collection-stage.ts';
import { interceptStorage } from '../helpers/fault-storage.ts';
import { pruneNow } from '../helpers/forget-snapshots.ts';

test('a snapshot whose session is fenced and whose packs are swept starts over', async (t) => {
  const stage = await newStage(t);
  await stage.save(await stage.client(), ownTree(1));
  for (let number = 1, isReached = true; isReached; number++) {
    const copy = await stage.copy();
    const other = await copy.client();
    let count = 0;
    const storage = interceptStorage(copy.storage, async (_call, run) => {
      count += 1;
      if (count === number) {
        // It takes over what the sleeper stored, and needs nothing of it.
        await copy.save(other, ownTree(2));
        for (let i = 0; i < 2; i++) await pruneNow(other, { sessionTtlMs: 0 });
      }
      return await run();
    });
    const client = await copy.client(storage);

    await copy.save(client, ownTree(1, 3)).catch((error: unknown) => {
      assert.fail(`call ${number}: ${error}`);
    });

    isReached = count >= number;
    if (number % 10 === 0) assert.deepEqual(await copy.losses(), [], `call ${number}`);
  }
});
