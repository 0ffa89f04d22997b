/** What a collection tells before it does anything, and how it goes on with what another one left. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { PruneResult } from '../../src/maintain/prune/prune-result.ts';
import { beginSession } from '../../src/repository/begin-session.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { createMemoryStorage } from '../../src/storage/memory.ts';
import type { Clock } from '../../src/util/clock.ts';
import { onFailpoint } from '../../src/util/failpoint.ts';
import { forgetSnapshots, pruneNow } from '../helpers/forget-snapshots.ts';
import {
  countingClock,
  initStorage,
  memoryRepository,
  namesIn,
  newHome,
  openClient,
  snapshotTree,
  sourceTree,
  withClient,
} from '../helpers/repository-crash.ts';
import { tempDir } from '../helpers/temp-dir.ts';

const minuteNs = 60_000_000_000n;

/** Forgets a large snapshot beside a small one. */
async function leaveGarbage(repository: Repository, salt = 7): Promise<void> {
  const { id } = await snapshotTree(repository, {
    ...sourceTree(1),
    ...sourceTree(salt, 3_000_000),
  });
  await snapshotTree(repository, sourceTree(1));
  await forgetSnapshots(repository, [id]);
}

/** Runs a collection that fails when it passes the point. */
async function stopAt(t: TestContext, repository: Repository, point: string): Promise<void> {
  onFailpoint((name) => {
    if (name === point) throw new Error(`stopped at ${point}`);
  });
  t.after(() => onFailpoint(undefined));
  await assert.rejects(pruneNow(repository), /stopped at/);
  onFailpoint(undefined);
}

/** A client of a new repository, and its clock. */
async function newJumpingClient(t: TestContext) {
  const clock = jumpingClock();
  const storage = createMemoryStorage();
  await initStorage(storage);
  const repository = await openClient(storage, { home: newHome(tempDir(t)), salt: 2, clock });
  t.after(() => repository.close());
  return { clock, repository };
}

function planned({ outcome: _, durationNs: __, ...rest }: PruneResult): object {
  return rest;
}

test('confirm() is shown what a dry run gives, and a no leaves everything as it is', async (t) => {
  const { repository, storage } = await memoryRepository(t);
  await leaveGarbage(repository);
  const before = await namesIn(storage);
  const shown: PruneResult[] = [];

  const dry = await pruneNow(repository, { isDryRun: true });
  const declined = await pruneNow(repository, {
    confirm: async (plan) => {
      shown.push(plan);
      return false;
    },
  });

  assert.deepEqual([declined.outcome, declined.deleted.packs], ['planned', 0]);
  assert.deepEqual(shown.map(planned), [planned(dry)]);
  assert.deepEqual(await namesIn(storage), before);
  assert.ok(dry.repacked.packs > 0 && dry.plan.length === dry.dead.packs + dry.repacked.packs);
  const size = dry.plan.reduce((sum, pack) => sum + pack.size, 0);
  assert.equal(size, dry.dead.size + dry.repacked.size);
});

test('confirm() is not asked where there is nothing to do', async (t) => {
  const { repository } = await memoryRepository(t);
  await snapshotTree(repository, sourceTree(1));

  const { outcome } = await pruneNow(repository, { confirm: () => assert.fail('asked') });

  assert.equal(outcome, 'nothing');
});

test('the time that confirm() takes does not count', async (t) => {
  const { clock, repository } = await newJumpingClient(t);
  await leaveGarbage(repository);

  const result = await pruneNow(repository, {
    durationMaxMs: 3_600_000,
    confirm: () => {
      clock.passNs(120n * minuteNs);
      return true;
    },
  });

  assert.equal(result.outcome, 'swept');
  assert.ok(result.repacked.packs > 0, 'an hour was not over');
  assert.ok(result.durationNs < 60n * minuteNs);
});

test('a mark that was left is told of, asked about and carried out', async (t) => {
  const { repository, storage } = await memoryRepository(t);
  await leaveGarbage(repository);
  await stopAt(t, repository, 'prune.4.after');
  const before = await namesIn(storage);

  const dry = await pruneNow(repository, { isDryRun: true });
  const declined = await pruneNow(repository, { confirm: () => false });
  const names = await namesIn(storage);
  const done = await pruneNow(repository, { confirm: () => true });

  assert.equal(dry.outcome, 'planned');
  assert.ok(dry.earlier.packs > 0 && dry.earlier.size > 0);
  assert.equal(declined.outcome, 'planned');
  assert.deepEqual(names, before);
  assert.equal(done.outcome, 'swept');
  assert.deepEqual(done.deleted, dry.earlier);
});

test('after a mark that was left goes what was forgotten since, in the same run', async (t) => {
  const { repository } = await memoryRepository(t);
  await leaveGarbage(repository);
  await stopAt(t, repository, 'prune.4.after');
  await leaveGarbage(repository, 40);
  const shown: PruneResult[] = [];

  const done = await pruneNow(repository, {
    confirm: (result) => {
      shown.push(structuredClone(result));
      return true;
    },
  });
  const again = await pruneNow(repository);

  const [adopted, own] = shown as [PruneResult, PruneResult];
  assert.equal(shown.length, 2);
  assert.ok(adopted.earlier.packs > 0 && adopted.plan.length === 0);
  assert.ok(own.plan.length > 0 && own.earlier.packs === 0);
  assert.deepEqual([done.outcome, done.generation, done.isAdopted], ['swept', 2, false]);
  assert.equal(done.deleted.packs, adopted.earlier.packs + own.plan.length);
  assert.equal(done.deleted.size, adopted.earlier.size + own.dead.size + own.repacked.size);
  assert.deepEqual(done.before, adopted.before);
  assert.equal(again.outcome, 'nothing');
});

