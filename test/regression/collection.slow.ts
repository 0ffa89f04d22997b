/** Years of collections: see `collection-index.test.ts`. Ids as in docs/regressions.md. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runSoak } from '../helpers/collection-soak.ts';
import { newStage, ownTree } from '../helpers/collection-stage.ts';
import { pruneNow } from '../helpers/forget-snapshots.ts';
import { namesIn, SOURCE_ROOT } from '../helpers/repository-crash.ts';
import { edited, textOf } from '../helpers/similar-versions.ts';

test('G07 two years of daily snapshots, forgetting and collecting with kills', async (t) => {
  await runSoak(t, { days: 730 });
});

const hours = 8760;
const keptHours = 24 * 7;

/** 200 KiB of which a little changes every hour. */
function hourTree(hour: number): ReturnType<typeof ownTree> {
  return { ...ownTree(hour), [`${SOURCE_ROOT}/all`]: edited(textOf(1, 200_000), 500 + hour, 20) };
}

test('G32 a year of hourly snapshots of 200 KiB with weekly collections stays few objects', async (t) => {
  const stage = await newStage(t);
  const client = await stage.client();
  const taken: { id: string }[] = [];
  let objectsMax = 0;
  for (let hour = 0; hour < hours; hour++) {
    taken.push(await stage.save(client, hourTree(hour)));
    stage.clock.passHours(1);
    if (hour % keptHours !== keptHours - 1) continue;
    await stage.forget(client, ...taken.splice(0, taken.length - 20));
    await pruneNow(client);
    // Segments that were superseded stay for an hour.
    stage.clock.passHours(2);
    await pruneNow(client);
    const count = (await namesIn(stage.storage)).length;
    objectsMax = Math.max(objectsMax, count);
    t.diagnostic(`${hour + 1} hours: ${count} objects after the collection`);
  }

  assert.ok(objectsMax < 300, `${objectsMax} objects`);
  assert.deepEqual(await stage.losses(), []);
});
