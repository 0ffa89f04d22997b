/** Restoring onto what is there: what is kept, what is replaced, and that nothing else is touched. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Overwrite } from '../../src/restore/overwrite.ts';
import { nodeTargetFs, type TargetFs } from '../../src/restore/target-fs.ts';
import { compareTrees } from '../helpers/compare-trees.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import {
  type Client,
  newClient,
  newDirectoryStorage,
  openClient,
  type Restored,
  type RestoreFrom,
  restore,
  snapshot,
  type Taken,
} from '../helpers/test-repository.ts';

const sourceTime = 1_500_000_000;

interface Stage {
  readonly dir: string;
  readonly top: string;
  /** A directory of its own, in which nothing is yet. */
  readonly target: string;
  readonly run: (overwrite: Overwrite, options?: Partial<RestoreFrom>) => Promise<Restored>;
}

/** Saves `top/{a,b}`, `top/directory/{c,link}`, all from the same time. */
async function stage(
  t: TestContext,
  open = newClient as (t: TestContext) => Promise<Client>,
): Promise<Stage> {
  const dir = tempDir(t);
  const [top, target] = [join(dir, 'top'), join(dir, 'target')];
  mkdirSync(join(top, 'directory'), { recursive: true });
  mkdirSync(target);
  for (const name of ['a', 'b', 'directory/c']) {
    writeFileSync(join(top, name), `snapshot of ${name}`);
    utimesSync(join(top, name), sourceTime, sourceTime);
  }
  symlinkSync('snapshot', join(top, 'directory', 'link'));
  const client = await open(t);
  const taken: Taken = await snapshot(client, [top]);
  const run: Stage['run'] = (overwrite, options = {}) =>
    restore(client, { snapshot: taken.snapshot, path: top, overwrite, ...options }, target);
  return { dir, top, target, run };
}

/** As long as what the snapshot has. */
function put(target: string, name: string, time: number): void {
  mkdirSync(join(target, name, '..'), { recursive: true });
  writeFileSync(join(target, name), `target__ of ${name}`);
  utimesSync(join(target, name), time, time);
}

function fromSnapshot(target: string, names: readonly string[]): boolean[] {
  return names.map((name) => readFileSync(join(target, name), 'utf8').startsWith('snapshot'));
}

const expected = {
  never: { replaced: [false, false], kept: 2 },
  'if-changed': { replaced: [false, true], kept: 1 },
  'if-newer': { replaced: [false, true], kept: 1 },
  always: { replaced: [true, true], kept: 0 },
} as const;

for (const [overwrite, { replaced, kept }] of Object.entries(expected)) {
  for (const jobs of [0, 2]) {
    test(`--overwrite ${overwrite} keeps and replaces what it says, ${jobs} threads`, async (t) => {
      const { target, run } = await stage(t, async (scope) =>
        openClient(scope, await newDirectoryStorage(scope), { jobs }),
      );
      put(target, 'a', sourceTime);
      put(target, 'b', sourceTime - 1);
      writeFileSync(join(target, 'other'), 'not in the snapshot');

      const restored = await run(overwrite as Overwrite);

      assert.deepEqual(restored.problems, []);
      assert.deepEqual(fromSnapshot(target, ['a', 'b']), replaced);
      assert.deepEqual(fromSnapshot(target, ['directory/c']), [true]);
      assert.equal(restored.kept, kept);
      assert.equal(restored.files, 3 - kept);
      assert.equal(readFileSync(join(target, 'other'), 'utf8'), 'not in the snapshot');
    });
  }
}

test('if-newer keeps what is newer, if-changed replaces it', async (t) => {
  const { target, run } = await stage(t);
  put(target, 'a', sourceTime + 1);

  assert.equal((await run('if-newer')).kept, 1);
  assert.deepEqual(fromSnapshot(target, ['a']), [false]);
  // Everything else is as it was saved by now.
  assert.equal((await run('if-changed')).files, 1);
  assert.deepEqual(fromSnapshot(target, ['a']), [true]);
});

test('a second restore with if-changed writes nothing', async (t) => {
  const { top, target, run } = await stage(t);
  await run('always');
  const before = statSync(join(target, 'a')).ino;

  const restored = await run('if-changed');

  assert.deepEqual([restored.files, restored.others, restored.kept], [0, 0, 4]);
  assert.equal(statSync(join(target, 'a')).ino, before);
  assert.deepEqual(compareTrees(top, target), []);
});

