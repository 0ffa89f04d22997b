/**
 * Full disks below a repository while it is cleaned up or repaired: what does not find room says so and
 * hurts nothing, the next run needs no repair, and room can be made on a disk that is full. Only root
 * can mount a small tmpfs.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { compareTrees } from '../helpers/compare-trees.ts';
import type { Ended } from '../helpers/run-varve.ts';
import {
  fill,
  freeSize,
  mebibyte,
  pageSize,
  type SmallHome,
  smallHome,
  writeNoise,
} from '../helpers/small-disk.ts';

/** A repository on a small disk: run, damage and check it. */
interface Place extends SmallHome {
  /** Of the repository. */
  location: string;
  source: string;
  run(...args: string[]): Promise<Ended>;
  /** What is in the source now goes into a snapshot, and is remembered under a name. */
  save(name: string): Promise<void>;
  /** The repository is sound, and its newest snapshots are these, the newest first. */
  assertHolds(...names: string[]): Promise<void>;
}

async function newPlace(t: TestContext): Promise<Place | undefined> {
  const place = smallHome(t);
  if (place === undefined) return undefined;
  const { home, small } = place;
  const location = join(small, 'repository');
  const source = home.path('source');
  const run = (...args: string[]) => home.run(args, { env: { VARVE_REPOSITORY: location } });
  const save = async (name: string): Promise<void> => {
    const { code, stderr } = await run('snapshot', source, '--similarity', 'off');
    assert.equal(code, 0, stderr);
    spawnSync('cp', ['-a', source, home.path(name)]);
  };
  const assertHolds = async (...names: string[]): Promise<void> => {
    const checked = await run('check', '--read-data');
    assert.equal(checked.code, 0, checked.stdout + checked.stderr);
    for (const [i, name] of names.entries()) {
      const target = home.path('target');
      const { code, stderr } = await run('restore', `latest~${i}:${source}`, '--target', target);
      assert.equal(code, 0, stderr);
      assert.deepEqual(compareTrees(home.path(name), target), []);
      rmSync(target, { recursive: true });
    }
  };
  const { code, stderr } = await run('init', '--insecure-no-password');
  assert.equal(code, 0, stderr);
  return { ...place, location, source, run, save, assertHolds };
}

/** The disk was full, and the message says what to do. */
function assertFull({ code, stderr }: Ended, { location }: Place): void {
  assert.equal(code, 1, stderr);
  assert.match(stderr, /^varve: Cannot store ".*": no space left on device at "/m);
  assert.ok(stderr.includes(`at "${location}": free `), stderr);
  assert.match(stderr, /needed \d+\.\d MiB\n {2}make room and run/);
  assert.deepEqual(readdirSync(join(location, 'tmp')), [], 'nothing unfinished stays');
}

/** Three snapshots of `stays`, the second one with a large file of its own, in a pack of its own. */
async function saveThree(t: TestContext): Promise<Place | undefined> {
  const place = await newPlace(t);
  if (place === undefined) return undefined;
  const { home, source, save } = place;
  writeNoise(home, { name: 'stays', size: mebibyte, salt: 1 });
  await save('first');
  writeNoise(home, { name: 'goes', size: 6 * mebibyte, salt: 2 });
  await save('second');
  rmSync(join(source, 'goes'));
  await save('third');
  return place;
}

const forgetOld = ['forget', '--keep-last', '1', '--yes'];
const prune = ['prune', '--yes', '--grace', '0'];

test('forget and prune make room on a disk that is full but for a few pages', async (t) => {
  const place = await saveThree(t);
  if (place === undefined) return;
  const { small, run, assertHolds } = place;
  const untilDone = async (args: string[]): Promise<number> => {
    for (const pages of [0, 1, 2, 4, 8, 16]) {
      const filler = fill(small, pages * pageSize);
      const ended = await run(...args);
      if (ended.code === 0) return pages;
      assertFull(ended, place);
      rmSync(filler);
    }
    throw new Error('16 pages are not enough');
  };

  const forForget = await untilDone(forgetOld);
  rmSync(join(small, 'filler'));
  const forPrune = await untilDone([...prune, '--max-repack-size', '0']);

  t.diagnostic(`enough were ${forForget} pages of ${pageSize} bytes, then ${forPrune}`);
  assert.ok(freeSize(small) > 5 * mebibyte);
  await assertHolds('third');
  const { code, stdout } = await run('snapshots', '--json');
  assert.equal(code, 0);
  assert.equal(stdout.match(/"short_id"/g)?.length, 1);
});

test('a prune that has no room to write again hurts nothing, and does what it can do without', async (t) => {
  const place = await newPlace(t);
  if (place === undefined) return;
  const { home, small, source, run, save, assertHolds } = place;
  // One pack with both, of which the smaller half stays.
  writeNoise(home, { name: 'stays', size: 2 * mebibyte, salt: 1 });
  writeNoise(home, { name: 'goes', size: 5 * mebibyte, salt: 2 });
  await save('first');
  rmSync(join(source, 'goes'));
  await save('second');
  assert.equal((await run(...forgetOld)).code, 0);
  const filler = fill(small, mebibyte);

  const full = await run(...prune);
  assertFull(full, place);
  await assertHolds('second');
  const without = await run(...prune, '--max-repack-size', '0');
  assert.equal(without.code, 0, without.stderr);

  rmSync(filler);
  const after = await run(...prune);
  assert.equal(after.code, 0, after.stderr);
  assert.match(after.stdout, /^Deleted \d+ packs? /m);
  await assertHolds('second');
});

test('repairs that find no room hurt nothing, and are made good by the next ones', async (t) => {
  const place = await saveThree(t);
  if (place === undefined) return;
  const { home, small, location, source, run, assertHolds } = place;
  spawnSync('cp', ['-a', location, home.path('copy')]);
  rmSync(join(location, 'index'), { recursive: true });
  let filler = fill(small, 0);

  const index = await run('repair', 'index', '--yes');
  assertFull(index, place);
  rmSync(filler);
  const indexed = await run('repair', 'index', '--yes');
  assert.equal(indexed.code, 0, indexed.stderr);

  const packs = readdirSync(join(location, 'data'), { recursive: true, encoding: 'utf8' });
  const [largest = ''] = packs
    .filter((name) => name.length > 64)
    .map((name) => join(location, 'data', name))
    .sort((a, b) => statSync(b).size - statSync(a).size);
  rmSync(largest);
  filler = fill(small, mebibyte);
  const repair = ['repair', 'packs', '--yes', '--live', source, '--from', home.path('copy')];
  const packsFull = await run(...repair);
  assertFull(packsFull, place);
  rmSync(filler);
  const repaired = await run(...repair);
  assert.equal(repaired.code, 0, repaired.stderr);
  await assertHolds('third', 'second');
});
