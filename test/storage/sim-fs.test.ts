/** The simulated file system loses what it may lose, and nothing else. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errnoCode } from '../../src/errors.ts';
import type { StorageFs } from '../../src/storage/file-system.ts';
import { equalBytes } from '../../src/util/bytes.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { type CrashMode, SimFs } from '../helpers/sim-fs.ts';

const content = seededRandom(11).bytes(2000);

async function write(fs: StorageFs, path: string, isSynced: boolean): Promise<void> {
  const file = await fs.create(path);
  await file.write(content, 0);
  if (isSynced) await file.sync();
  await file.close();
}

async function syncDirectory(fs: StorageFs, path: string): Promise<void> {
  const directory = await fs.openDirectory(path);
  await directory.sync();
  await directory.close();
}

async function read(fs: StorageFs, path: string): Promise<Uint8Array | undefined> {
  try {
    const file = await fs.openFile(path);
    const bytes = new Uint8Array((await file.stat()).size);
    await file.read(bytes, 0);
    return bytes;
  } catch (error) {
    if (errnoCode(error) !== 'ENOENT') throw error;
    return undefined;
  }
}

/** Everything that may be found under a path after a crash, in a word each. */
async function fates(sim: SimFs, path: string, mode: CrashMode): Promise<string[]> {
  const seen = new Set<string>();
  for (let seed = 0; seed < 200; seed++) {
    const found = await read(sim.crash(seed, mode), path);
    if (found === undefined) seen.add('absent');
    else if (equalBytes(found, content)) seen.add('whole');
    else if (equalBytes(found, content.subarray(0, found.length))) seen.add('beginning');
    else seen.add('torn');
  }
  return [...seen].sort();
}

test('crash() keeps a file whose bytes and name were synced', async () => {
  const sim = new SimFs();
  await write(sim, '/a', true);
  await syncDirectory(sim, '/');

  for (const mode of ['ordered', 'weak'] as const)
    assert.deepEqual(await fates(sim, '/a', mode), ['whole']);
});

test('crash() can lose a name that was not synced', async () => {
  const sim = new SimFs();
  await write(sim, '/a', true);

  assert.deepEqual(await fates(sim, '/a', 'weak'), ['absent', 'whole']);
  assert.deepEqual(await fates(sim, '/a', 'ordered'), ['whole']);
});

test('crash() can tear a file that was not synced', async () => {
  const sim = new SimFs();
  await write(sim, '/a', false);
  await syncDirectory(sim, '/');

  assert.deepEqual(await fates(sim, '/a', 'weak'), ['beginning', 'torn', 'whole']);
  const ordered = await fates(sim, '/a', 'ordered');
  assert.ok(
    ordered.includes('beginning') && !ordered.includes('torn') && !ordered.includes('absent'),
  );
});

test('crash() loses a directory whose own name was not synced, with all that is in it', async () => {
  const sim = new SimFs();
  await sim.makeDirectory('/d');
  await write(sim, '/d/a', true);
  await syncDirectory(sim, '/d');

  assert.deepEqual(await fates(sim, '/d/a', 'weak'), ['absent', 'whole']);
});

test('crash() in order never shows a later name without an earlier one', async () => {
  const sim = new SimFs();
  await write(sim, '/a', false);
  await write(sim, '/b', false);

  let without = 0;
  for (let seed = 0; seed < 200; seed++) {
    const isOutOfOrder = async (mode: CrashMode): Promise<boolean> => {
      const after = sim.crash(seed, mode);
      return (await read(after, '/b')) !== undefined && (await read(after, '/a')) === undefined;
    };
    assert.equal(await isOutOfOrder('ordered'), false);
    if (await isOutOfOrder('weak')) without++;
  }
  assert.ok(without > 0);
});

test('crash() can bring a removed name back, and lose both names of a renamed file', async () => {
  const sim = new SimFs();
  await write(sim, '/removed', true);
  await write(sim, '/from', true);
  await sim.makeDirectory('/d');
  await syncDirectory(sim, '/');
  await sim.unlink('/removed');
  await sim.rename('/from', '/d/to');

  assert.deepEqual(await fates(sim, '/removed', 'weak'), ['absent', 'whole']);
  const names = new Set<string>();
  for (let seed = 0; seed < 200; seed++) {
    const after = sim.crash(seed, 'weak');
    const found = [(await read(after, '/from')) && 'from', (await read(after, '/d/to')) && 'to'];
    names.add(found.filter((name) => name !== undefined).join(' and '));
  }
  assert.deepEqual([...names].sort(), ['', 'from', 'from and to', 'to']);
});

test('crash() gives the same file system for the same seed, and leaves its own alone', async () => {
  const sim = new SimFs();
  await write(sim, '/a', false);

  assert.deepEqual(await read(sim.crash(5, 'weak'), '/a'), await read(sim.crash(5, 'weak'), '/a'));
  assert.deepEqual(await read(sim, '/a'), content);
});

test('crash() after a crash starts from what survived the first', async () => {
  const sim = new SimFs();
  await sim.makeDirectory('/d');
  await syncDirectory(sim, '/');
  await write(sim, '/d/a', true);
  await syncDirectory(sim, '/d');

  const twice = sim.crash(1, 'weak').crash(2, 'weak').crash(3, 'ordered');

  assert.deepEqual(await read(twice, '/d/a'), content);
});

test('forgetUnsynced() makes later syncs of that file worthless', async () => {
  const sim = new SimFs();
  await write(sim, '/a', false);
  sim.forgetUnsynced('/a');

  await (await sim.openFile('/a')).sync();
  await syncDirectory(sim, '/');

  assert.deepEqual(await read(sim, '/a'), content);
  assert.deepEqual(await read(sim.crash(1, 'weak'), '/a'), new Uint8Array(0));
});

test('calls fail as they do on a real file system', async () => {
  const sim = new SimFs();
  await sim.makeDirectory('/d');
  await write(sim, '/a', true);
  const closed = await sim.openFile('/a');
  await closed.close();
  const code = async (call: Promise<unknown>): Promise<string | undefined> =>
    await call.then(() => undefined, errnoCode);

  assert.equal(await code(sim.create('/a')), 'EEXIST');
  assert.equal(await code(sim.create('/missing/a')), 'ENOENT');
  assert.equal(await code(sim.create('/a/below')), 'ENOTDIR');
  assert.equal(await code(sim.openFile('/missing')), 'ENOENT');
  assert.equal(await code(sim.openDirectory('/a')), 'ENOTDIR');
  assert.equal(await code(sim.makeDirectory('/d')), 'EEXIST');
  assert.equal(await code(sim.link('/a', '/d')), 'EEXIST');
  assert.equal(await code(sim.link('/missing', '/b')), 'ENOENT');
  assert.equal(await code(sim.unlink('/d')), 'EISDIR');
  assert.equal(await code(sim.unlink('/missing')), 'ENOENT');
  assert.equal(await code(closed.sync()), 'EBADF');
});
