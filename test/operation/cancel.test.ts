import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Progress } from '../../src/progress.ts';
import { loadView } from '../../src/repository/view.ts';
import { encodeUtf8 } from '../../src/util/bytes.ts';
import { type Clock, systemClock } from '../../src/util/clock.ts';
import { onFailpoint } from '../../src/util/failpoint.ts';
import type { SourceFs } from '../../src/walk/source-fs.ts';
import { compareTrees } from '../helpers/compare-trees.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import {
  type Client,
  check,
  newClient,
  newStorage,
  objectNames,
  openClient,
  restore,
  snapshot,
  sourceFs,
} from '../helpers/test-repository.ts';

const FILE_COUNT = 24;
const FILE_SIZE = 2 ** 20;

/** Enough data for several turns and, with small packs, for several packs. */
function someData(t: TestContext): string {
  const top = join(tempDir(t), 'top');
  mkdirSync(top);
  const random = seededRandom();
  for (let i = 0; i < FILE_COUNT; i++) {
    writeFileSync(join(top, `file${String(i).padStart(2, '0')}`), random.bytes(FILE_SIZE));
  }
  return top;
}

/** A client whose data packs are full at 4 MiB. */
async function newClientOfSmallPacks(t: TestContext): Promise<Client> {
  const client = await newClient(t);
  const { config } = client.repository;
  const pack = { ...config.pack, dataTarget: 2 ** 22 };
  return { ...client, repository: { ...client.repository, config: { ...config, pack } } };
}

/** Aborts when the source file of that number is opened. */
function abortAtFile(controller: AbortController, number: number): SourceFs {
  let count = 0;
  return {
    ...sourceFs,
    openFile: (path) => {
      if (++count === number) controller.abort();
      return sourceFs.openFile(path);
    },
  };
}

async function assertGivenUp(client: Client): Promise<void> {
  const { storage } = client.repository;
  const view = await loadView(client.repository, 'read');
  assert.deepEqual(view.snapshots, []);
  assert.equal(view.closed.size, 1, 'the session is fenced');
  assert.deepEqual(await objectNames(storage, 'sessions/'), []);
  assert.deepEqual((await check(client, true)).findings, []);
}

for (const number of [1, 2, FILE_COUNT / 2, FILE_COUNT]) {
  test(`takeSnapshot() cancelled at file ${number} leaves a sound repository`, async (t) => {
    const top = someData(t);
    const client = await newClientOfSmallPacks(t);
    const controller = new AbortController();
    const fs = abortAtFile(controller, number);

    const cancelled = snapshot(client, [top], { fs, signal: controller.signal });

    await assert.rejects(cancelled, { name: 'AbortError' });
    await assertGivenUp(client);
    const taken = await snapshot(client, [top]);
    // Full packs were stored, so that at most what was held for packs yet open is stored again.
    const lost = taken.newBytes - (FILE_COUNT - number + 1) * FILE_SIZE;
    assert.ok(lost < 3 * 2 ** 22, `${lost} bytes again`);
    const target = join(tempDir(t), 'target');
    await restore(client, { ...taken, path: top }, target);
    assert.deepEqual(compareTrees(top, target), []);
  });
}

/** Every turn of this clock is over when somebody looks. */
function hastyClock(): Clock {
  let now = systemClock.monotonicNs();
  return {
    ...systemClock,
    monotonicNs: () => {
      now += 20_000_000n;
      return now;
    },
  };
}

test('takeSnapshot() tells how far a large file is, and can be cancelled within it', async (t) => {
  const top = join(tempDir(t), 'large');
  const size = 2 ** 25;
  writeFileSync(top, seededRandom(7).bytes(size));
  const client = await openClient(t, await newStorage(), { clock: hastyClock() });
  const controller = new AbortController();
  const told: Progress[] = [];
  const onProgress = (progress: Progress): void => {
    told.push(progress);
    if (progress.bytesDone > 0) controller.abort();
  };

  const cancelled = snapshot(client, [top], { signal: controller.signal, onProgress });

  await assert.rejects(cancelled, { name: 'AbortError' });
  const { bytesDone, currentPath } = told.at(-1) as Progress;
  assert.ok(bytesDone > 0 && bytesDone < size, `${bytesDone} bytes`);
  assert.deepEqual(currentPath, encodeUtf8(top));
  assert.deepEqual((await loadView(client.repository, 'read')).snapshots, []);
  told.length = 0;
  await snapshot(client, [top], { onProgress: (progress) => told.push(progress) });
  const steps = told.map((progress) => progress.bytesDone);
  assert.deepEqual(
    steps,
    steps.toSorted((a, b) => a - b),
  );
  assert.equal(steps.at(-1), size);
});

test('takeSnapshot() cancelled before it began writes nothing', async (t) => {
  const top = someData(t);
  const client = await newClient(t);
  const { storage } = client.repository;
  const before = await objectNames(storage);

  const cancelled = snapshot(client, [top], { signal: AbortSignal.abort() });

  await assert.rejects(cancelled, { name: 'AbortError' });
  assert.deepEqual(await objectNames(storage), before);
});

test('takeSnapshot() cancelled between walk and commit commits nothing', async (t) => {
  const top = someData(t);
  const client = await newClient(t);
  t.after(() => onFailpoint(undefined));
  for (const point of ['session.1.after', 'session.3.before-pack', 'session.5.after']) {
    const controller = new AbortController();
    onFailpoint((name) => {
      if (name === point) controller.abort();
    });
    await assert.rejects(
      snapshot(client, [top], { signal: controller.signal }),
      { name: 'AbortError' },
      point,
    );
    onFailpoint(undefined);
    assert.deepEqual((await loadView(client.repository, 'read')).snapshots, []);
    assert.deepEqual(await objectNames(client.repository.storage, 'sessions/'), []);
  }
  assert.deepEqual((await check(client)).findings, []);
});

test('restoreSnapshot() can be cancelled, and started again elsewhere', async (t) => {
  const top = someData(t);
  const client = await openClient(t, await newStorage(), { clock: hastyClock() });
  const taken = await snapshot(client, [top]);
  const controller = new AbortController();
  const { signal } = controller;
  const onProgress = (): void => controller.abort();

  const restored = restore(client, { ...taken, signal, onProgress }, tempDir(t));

  await assert.rejects(restored, { name: 'AbortError' });
  const target = join(tempDir(t), 'target');
  await restore(client, { ...taken, path: top }, target);
  assert.deepEqual(compareTrees(top, target), []);
});
