/** Versions laid over each other: what is new, what stays as it is, what cannot be copied. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { layVersion } from '../../src/cli/benchmark/lay-version.ts';
import type { SourceError } from '../../src/errors.ts';
import { userTest } from '../helpers/as-user.ts';
import { rawPath } from '../helpers/raw-path.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';

const { signal } = new AbortController();

/** Makes a tree of paths: a directory where there is no content, a link where it begins with `->`. */
function makeTree(t: TestContext, entries: Readonly<Record<string, string | undefined>>): string {
  const root = tempDir(t);
  for (const [path, content] of Object.entries(entries)) {
    if (content === undefined) mkdirSync(join(root, path));
    else if (content.startsWith('->')) symlinkSync(content.slice(2), join(root, path));
    else writeFileSync(join(root, path), content);
  }
  return root;
}

/** Path to what is there: permissions, and content or target; the root is left out. */
function describe(root: string): Record<string, string> {
  const names = readdirSync(root, { recursive: true, encoding: 'utf8' }).sort();
  return Object.fromEntries(
    names.map((name) => {
      const path = join(root, name);
      const stat = lstatSync(path);
      const mode = (stat.mode & 0o777).toString(8);
      if (stat.isSymbolicLink()) return [name, `-> ${readlinkSync(path)}`];
      return [name, stat.isFile() ? `${mode} ${readFileSync(path, 'latin1')}` : mode];
    }),
  );
}

test('layVersion() makes the next version and leaves untouched what is the same', async (t) => {
  const former = makeTree(t, {
    dir: undefined,
    'dir/same': 'same',
    'dir/changed': 'before',
    'dir/mode': 'mode',
    gone: 'gone',
    'gone dir': undefined,
    'gone dir/file': 'gone',
    'to-dir': 'file',
    'to-file': undefined,
    'to-file/inside': 'inside',
    link: '->dir/same',
    'same link': '->gone',
  });
  const next = makeTree(t, {
    dir: undefined,
    'dir/same': 'same',
    'dir/changed': 'behind',
    'dir/mode': 'mode',
    'to-dir': undefined,
    'to-dir/inside': 'inside',
    'to-file': 'file',
    link: '->dir/changed',
    'same link': '->gone',
    new: 'new',
  });
  chmodSync(join(next, 'dir'), 0o700);
  chmodSync(join(next, 'dir', 'mode'), 0o640);
  const live = join(tempDir(t), 'live');
  const inodes = (...names: string[]): unknown[] =>
    names.map((name) => {
      const { ino, ctimeMs } = lstatSync(join(live, name));
      return [ino, ctimeMs];
    });

  await layVersion(live, former, { signal });
  assert.deepEqual(describe(live), describe(former));
  const kept = ['dir/same', 'same link'];
  const before = inodes(...kept);
  await layVersion(live, next, { signal });

  assert.deepEqual(describe(live), describe(next));
  assert.deepEqual(inodes(...kept), before);
});

test('layVersion() lays single files, one over the other and over a directory', async (t) => {
  const root = makeTree(t, { one: '1', two: '2', dir: undefined, 'dir/file': 'file' });
  const live = join(tempDir(t), 'live');

  for (const name of ['one', 'two', 'dir', 'one'])
    await layVersion(live, join(root, name), { signal });

  assert.equal(readFileSync(live, 'utf8'), '1');
});

test('layVersion() sees a change anywhere in a large file', async (t) => {
  const size = 2 ** 20 * 2 + 10;
  const content = Buffer.from(seededRandom(1).bytes(size));
  const root = makeTree(t, {});
  const live = join(tempDir(t), 'live');

  for (const at of [0, 2 ** 20 - 1, 2 ** 20, size - 1]) {
    content[at]! ^= 1;
    writeFileSync(join(root, 'file'), content);
    await layVersion(live, root, { signal });
    assert.ok(readFileSync(join(live, 'file')).equals(content), `${at}`);
  }
});

