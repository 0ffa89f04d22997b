/** A collection in the midst of which another one runs from its beginning to its end. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { BusyError } from '../../src/errors.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { newStage, ownTree, type Stage } from '../helpers/collection-stage.ts';
import { interceptStorage } from '../helpers/fault-storage.ts';
import { pruneNow } from '../helpers/forget-snapshots.ts';

/** Snapshots that share something, of which all but one are forgotten: most packs have to go. */
async function stageWithGarbage(t: TestContext): Promise<Stage> {
  const stage = await newStage(t);
  const client = await stage.client();
  const taken = [];
  for (let i = 0; i < 5; i++) taken.push(await stage.save(client, ownTree(i, i + 1)));
  await stage.forget(client, ...taken.slice(0, -1));
  return stage;
}

/** A storage before whose call of that number, counted from `begin()` on, something else happens. */
function before(
  storage: Storage,
  number: number,
  action: () => Promise<void>,
): { storage: Storage; begin: () => void; wasReached: () => boolean } {
  let count = Number.NEGATIVE_INFINITY;
  const seen = interceptStorage(storage, async (_call, run) => {
    count += 1;
    if (count === number) await action();
    return await run();
  });
  const begin = (): void => {
    count = 0;
  };
  return { storage: seen, begin, wasReached: () => count >= number };
}

test('a collection that another one overtakes is busy or goes on, and finds no damage', async (t) => {
  const stage = await stageWithGarbage(t);
  let ends = 0;
  for (let number = 1; ; number++) {
    const copy = await stage.copy();
    const other = await copy.client();
    const { storage, begin, wasReached } = before(copy.storage, number, async () => {
      await pruneNow(other, { sessionTtlMs: 0 });
    });
    const client = await copy.client(storage);
    // It knows the packs there are.
    await pruneNow(client, { isDryRun: true });
    begin();
    await pruneNow(client, { sessionTtlMs: 0 }).then(
      () => {
        ends += 1;
      },
      (error: unknown) => assert.ok(error instanceof BusyError, `call ${number}: ${error}`),
    );
    if (!wasReached()) break;
    if (number % 10 === 0) assert.deepEqual(await copy.losses(), [], `call ${number}`);
  }
  assert.ok(ends > 10, `${ends} went on`);
});
