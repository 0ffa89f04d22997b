/**
 * Collections of repositories in which blobs are deltas on one another: no live delta loses its base,
 * and nobody relies on one that has. Ids as in docs/regressions.md.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { PackName } from '../../src/id.ts';
import { checkRepository } from '../../src/maintain/check.ts';
import type { PackRecord } from '../../src/pack/pack-record.ts';
import { loadCollectorState } from '../../src/repository/collector-state.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { createMemoryStorage } from '../../src/storage/memory.ts';
import {
  HandClock,
  mortal,
  newStage,
  ownTree,
  pauseAt,
  Stage,
} from '../helpers/collection-stage.ts';
import { crashableStorage, interceptStorage, StorageStopped } from '../helpers/fault-storage.ts';
import { pruneNow } from '../helpers/forget-snapshots.ts';
import { RecordWriter } from '../helpers/record-writer.ts';
import { similarPlaintexts, storePack } from '../helpers/record-writer-packs.ts';
import { initStorage, namesIn, SOURCE_ROOT } from '../helpers/repository-crash.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { edited, textOf } from '../helpers/similar-versions.ts';

type Tree = ReturnType<typeof ownTree>;

/** Of the file `alike` each version is a delta on the one before, when that is there. */
function alikeTree(version: number): Tree {
  let content = textOf(1, 12_000);
  for (let i = 0; i < version; i++) content = edited(content, 10 + i);
  return { [`${SOURCE_ROOT}/alike`]: content };
}

const large = { [`${SOURCE_ROOT}/large`]: seededRandom(1).bytes(60_000) };

async function packNames({ storage }: Pick<Stage, 'storage'>): Promise<string[]> {
  const names = [...(await namesIn(storage, 'data/')), ...(await namesIn(storage, 'meta/'))];
  return names.map((name) => name.slice(-64));
}

for (const isWasteful of [false, true]) {
  const how = isWasteful ? 'is in a pack that is rewritten' : 'is all that is live in its pack';
  test(`G26 the base of a live delta stays though no snapshot refers to it: it ${how}`, async (t) => {
    const stage = await newStage(t);
    const client = await stage.client();
    const first = await stage.save(client, { ...alikeTree(0), ...(isWasteful && large) });
    const second = await stage.save(client, alikeTree(1));
    const third = await stage.save(client, alikeTree(2));
    assert.deepEqual([second.deltaBlobs, third.deltaBlobs], [1, 1]);
    await stage.forget(client, first, second);

    const { outcome, repacked } = await pruneNow(await stage.client());

    assert.equal(outcome, 'swept');
    if (isWasteful) assert.ok(repacked.packs > 0);
    assert.deepEqual(await stage.losses(), []);
    const again = await stage.save(await stage.client(), alikeTree(2));
    assert.equal(again.newBlobs, 0, 'the delta counts');
    await pruneNow(client);
    assert.deepEqual(await stage.losses(), []);
  });
}

interface Circle {
  stage: Stage;
  /** x whole, d whole, x as a delta on d, d as a delta on x; each in a pack of its own. */
  packs: PackRecord[];
}

/** A snapshot of two files, of which two writers have each stored one whole and the other as a delta. */
async function newCircle(t: TestContext): Promise<Circle> {
  const stage = await newStage(t);
  const client = await stage.client();
  const [x, d] = similarPlaintexts(2) as [Uint8Array, Uint8Array];
  const packs = [
    await storePack(client, [{ plaintext: x }]),
    await storePack(client, [{ plaintext: d }]),
    await storePack(client, [{ plaintext: x, delta: { base: d, depth: 1 } }]),
    await storePack(client, [{ plaintext: d, delta: { base: x, depth: 1 } }]),
  ];
  const taken = await stage.save(client, {
    [`${SOURCE_ROOT}/x`]: x,
    [`${SOURCE_ROOT}/d`]: d,
  });
  assert.ok(taken.newBytes < 1000, 'the packs are taken over');
  return { stage, packs };
}

