/**
 * A tree of everything a file system can hold, saved and restored by the command and compared by programs
 * of the system: they find nothing. Then each kind of loss is done to what was restored, and they find it.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { userTest } from '../helpers/as-user.ts';
import { compareOutside } from '../helpers/compare-outside.ts';
import { compareTrees } from '../helpers/compare-trees.ts';
import { makeDeep } from '../helpers/raw-path.ts';
import { homeWithRepository, type JsonLine } from '../helpers/run-varve.ts';
import { makeTortureTree, missingForTorture } from '../helpers/torture-tree.ts';

const isRoot = process.geteuid?.() === 0;

interface Restored {
  readonly top: string;
  readonly target: string;
}

/** Saves and restores a torture tree; nothing is told. */
async function roundTrip(t: TestContext): Promise<Restored> {
  const home = await homeWithRepository(t);
  const [top, target] = [home.path('top'), home.path('target')];
  makeTortureTree(top);
  const given = ['--special-files', '--numeric-owner', ...(isRoot ? ['--all-xattrs'] : [])];

  const saved = await home.runJson(['snapshot', top]);
  assert.deepEqual(told(saved), []);
  const restored = await home.runJson(['restore', ...given, `latest:${top}`, '--target', target]);
  assert.deepEqual(told(restored), []);
  return { top, target };
}

/** All that a run says beside its progress and, when all went well, its summary. */
function told({ code, lines }: { code: number; lines: JsonLine[] }): JsonLine[] {
  return lines.filter(
    ({ message_type: type }) => type !== 'status' && !(type === 'summary' && code === 0),
  );
}

/** What is done to the restored tree, and the path of which it must be told. */
const losses: readonly (readonly [name: string, path: string, command: string])[] = [
  ['content', 'large', 'printf X | dd of=large bs=1 seek=7 conv=notrunc status=none'],
  ['mode', 'hole-end', 'chmod 640 hole-end'],
  ['a nanosecond', 'hole-end', "touch -d '2200-01-01 00:00:00.123456788 UTC' hole-end"],
  ['a time before 1970', 'empty', 'touch -d @0 empty'],
  ['time of a directory', 'closed', 'touch closed'],
  ['target of a link', 'dangling', 'ln -sfn elsewhere dangling'],
  ['time of a link', 'dl', 'touch -h dl'],
  ['a hard link', 'hard', 'cp -a hard h2; mv h2 hard'],
  ['an attribute', 'reg', 'setfattr -n user.k -v OTHER reg'],
  ['an empty attribute', 'reg', 'setfattr -x user.empty reg'],
  ['an ACL', 'reg', 'setfacl -m u:1234:r reg'],
  ['a default ACL', 'many', 'setfacl -k many'],
  ['a hole', 'sparse', 'dd if=/dev/zero of=sparse bs=1M count=4 conv=notrunc status=none'],
  ['a FIFO', 'fifo2', 'rm fifo2; : > fifo2'],
  ['an entry', 'self', 'rm self'],
  ['nothing more', 'dir/zz', 'touch dir/zz'],
  ['a flag', 'dir', 'chattr -d dir'],
  ['a name', 'names/nfd-', "mv names/$(printf 'nfd-e\\314\\201') names/$(printf 'nfd-\\303\\251')"],
];

const rootLosses: typeof losses = [
  ['owner', 'fifo', 'chown 1 fifo'],
  ['owner of a link', 'dl', 'chown -h 5 dl'],
  ['an attribute of a symlink', 'many/linked-link', 'setfattr -h -x trusted.lnk many/linked-link'],
  ['a trusted attribute', 'dir', 'setfattr -x trusted.t dir'],
  ['a capability', 'suid', 'setcap -r suid'],
  ['setuid', 'suid', 'chmod 755 suid'],
  ['a device', 'blk', 'rm blk; mknod blk b 7 301'],
];

async function compareAll(t: TestContext): Promise<void> {
  const { top, target } = await roundTrip(t);

  assert.deepEqual(compareOutside(top, target), []);

  let before = new Set<string>();
  for (const [name, path, command] of isRoot ? [...rootLosses, ...losses] : losses) {
    execFileSync('sh', ['-e', '-c', command], { cwd: target });
    const differences = compareOutside(top, target);
    const added = differences.filter((line) => !before.has(line));
    assert.ok(
      added.some((line) => line.includes(path)),
      `${name} was not seen: ${added.join('\n')}`,
    );
    before = new Set(differences);
  }
}

const missing = missingForTorture();
const skip = missing ?? (isRoot ? false : 'only as root');

test('a tree of everything comes back as it was, as root', { skip }, async (t) => {
  await compareAll(t);
});

userTest(import.meta.url, 'a tree of everything comes back as it was, as a user', async (t) => {
  if (missing !== undefined) return t.skip(missing);
  await compareAll(t);
});

test('1,200 directories in one another come back', async (t) => {
  const home = await homeWithRepository(t);
  const [top, target] = [home.path('top'), home.path('target')];
  mkdirSync(top);
  makeDeep(top, Array<string>(1200).fill('dddddddd'));
  // A path as long as this names nothing: it is done from the directory above.
  const script = 'echo deep > "$1/leaf"; touch -d @5 "$1"';
  const innermost = [top, '-type', 'd', '-empty', '-execdir'];
  execFileSync('find', [...innermost, 'sh', '-e', '-c', script, '_', '{}', ';']);

  await home.ok('snapshot', top);
  await home.ok('restore', `latest:${top}`, '--target', target);

  assert.deepEqual(compareTrees(top, target), []);
  const found = spawnSync('find', [target, '-name', 'leaf', '-printf', '%d %s'], {
    encoding: 'utf8',
  });
  assert.equal(found.stdout, '1201 5');
});

test('a socket is saved, named, and left out', async (t) => {
  const home = await homeWithRepository(t);
  const [top, target] = [home.path('top'), home.path('target')];
  mkdirSync(top);
  writeFileSync(join(top, 'file'), '');
  const listen = `require('net').createServer().listen('socket', () => process.exit())`;
  // Ended without closing: the socket stays.
  const script = `process.on('exit', () => process.kill(process.pid, 'SIGKILL')); ${listen}`;
  spawnSync(process.execPath, ['-e', script], { cwd: top });

  await home.ok('snapshot', top);
  const { stdout } = await home.ok('ls', `latest:${top}`);
  const { code, stderr } = await home.run([
    ...['restore', '--special-files', `latest:${top}`],
    ...['--target', target],
  ]);

  assert.match(stdout, /socket/);
  assert.equal(code, 3);
  assert.match(stderr, /socket.*sockets are not restored/);
});