test('X09 an existing symlink is replaced, and what it led to is untouched', async (t) => {
  const { dir, top, target, run } = await stage(t);
  const outside = join(dir, 'outside');
  writeFileSync(outside, 'untouched');
  mkdirSync(join(target, 'directory'));
  symlinkSync(outside, join(target, 'directory', 'link'));

  const restored = await run('always');

  assert.deepEqual(restored.problems, []);
  assert.equal(readlinkSync(join(target, 'directory', 'link')), 'snapshot');
  assert.equal(readFileSync(outside, 'utf8'), 'untouched');
  assert.deepEqual(compareTrees(top, target), []);
});

test('an entry of another kind is told and stays', async (t) => {
  const { dir, target, run } = await stage(t);
  const outside = join(dir, 'outside');
  mkdirSync(outside);
  symlinkSync(outside, join(target, 'a'));
  mkdirSync(join(target, 'b'));
  symlinkSync(outside, join(target, 'directory'));

  const { problems } = await run('always');

  const reasons = problems.map(({ error }) => (error as { reason?: string }).reason).sort();
  assert.deepEqual(reasons, ['exists', 'exists', 'unsafe']);
  assert.equal(readlinkSync(join(target, 'a')), outside);
  assert.ok(lstatSync(join(target, 'b')).isDirectory());
  assert.equal(readlinkSync(join(target, 'directory')), outside);
  assert.equal(lstatSync(outside).nlink, 2);
});

test('a file with several names is replaced and not written through', async (t) => {
  const { dir, target, run } = await stage(t);
  put(target, 'a', 5);
  linkSync(join(target, 'a'), join(dir, 'other-name'));

  await run('always');

  assert.deepEqual(fromSnapshot(target, ['a']), [true]);
  assert.equal(readFileSync(join(dir, 'other-name'), 'utf8'), 'target__ of a');
});

test('hard links take the place of what is there', async (t) => {
  const dir = tempDir(t);
  const [top, target] = [join(dir, 'top'), join(dir, 'target')];
  mkdirSync(top);
  mkdirSync(target);
  writeFileSync(join(top, 'a'), 'content');
  for (const name of ['b', 'c']) linkSync(join(top, 'a'), join(top, name));
  symlinkSync('target', join(top, 'l'));
  linkSync(join(top, 'l'), join(top, 'm'));
  const client = await newClient(t);
  const { snapshot: taken } = await snapshot(client, [top]);
  for (const name of ['a', 'b']) writeFileSync(join(target, name), 'old');
  for (const name of ['l', 'm']) symlinkSync('old', join(target, name));

  const from = { snapshot: taken, path: top, overwrite: 'always' } as const;
  const { problems } = await restore(client, from, target);

  assert.deepEqual(problems, []);
  assert.deepEqual(compareTrees(top, target), []);
});

test('directories get their metadata, but with never', async (t) => {
  const { top, target, run } = await stage(t);
  mkdirSync(join(target, 'directory'));
  chmodSync(join(target, 'directory'), 0o710);
  chmodSync(target, 0o711);

  await run('never');
  assert.equal(statSync(join(target, 'directory')).mode & 0o7777, 0o710);
  assert.equal(statSync(target).mode & 0o7777, 0o711);

  await run('if-changed');
  assert.deepEqual(compareTrees(top, target), []);
});

test('what cannot be put in its place leaves the old one and nothing else', async (t) => {
  const { target, run } = await stage(t);
  put(target, 'a', 5);
  mkdirSync(join(target, 'directory'));
  symlinkSync('old', join(target, 'directory', 'link'));
  const fs: TargetFs = {
    ...nodeTargetFs,
    renameReplacing: () => {
      throw Object.assign(new Error('EBUSY'), { code: 'EBUSY' });
    },
  };

  const { problems } = await run('always', { fs });

  assert.equal(problems.length, 2);
  assert.deepEqual(fromSnapshot(target, ['a']), [false]);
  assert.equal(readlinkSync(join(target, 'directory', 'link')), 'old');
  assert.equal(lstatSync(target).nlink, 3);
  const names = readdirSync(target, { recursive: true });
  assert.deepEqual(names.map(String).sort(), [
    'a',
    'b',
    'directory',
    'directory/c',
    'directory/link',
  ]);
});