test('a run that has no time left after the plan of another one says so', async (t) => {
  const { clock, repository } = await newJumpingClient(t);
  await leaveGarbage(repository);
  await stopAt(t, repository, 'prune.4.after');
  await leaveGarbage(repository, 40);
  onFailpoint((name) => {
    if (name === 'prune.7.after') clock.passNs(120n * minuteNs);
  });

  const first = await pruneNow(repository, { durationMaxMs: 3_600_000 });
  onFailpoint(undefined);
  const second = await pruneNow(repository);

  assert.deepEqual([first.outcome, first.isAdopted, first.plan], ['swept', true, []]);
  assert.deepEqual([second.outcome, second.isAdopted], ['swept', false]);
});

test('a collector whose mark comes second carries out both plans', async (t) => {
  const { repository, storage, directory } = await memoryRepository(t);
  await leaveGarbage(repository);
  const other = await openClient(storage, { home: newHome(directory), salt: 6 });
  t.after(() => other.close());
  let isMarked = false;
  onFailpoint(async (name) => {
    if (name !== 'prune.4.before' || isMarked) return;
    isMarked = true;
    await stopAt(t, other, 'prune.4.after');
    await leaveGarbage(other, 40);
  });
  t.after(() => onFailpoint(undefined));

  const done = await pruneNow(repository, { sessionTtlMs: 0 });
  const again = await pruneNow(repository);

  assert.ok(isMarked);
  assert.deepEqual([done.outcome, done.generation, done.isAdopted], ['swept', 2, false]);
  assert.equal(again.outcome, 'nothing');
});

test('a sweep that was left is carried out without asking, and told of', async (t) => {
  const { repository } = await memoryRepository(t);
  await leaveGarbage(repository);
  await stopAt(t, repository, 'prune.8.deleted');

  const dry = await pruneNow(repository, { isDryRun: true });
  const { outcome, earlier, deleted } = await pruneNow(repository, {
    confirm: () => assert.fail('asked'),
  });

  assert.equal(outcome, 'nothing');
  assert.ok(deleted.packs > 0);
  assert.deepEqual([earlier, deleted], [dry.earlier, dry.earlier]);
});

test('forgotten snapshots within the grace are counted', async (t) => {
  const { repository } = await memoryRepository(t);
  await leaveGarbage(repository);

  const kept = await pruneNow(repository, { isDryRun: true, graceMs: 3_600_000 });
  const gone = await pruneNow(repository, { isDryRun: true });

  assert.deepEqual([kept.snapshots, kept.inGrace, kept.plan.length], [2, 1, 0]);
  assert.deepEqual([gone.snapshots, gone.inGrace], [1, 0]);
});

test('packs that there was no time to repack stay, and what is dead in them is waste', async (t) => {
  const { repository } = await memoryRepository(t);
  await leaveGarbage(repository);

  const dry = await pruneNow(repository, { isDryRun: true });
  const { outcome, repacked, wasteLeft, isLimited } = await pruneNow(repository, {
    durationMaxMs: 0,
  });

  assert.ok(dry.repacked.packs > 0);
  assert.notEqual(outcome, 'waiting');
  assert.deepEqual(repacked, { packs: 0, size: 0, liveSize: 0 });
  assert.ok(isLimited && wasteLeft > dry.wasteLeft + 1_000_000, `${wasteLeft} bytes`);
});

test('a session that falls silent while it is waited for ends the wait', async (t) => {
  const clock = jumpingClock();
  const storage = createMemoryStorage({ clock });
  await initStorage(storage);
  const [own, other] = [newHome(tempDir(t)), newHome(tempDir(t))];
  const repository = await openClient(storage, { home: own, salt: 2, clock });
  t.after(() => repository.close());
  await leaveGarbage(repository);
  await withClient(storage, { home: other, salt: 3, clock }, (client) =>
    beginSession(client, { purpose: 'snapshot' }),
  );
  let waits = 0;

  const { outcome, waitingFor } = await pruneNow(repository, {
    wait: async () => {
      waits += 1;
      assert.ok(waits < 100, 'it waits for ever');
      clock.passNs(minuteNs);
    },
  });

  assert.equal(outcome, 'waiting');
  assert.equal(waitingFor.length, 1);
  assert.ok(waits >= 30, `${waits} minutes`);
});

/** A clock that goes on by itself a little, and far when it is told to. */
function jumpingClock(): Clock & { passNs: (ns: bigint) => void } {
  const inner = countingClock();
  let passed = 0n;
  return {
    nowNs: () => inner.nowNs() + passed,
    monotonicNs: () => inner.monotonicNs() + passed,
    passNs: (ns) => {
      passed += ns;
    },
  };
}
