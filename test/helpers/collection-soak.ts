/** Many days of two clients that save, forget and collect, and are killed at random. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { VarveError } from '../../src/errors.ts';
import { loadView } from '../../src/repository/view.ts';
import { newStage, ownTree } from './collection-stage.ts';
import { StorageStopped, stopStorage } from './fault-storage.ts';
import { pruneNow } from './forget-snapshots.ts';
import { type Home, SOURCE_ROOT, withClient } from './repository-crash.ts';
import { seededRandom, testSeed } from './seeded-random.ts';
import { edited, textOf } from './similar-versions.ts';

const keptDays = 8;
const verifyDays = 10;

/** One file that changes a little every day, one that changes every week, one of the day. */
function dayTree(day: number): ReturnType<typeof ownTree> {
  return {
    ...ownTree(day),
    [`${SOURCE_ROOT}/daily`]: edited(textOf(1, 9000), 100 + day, 3),
    [`${SOURCE_ROOT}/weekly`]: textOf(200 + Math.floor(day / 7), 9000),
  };
}

/** Fails where anything acknowledged is lost; everything is verified every few days. */
export async function runSoak(t: TestContext, { days }: { days: number }): Promise<void> {
  const random = seededRandom(testSeed + 77);
  const stage = await newStage(t);
  const homes = [stage.home(), stage.home()];
  const taken = new Map<string, number>();
  let kills = 0;
  for (let day = 0; day < days; day++) {
    const home = homes[day % homes.length] as Home;
    home.stateFs.reboot();
    // A day takes some hundred calls; most days nobody is killed.
    const last = random.below(3) === 0 ? random.below(250) : Number.POSITIVE_INFINITY;
    const storage = stopStorage(stage.storage, last);
    const { clock } = stage;
    try {
      await withClient(storage, { home, salt: 1000 + day, clock }, async (repository) => {
        const { id } = await stage.save(repository, dayTree(day));
        taken.set(id, day);
        const old = [...stage.expected.keys()]
          .filter((one) => day - (taken.get(one) ?? day) >= keptDays)
          .map((one) => ({ id: one }));
        if (old.length > 0) await stage.forget(repository, ...old);
        if (day % 3 === 2) await pruneNow(repository, { sessionTtlMs: 0 });
      });
    } catch (error) {
      assert.ok(error instanceof StorageStopped || error instanceof VarveError, `${error}`);
      kills += 1;
      await noteUnacknowledged(day);
    }
    clock.passHours(24);
    if (day % verifyDays === 0 || day === days - 1) {
      assert.deepEqual(await stage.losses(), [], `after day ${day}`);
    }
  }
  t.diagnostic(`${days} days, ${kills} of them ended early, ${stage.expected.size} snapshots left`);

  /** Whoever was killed may have committed, or have put no tomb, without saying so. */
  async function noteUnacknowledged(today: number): Promise<void> {
    const options = { home: stage.home(), salt: 9, clock: stage.clock };
    const { snapshots } = await withClient(stage.storage, options, (one) => loadView(one, 'read'));
    for (const { id } of snapshots) {
      if (stage.expected.has(id)) continue;
      if (!taken.has(id)) taken.set(id, today);
      stage.expected.set(id, dayTree(taken.get(id) as number));
    }
  }
}