test('layVersion() takes names that are not UTF-8, and removes them again', async (t) => {
  const [former, next] = [makeTree(t, { same: '' }), makeTree(t, { same: '' })];
  writeFileSync(rawPath(former, Buffer.from('a\xff', 'latin1')), 'x');
  symlinkSync(Buffer.from('to\xff', 'latin1'), rawPath(former, Buffer.from('l\xff', 'latin1')));
  const live = join(tempDir(t), 'live');
  const names = (): string[] => readdirSync(live, 'buffer').map((name) => name.toString('latin1'));

  await layVersion(live, former, { signal });
  assert.deepEqual(names().sort(), ['a\xff', 'l\xff', 'same']);
  await layVersion(live, next, { signal });

  assert.deepEqual(names(), ['same']);
});

test('layVersion() keeps holes, and makes files of their own of all names of one', async (t) => {
  const root = makeTree(t, { sparse: 'begin', linked: 'linked' });
  truncateSync(join(root, 'sparse'), 2 ** 26);
  linkSync(join(root, 'linked'), join(root, 'other'));
  const live = join(tempDir(t), 'live');

  await layVersion(live, root, { signal });

  const { size, blocks } = lstatSync(join(live, 'sparse'));
  assert.equal(size, 2 ** 26);
  assert.ok(blocks * 512 <= 2 ** 21, `${blocks} blocks`);
  assert.equal(lstatSync(join(live, 'linked')).nlink, 1);
});

test('layVersion() leaves out special files, and what its owner could not change or read', async (t) => {
  const root = makeTree(t, { dir: undefined, 'dir/file': 'file' });
  execFileSync('mkfifo', [join(root, 'fifo')]);
  chmodSync(join(root, 'dir', 'file'), 0o044);
  chmodSync(join(root, 'dir'), 0o555);
  const live = join(tempDir(t), 'live');

  // Root may read it as it is.
  if (process.geteuid?.() !== 0) chmodSync(join(root, 'dir', 'file'), 0o444);
  await layVersion(live, root, { signal });

  assert.deepEqual(readdirSync(live), ['dir']);
  assert.equal(lstatSync(join(live, 'dir')).mode & 0o777, 0o755);
  assert.equal(lstatSync(join(live, 'dir', 'file')).mode & 0o777, 0o444);
});

test('layVersion() tells of what is gone, throws it without onError, and stops when told to', async (t) => {
  const live = join(tempDir(t), 'live');
  const missing = join(makeTree(t, {}), 'missing');
  const errors: SourceError[] = [];

  await layVersion(live, missing, { signal, onError: (error) => errors.push(error) });

  assert.deepEqual(
    errors.map(({ reason, path, message }) => [reason, Buffer.from(path).toString(), message]),
    [['vanished', missing, `Cannot copy "${missing}": ENOENT`]],
  );
  await assert.rejects(layVersion(live, missing, { signal }), { reason: 'vanished' });
  const large = makeTree(t, { file: '' });
  truncateSync(join(large, 'file'), 2 ** 34);
  const stopped = AbortSignal.timeout(100);
  await assert.rejects(layVersion(live, large, { signal: stopped }), { name: 'TimeoutError' });
});

userTest(import.meta.url, 'layVersion() leaves out what this user may not read', async (t) => {
  const [former, next] = [makeTree(t, { a: 'a', b: 'b' }), makeTree(t, { a: 'a', b: 'B' })];
  mkdirSync(join(next, 'dir'));
  for (const name of ['b', 'dir']) chmodSync(join(next, name), 0);
  const live = join(tempDir(t), 'live');
  const errors: string[] = [];

  await layVersion(live, former, { signal });
  await layVersion(live, next, { signal, onError: ({ reason }) => errors.push(reason) });

  assert.deepEqual(errors, ['permission', 'permission']);
  assert.deepEqual(readdirSync(live), ['a']);
});