test('G27 x on d and d on x: whatever is condemned, whole copies enough are kept', async (t) => {
  const { stage: original, packs } = await newCircle(t);
  for (let subset = 1; subset < 16; subset++) {
    const stage = await original.copy();
    const client = await stage.client();
    const names = packs.filter((_pack, i) => (subset & (1 << i)) !== 0).map(({ name }) => name);
    await new RecordWriter(client).mark(1, { condemned: names.sort() });

    await pruneNow(client);

    assert.deepEqual(await stage.losses(), [], `condemned: ${subset}`);
    const left = await packNames(stage);
    const kept = packs.map(({ name }) => left.includes(name));
    assert.ok(kept[0] || kept[1], 'one is whole');
    await pruneNow(await stage.client());
    assert.deepEqual(await stage.losses(), [], `condemned: ${subset}, and collected again`);
  }
});

for (const point of [
  'session.3.before-pack',
  'session.3.after-pack',
  'session.4.before',
] as const) {
  test(`G28 a writer asleep at ${point} publishes a delta whose base was swept`, async (t) => {
    const stage = await newStage(t);
    const collector = await stage.client();
    const first = await stage.save(collector, alikeTree(0));
    await stage.save(collector, ownTree(1));
    const pause = pauseAt(t, point);
    const sleeper = mortal(stage.storage);
    // It gets as far as its segment, and is never seen again.
    const dying = interceptStorage(sleeper.storage, async ({ operation, name }, run) => {
      const answer = await run();
      if (operation === 'put' && name.startsWith('index/')) sleeper.kill();
      return answer;
    });
    const saving = stage.save(await stage.client(dying), alikeTree(1));
    await pause.reached;
    await stage.forget(collector, first);
    const { deleted } = await pruneNow(collector, { sessionTtlMs: 0 });
    assert.ok(deleted.packs > 0, 'the base is gone');

    pause.release();
    await assert.rejects(saving, StorageStopped);
    const { notes } = await notesOf(stage);
    const taken = await stage.save(await stage.client(), alikeTree(1));

    assert.ok(notes > 0, 'a delta without its base lies there');
    assert.ok(taken.newBlobs > 0 && taken.deltaBlobs === 0, 'nobody relies on it');
    assert.deepEqual(await stage.losses(), []);
    await pruneNow(await stage.client());
    assert.deepEqual(await stage.losses(), []);
  });
}

/** Findings of `check` that are no damage. */
async function notesOf(stage: Stage): Promise<{ notes: number }> {
  const repository = await stage.client();
  const { findings } = await checkRepository(repository, { isReadingData: true });
  return { notes: findings.filter(({ severity }) => severity !== 'damage').length };
}

test('G28 the same writer, awake again, stores everything that its snapshot needs', async (t) => {
  const stage = await newStage(t);
  const [sleeper, collector] = [await stage.client(), await stage.client()];
  const first = await stage.save(collector, alikeTree(0));
  await stage.save(collector, ownTree(1));
  const pause = pauseAt(t, 'session.4.before');
  const saving = stage.save(sleeper, alikeTree(1));
  await pause.reached;
  await stage.forget(collector, first);
  await pruneNow(collector, { sessionTtlMs: 0 });

  pause.release();
  const taken = await saving;

  assert.equal(taken.deltaBlobs, 0);
  assert.deepEqual(await stage.losses(), []);
  await pruneNow(collector);
  assert.deepEqual(await stage.losses(), []);
});

test('G29 a base that is condemned after the view of a session is kept for its delta', async (t) => {
  const stage = await newStage(t);
  const [writer, collector] = [await stage.client(), await stage.client()];
  const first = await stage.save(collector, alikeTree(0));
  await stage.save(collector, ownTree(1));
  const pause = pauseAt(t, 'session.2.after');
  const saving = stage.save(writer, alikeTree(1));
  await pause.reached;
  await stage.forget(collector, first);

  await pruneNow(collector, {
    wait: async () => {
      pause.release();
      await saving;
    },
  });

  pause.release();
  assert.equal((await saving).deltaBlobs, 1, 'a delta on what was condemned meanwhile');
  const { sweeps } = await loadCollectorState(collector);
  assert.equal(sweeps[0]?.rescued.length, 1);
  assert.deepEqual(await stage.losses(), []);
  await pruneNow(collector);
  assert.deepEqual(await stage.losses(), []);
});

test('G29 a base that is condemned already gets no new delta', async (t) => {
  const stage = await newStage(t);
  const [writer, collector] = [await stage.client(), await stage.client()];
  const first = await stage.save(writer, alikeTree(0));
  await stage.save(writer, ownTree(1));
  await stage.forget(collector, first);
  const pause = pauseAt(t, 'prune.4.after');
  const collecting = pruneNow(collector);
  await pause.reached;

  // This client made the base itself, and has it among its features.
  const taken = await stage.save(writer, alikeTree(1));
  pause.release();
  const { deleted } = await collecting;

  assert.equal(taken.deltaBlobs, 0);
  assert.ok(deleted.packs > 0);
  assert.deepEqual(await stage.losses(), []);
});

test('G30 power is cut at each write of a collection that repacks', async (t) => {
  for (let n = 0, isDone = false; !isDone; n++) {
    const clock = new HandClock();
    const { storage, crash } = crashableStorage(createMemoryStorage({ clock }));
    await initStorage(storage);
    const stage = new Stage(t, { storage, clock });
    const client = await stage.client();
    const first = await stage.save(client, { ...alikeTree(0), ...large, ...ownTree(1) });
    await stage.save(client, { ...alikeTree(1), ...ownTree(1) });
    await stage.forget(client, first);
    await storage.sync();
    const doomed = mortal(storage);
    let count = 0;
    const counted = interceptStorage(doomed.storage, async ({ operation }, run) => {
      if (!['get', 'getRange', 'list', 'stat'].includes(operation) && count++ === n) doomed.kill();
      return await run();
    });

    const collected = await pruneNow(await stage.client(counted)).catch((error: Error) => error);
    const left = await crash(seededRandom(n));

    isDone = !(collected instanceof Error);
    if (isDone) assert.ok(n > 15, `${n} writes`);
    else assert.ok(collected instanceof StorageStopped, `${collected}`);
    assert.deepEqual(await stage.losses(left), [], `cut before write ${n}`);
    await pruneNow(await stage.client(left), { sessionTtlMs: 0 });
    assert.deepEqual(await stage.losses(left), [], `cut before write ${n}, and collected again`);
    assert.ok(n < 100);
  }
});

for (const other of [0, 1]) {
  test(`G31 of two collectors that keep different copies only one has its way: ${other}`, async (t) => {
    const stage = await newStage(t);
    const [first, second] = [await stage.client(), await stage.client()];
    const tree = ownTree(1);
    const [plaintext] = Object.values(tree) as [Uint8Array];
    const copies = [
      await storePack(first, [{ plaintext }]),
      await storePack(first, [{ plaintext }]),
    ].map(({ name }) => name);
    await stage.save(first, tree);
    const writer = new RecordWriter(second);
    await writer.mark(1, { condemned: [...copies].sort() });
    const pause = pauseAt(t, 'prune.7.before');
    const collecting = pruneNow(first);
    await pause.reached;
    const swept = copies[other] as PackName;
    await writer.sweep(1, [swept]);

    pause.release();
    const { outcome, deleted } = await collecting;

    assert.equal(outcome, 'swept');
    assert.equal(deleted.packs, 1);
    const left = await packNames(stage);
    assert.deepEqual(
      copies.filter((name) => !left.includes(name)),
      [swept],
    );
    assert.deepEqual(await stage.losses(), []);
  });
}

test('G31 two collectors that finish one mark side by side delete one list', async (t) => {
  const { stage, packs } = await newCircle(t);
  const clients: Repository[] = [await stage.client(), await stage.client()];
  const [first, second] = clients as [Repository, Repository];
  const condemned = packs.map(({ name }) => name).sort();
  await new RecordWriter(first).mark(1, { condemned });
  const pause = pauseAt(t, 'prune.7.before');
  const collecting = pruneNow(first);
  await pause.reached;

  await pruneNow(second);
  pause.release();
  await collecting.catch(() => undefined);

  assert.deepEqual(await stage.losses(), []);
});
