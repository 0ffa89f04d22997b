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
  renameSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { TargetError } from '../../src/errors.ts';
import { openTarget, type Target, type TargetDirectory } from '../../src/restore/target.ts';
import { nodeTargetFs, type TargetFs } from '../../src/restore/target-fs.ts';
import type { LinkOutcome } from '../../src/restore/target-links.ts';
import type { TargetMetadata } from '../../src/restore/target-metadata.ts';
import { userTest } from '../helpers/as-user.ts';
import { b } from '../helpers/raw-path.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import { walkTree } from '../helpers/walk-tree.ts';

const isRoot = process.geteuid?.() === 0;
const rootOnly = { skip: !isRoot };
const own = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
const sometime = { seconds: 1_000_000_000n, nanoseconds: 123_456_789 };
const group = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);

interface Opened {
  /** Path of the target, and of a directory beside it that nothing may touch. */
  readonly dir: string;
  readonly outside: string;
  readonly target: Target;
  readonly problems: TargetError[];
}

function open(t: TestContext, change: Partial<TargetFs> = {}, mayHoldEntries = false): Opened {
  const top = tempDir(t);
  const [dir, outside] = [join(top, 'target'), join(top, 'outside')];
  mkdirSync(outside);
  writeFileSync(join(outside, 'file'), 'untouched');
  return { dir, outside, ...openAt(dir, change, mayHoldEntries) };
}

function openAt(dir: string, change: Partial<TargetFs> = {}, mayHoldEntries = false) {
  const problems: TargetError[] = [];
  const target = openTarget(b(dir), {
    fs: { ...nodeTargetFs, ...change },
    random: seededRandom(),
    onProblem: (problem) => problems.push(problem),
    mayHoldEntries,
  });
  return { target, problems };
}

function put(
  directory: TargetDirectory,
  name: string | Uint8Array,
  metadata: TargetMetadata = {},
  content = 'content',
): void {
  const file = directory.createFile(typeof name === 'string' ? b(name) : name);
  file.write(b(content), 0);
  file.finish(content.length, metadata);
}

function reasons(problems: readonly TargetError[]): string[] {
  return problems.map(({ operation, reason }) => `${operation} ${reason}`);
}

function demandNotLinked(outcome: LinkOutcome): void {
  assert.ok(outcome instanceof TargetError);
  assert.deepEqual([outcome.operation, outcome.reason], ['link', 'hard_link']);
}

function demandUntouched(outside: string): void {
  assert.deepEqual(readdirSync(outside), ['file']);
  assert.equal(readFileSync(join(outside, 'file'), 'utf8'), 'untouched');
}

test('openTarget() makes the directory, private, and demands that it is empty', (t) => {
  const { dir, target } = open(t);
  assert.equal(statSync(dir).mode & 0o7777, 0o700);
  put(target.root, 'file');
  target.root.leave();

  assert.throws(() => openAt(dir), { code: 'TARGET', reason: 'not_empty' });
  openAt(dir, {}, true).target.root.leave();
  assert.throws(() => openAt(join(dir, 'file')), { code: 'TARGET', reason: 'exists' });
});

test('openTarget() follows symlinks in the path the user typed', (t) => {
  const { outside } = open(t);
  unlinkSync(join(outside, 'file'));
  symlinkSync(outside, `${outside}-link`);

  const { target } = openAt(`${outside}-link`);
  put(target.root, 'new');
  target.root.leave();

  assert.deepEqual(readdirSync(outside), ['new']);
});

test('openTarget() refuses root where there are no directory handles', (t) => {
  const path = b(tempDir(t));
  const options = { random: seededRandom(), onProblem: () => undefined };
  const fs = { ...nodeTargetFs, hasDirectoryHandles: () => false };

  assert.throws(() => openTarget(path, { ...options, fs: { ...fs, effectiveUid: () => 0 } }), {
    code: 'TARGET',
    reason: 'unsafe',
  });
  openTarget(path, { ...options, fs: { ...fs, effectiveUid: () => 1000 } }).root.leave();
});

test('TargetFile writes holes and exact sizes and appears when it is finished', (t) => {
  const { dir, target } = open(t);
  const file = target.root.createFile(b('file'));
  const names = readdirSync(dir);
  assert.equal(names.length, 1);
  assert.match(names[0] as string, /^\.varve-[0-9a-f]{16}$/);
  assert.equal(statSync(join(dir, names[0] as string)).mode & 0o7777, 0o600);

  file.write(b('end'), 100_000);
  file.write(b('start'), 0);
  file.finish(200_000, { mode: 0o644, owner: own, mtime: sometime });
  const shorter = target.root.createFile(b('shorter'));
  shorter.write(b('0123456789'), 0);
  shorter.finish(4, {});
  target.root.createFile(b('given up')).abort();
  target.root.leave();

  const expected = Buffer.alloc(200_000);
  expected.write('start', 0);
  expected.write('end', 100_000);
  assert.deepEqual(readFileSync(join(dir, 'file')), expected);
  assert.equal(readFileSync(join(dir, 'shorter'), 'latin1'), '0123');
  assert.deepEqual(readdirSync(dir), ['file', 'shorter']);
});

test('TargetFile.finish() sets mode and times of any year', (t) => {
  const { dir, target, problems } = open(t);
  const times = [-5n, -2_145_916_800n, 0n, 15_032_385_534n];
  for (const seconds of times) {
    put(target.root, `${seconds}`, { mode: 0o604, mtime: { seconds, nanoseconds: 7 } });
  }

  for (const seconds of times) {
    const stats = lstatSync(join(dir, `${seconds}`), { bigint: true });
    assert.deepEqual(
      [stats.mtimeNs, stats.mode & 0o7777n],
      [seconds * 1_000_000_000n + 7n, 0o604n],
    );
  }
  assert.deepEqual(problems, []);
});

test('a short write is continued', (t) => {
  const write: TargetFs['write'] = (fd, bytes, position) =>
    nodeTargetFs.write(fd, bytes.subarray(0, 3), position);
  const { dir, target } = open(t, { write });

  put(target.root, 'file', {}, '0123456789');

  assert.equal(readFileSync(join(dir, 'file'), 'latin1'), '0123456789');
});

test('a failing write leaves nothing, and the next file is restored', (t) => {
  let isFull = true;
  const write: TargetFs['write'] = (fd, bytes, position) => {
    if (isFull) throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
    return nodeTargetFs.write(fd, bytes, position);
  };
  const { dir, target } = open(t, { write });
  const file = target.root.createFile(b('file'));

  assert.throws(() => file.write(b('x'), 0), {
    code: 'TARGET',
    operation: 'write',
    reason: 'no_space',
  });
  file.abort();
  isFull = false;
  put(target.root, 'next');

  assert.deepEqual(readdirSync(dir), ['next']);
});

test('a file whose bytes are lost when it is closed gets no name', (t) => {
  const closeWritten: TargetFs['closeWritten'] = (fd) => {
    nodeTargetFs.closeWritten(fd);
    throw Object.assign(new Error('EDQUOT'), { code: 'EDQUOT' });
  };
  const { dir, target } = open(t, { closeWritten });
  const file = target.root.createFile(b('file'));
  file.write(b('x'), 0);

  assert.throws(() => file.finish(1, {}), { code: 'TARGET', reason: 'no_space' });

  assert.deepEqual(readdirSync(dir), []);
});

test('hostile names are refused by every operation, and the rest goes on (X01)', (t) => {
  const { dir, outside, target } = open(t);
  const { root } = target;
  const hostile = ['', '.', '..', '../outside/file', '/etc/passwd', 'a/b', 'a\0b', '..\0'];

  for (const name of hostile.map((text) => Buffer.from(text))) {
    const refusal = { code: 'TARGET', reason: 'name' };
    assert.throws(() => root.createFile(name), refusal);
    assert.throws(() => root.enter(name), refusal);
    assert.throws(() => root.symlink(name, b('x'), {}), refusal);
    assert.throws(() => root.hardLink(name, group), refusal);
  }
  const long = b('x'.repeat(256));
  assert.throws(() => root.enter(long), { reason: 'name' });
  assert.throws(() => put(root, long), { reason: 'name' });
  for (const target of ['', 'a\0b']) {
    assert.throws(() => root.symlink(b('link'), Buffer.from(target), {}), { reason: 'name' });
  }
  put(root, '..\\x');

  assert.deepEqual(readdirSync(dir), ['..\\x']);
  demandUntouched(outside);
});

test('names of any bytes are restored as they are', (t) => {
  const { dir, target } = open(t);
  const names = [[0xff, 0xfe], [0x80], [...b('line\nbreak')], [...b('x'.repeat(255))]];

  for (const name of names) put(target.root, Uint8Array.from(name));

  const found = readdirSync(dir, 'buffer').map((name) => [...name]);
  assert.deepEqual(found.sort(), names.sort());
});

test('an entry named twice is an error and replaces nothing (S03)', (t) => {
  const { dir, target } = open(t);
  const { root } = target;
  put(root, 'file', {}, 'first');
  root.symlink(b('link'), b('first'), {});
  root.enter(b('directory')).leave();

  for (const name of ['file', 'link', 'directory']) {
    const taken = { code: 'TARGET', reason: 'exists' };
    assert.throws(() => put(root, name, {}, 'second'), taken);
    assert.throws(() => root.symlink(b(name), b('second'), {}), taken);
    assert.throws(() => root.enter(b(name)), taken);
  }

  assert.deepEqual(readdirSync(dir), ['directory', 'file', 'link']);
  assert.equal(readFileSync(join(dir, 'file'), 'utf8'), 'first');
  assert.equal(readlinkSync(join(dir, 'link')), 'first');
});

test('a symlink just restored is never gone through (X02)', (t) => {
  const { outside, target } = open(t);
  target.root.symlink(b('evil'), b(outside), {});

  assert.throws(() => target.root.enter(b('evil')), { code: 'TARGET', reason: 'exists' });
  demandUntouched(outside);
});

test('symlinks planted in the target are not followed (X04)', (t) => {
  const { dir, outside, target } = open(t, {}, true);
  symlinkSync(outside, join(dir, 'directory'));
  symlinkSync(join(outside, 'file'), join(dir, 'file'));
  symlinkSync(join(outside, 'new'), join(dir, 'dangling'));
  linkSync(join(outside, 'file'), join(dir, 'hard'));

  assert.throws(() => target.root.enter(b('directory')), { code: 'TARGET', reason: 'unsafe' });
  for (const name of ['file', 'dangling', 'hard']) {
    assert.throws(() => put(target.root, name), { code: 'TARGET', reason: 'exists' });
  }

  demandUntouched(outside);
});

test('a directory swapped for a symlink while it is made is not entered', (t) => {
  const { dir, outside, target } = open(t, {
    makeDirectory: (path) => {
      nodeTargetFs.makeDirectory(path);
      renameSync(join(dir, 'sub'), join(dir, 'moved'));
      symlinkSync(outside, join(dir, 'sub'));
    },
  });

  assert.throws(() => target.root.enter(b('sub')), { code: 'TARGET', reason: 'unsafe' });
  demandUntouched(outside);
});

test('a directory swapped for a symlink while it is open keeps its entries', (t) => {
  const { dir, outside, target } = open(t);
  const sub = target.root.enter(b('sub'));
  renameSync(join(dir, 'sub'), join(dir, 'moved'));
  symlinkSync(outside, join(dir, 'sub'));

  put(sub, 'file');
  sub.enter(b('below')).leave({ mode: 0o755 });
  sub.symlink(b('link'), b('x'), { mtime: sometime });
  sub.leave({ mode: 0o711, mtime: sometime });

  assert.deepEqual(readdirSync(join(dir, 'moved')), ['below', 'file', 'link']);
  assert.equal(statSync(join(dir, 'moved')).mode & 0o7777, 0o711);
  demandUntouched(outside);
});

test('a symlink swapped before its metadata is set passes nothing on', (t) => {
  const { dir, outside, target } = open(t, {
    makeSymlink: (path, linkTarget) => {
      nodeTargetFs.makeSymlink(path, linkTarget);
      unlinkSync(join(dir, 'link'));
      linkSync(join(outside, 'file'), join(dir, 'link'));
    },
  });
  const before = statSync(join(outside, 'file')).mtimeMs;

  assert.throws(() => target.root.symlink(b('link'), b('x'), { mtime: sometime }), {
    code: 'TARGET',
    reason: 'unsafe',
  });
  assert.equal(statSync(join(outside, 'file')).mtimeMs, before);
});

test('a new file that got a second name is not finished', (t) => {
  const { dir, outside, target } = open(t);
  const file = target.root.createFile(b('file'));
  linkSync(join(dir, readdirSync(dir)[0] as string), join(outside, 'caught'));

  assert.throws(() => file.finish(0, { mode: 0o4755, owner: own }), { reason: 'unsafe' });

  assert.deepEqual(readdirSync(dir), []);
  assert.equal(statSync(join(outside, 'caught')).mode & 0o7777, 0o600);
});

test('symlinks are restored verbatim with their own times', (t) => {
  const { dir, target } = open(t);
  const linkTarget = Buffer.from([0x2f, 0xff, 0x2e, 0x2e]);

  target.root.symlink(b('link'), linkTarget, { mode: 0o777, owner: own, mtime: sometime });

  assert.deepEqual(readlinkSync(join(dir, 'link'), 'buffer'), linkTarget);
  const expected = sometime.seconds * 1_000_000_000n + BigInt(sometime.nanoseconds);
  assert.equal(lstatSync(join(dir, 'link'), { bigint: true }).mtimeNs, expected);
});

test('hard links are made to files of this run, in any directory', (t) => {
  const { dir, target } = open(t);
  const { root } = target;
  const sub = root.enter(b('sub'));
  put(sub, 'first', { linkGroup: group, mode: 0o600 });
  sub.leave({ mode: 0o755 });
  root.symlink(b('link'), b('x'), { linkGroup: Uint8Array.of(9) });

  assert.equal(root.hardLink(b('second'), group), 'linked');
  assert.equal(root.hardLink(b('link-2'), Uint8Array.of(9)), 'linked');
  assert.equal(root.hardLink(b('none'), Uint8Array.of(7)), 'first');
  assert.throws(() => root.hardLink(b('second'), group), { reason: 'exists' });

  assert.equal(statSync(join(dir, 'second')).ino, statSync(join(dir, 'sub', 'first')).ino);
  assert.equal(readlinkSync(join(dir, 'link-2')), 'x');
  assert.deepEqual(readdirSync(dir), ['link', 'link-2', 'second', 'sub']);
});

test('without directory handles a symlink that has another name cannot be linked to, and says so', (t) => {
  const { dir, target } = open(t, { hasDirectoryHandles: () => false, effectiveUid: () => 1000 });
  target.root.symlink(b('link'), b('x'), { linkGroup: group });

  demandNotLinked(target.root.hardLink(b('link-2'), group));

  assert.deepEqual(readdirSync(dir), ['link']);
});

test('a file replaced since is not linked to (X03)', (t) => {
  const { dir, outside, target } = open(t);
  const sub = target.root.enter(b('sub'));
  put(sub, 'first', { linkGroup: group });
  sub.leave();
  const first = join(dir, 'sub', 'first');
  // Moved and not removed, so that its inode number is not given to the next file.
  renameSync(first, join(outside, 'moved'));
  const replacements: (() => void)[] = [
    () => linkSync(join(outside, 'file'), first),
    () => symlinkSync(join(outside, 'moved'), first),
    () => writeFileSync(first, 'other'),
    () => mkdirSync(first),
  ];

  for (const replace of replacements) {
    replace();
    demandNotLinked(target.root.hardLink(b('second'), group));
    execFileSync('rm', ['-r', first]);
  }
  demandNotLinked(target.root.hardLink(b('second'), group));
  execFileSync('rm', ['-r', join(dir, 'sub')]);
  symlinkSync(outside, join(dir, 'sub'));
  demandNotLinked(target.root.hardLink(b('second'), group));

  assert.deepEqual(readdirSync(dir), ['sub']);
});

test('read-only directories are restored with what they hold (X11)', (t) => {
  const { dir, target, problems } = open(t);
  const outer = target.root.enter(b('outer'));
  const inner = outer.enter(b('inner'));
  put(inner, 'file', { mode: 0o400 });
  inner.leave({ mode: 0o555, owner: own, mtime: sometime });
  put(outer, 'file');
  outer.leave({ mode: 0o500, owner: own, mtime: { seconds: -1n, nanoseconds: 5 } });
  target.root.leave({ mode: 0o755, mtime: { seconds: 5n, nanoseconds: 0 } });

  assert.deepEqual(problems, []);
  const stats = lstatSync(join(dir, 'outer'), { bigint: true });
  assert.deepEqual([stats.mode & 0o7777n, stats.mtimeNs], [0o500n, -999_999_995n]);
  assert.equal(statSync(join(dir, 'outer', 'inner')).mode & 0o7777, 0o555);
  assert.equal(statSync(join(dir, 'outer', 'inner', 'file')).mode & 0o7777, 0o400);
  assert.deepEqual([statSync(dir).mode & 0o7777, statSync(dir).mtimeMs], [0o755, 5000]);
});

test('a directory that is there already is entered, private while open, where that is allowed', (t) => {
  const { dir, target } = open(t, {}, true);
  mkdirSync(join(dir, 'sub'));
  chmodSync(join(dir, 'sub'), 0o2755);
  writeFileSync(join(dir, 'sub', 'kept'), '');

  const sub = target.root.enter(b('sub'));
  assert.equal(statSync(join(dir, 'sub')).mode & 0o7777, 0o700);
  put(sub, 'new');
  sub.leave();

  assert.deepEqual(readdirSync(join(dir, 'sub')), ['kept', 'new']);
  assert.equal(statSync(join(dir, 'sub')).mode & 0o7777, 0o2755);
  target.root.enter(b('sub')).leave({ mode: 0o750 });
  assert.equal(statSync(join(dir, 'sub')).mode & 0o7777, 0o750);
});

test('TargetDirectory restores 500 levels', (t) => {
  const { dir, target } = open(t);
  const stack = [target.root];
  for (let depth = 1; depth <= 500; depth++) {
    stack.push((stack.at(-1) as TargetDirectory).enter(b('nine-byte')));
  }
  put(stack.at(-1) as TargetDirectory, 'file', { linkGroup: group });
  assert.equal(target.root.hardLink(b('deep'), group), 'linked');
  while (stack.length > 0) stack.pop()?.leave({ mode: 0o755, mtime: sometime });

  const { lines } = walkTree([dir]);
  assert.equal(lines.filter((line) => line.startsWith('entry f')).length, 2);
  assert.equal(lines.filter((line) => line.endsWith('nine-byte')).length, 1000);
});

test('TargetDirectory.pass() makes nothing until something is to be made in it', (t) => {
  const { dir, target } = open(t);

  const outer = target.root.pass(b('outer'));
  const inner = outer.pass(b('inner'));
  const never = outer.pass(b('never'));
  assert.deepEqual(readdirSync(dir), []);
  assert.throws(() => inner.fd, { name: 'AssertionError' });
  inner.make();
  inner.make();
  for (const one of [never, inner, outer]) one.leave({ mode: 0o750 });

  assert.deepEqual(
    [never, inner, outer].map((one) => one.isMade),
    [false, true, true],
  );
  assert.deepEqual(readdirSync(dir, { recursive: true }).sort(), ['outer', 'outer/inner']);
  assert.equal(statSync(join(dir, 'outer', 'inner')).mode & 0o777, 0o750);
});

test('TargetDirectory.pass() refuses the names and depths that enter() refuses', (t) => {
  const { target } = open(t);
  let directory = target.root;

  assert.throws(() => directory.pass(b('..')), { code: 'TARGET', reason: 'name' });
  for (let depth = 1; depth <= 4096; depth++) directory = directory.pass(b('d'));

  assert.throws(() => directory.pass(b('d')), { code: 'TARGET', reason: 'too_deep' });
});

test('TargetDirectory.make() never goes through what stands in the way, and is lost then', (t) => {
  const { dir, outside, target } = open(t);
  const outer = target.root.pass(b('outer'));
  const inner = outer.pass(b('inner'));
  symlinkSync(outside, join(dir, 'outer'));

  assert.throws(() => inner.make(), {
    reason: 'exists',
    path: new Uint8Array(b(join(dir, 'outer'))),
  });

  assert.deepEqual(
    [target.root, outer, inner].map((one) => one.isLost),
    [false, true, true],
  );
  assert.deepEqual(readdirSync(outside), ['file']);
});

test('TargetDirectory.enter() refuses to go deeper than 4,096 levels', (t) => {
  const { target } = open(t, {
    makeDirectory: () => undefined,
    openDirectory: () => target.root.fd,
  });
  let directory = target.root;
  for (let depth = 1; depth <= 4096; depth++) directory = directory.enter(b('d'));

  assert.throws(() => directory.enter(b('d')), { code: 'TARGET', reason: 'too_deep' });
});

test('devices, FIFOs and sockets are refused by name', (t) => {
  const { target } = open(t);

  for (const type of ['p', 's', 'c', 'b'] as const) {
    const error = target.root.refuseSpecial(b('special'), type);
    assert.ok(error instanceof TargetError);
    assert.equal(error.reason, 'special_file');
  }
});

test('owner, then setuid, are set as root', rootOnly, (t) => {
  const { dir, target, problems } = open(t);
  const owner = { uid: 1234, gid: 4321 };

  put(target.root, 'file', { mode: 0o6755, owner, mtime: sometime });
  target.root.symlink(b('link'), b('x'), { owner });
  target.root.enter(b('sub')).leave({ mode: 0o1777, owner });

  for (const [name, mode] of Object.entries({ file: 0o6755, link: 0o777, sub: 0o1777 })) {
    const stats = lstatSync(join(dir, name));
    assert.deepEqual([stats.uid, stats.gid, stats.mode & 0o7777], [1234, 4321, mode]);
  }
  assert.deepEqual(problems, []);
});

test('setuid is left out where the owner could not be set as root (X07)', rootOnly, (t) => {
  const owner = { uid: 1234, gid: 4321 };
  const chown = (): never => {
    throw Object.assign(new Error('EPERM'), { code: 'EPERM' });
  };
  const { dir, target, problems } = open(t, { chown });

  put(target.root, 'refused', { mode: 0o4755, owner });
  put(target.root, 'without owner', { mode: 0o2755 });

  assert.deepEqual(reasons(problems), [
    'set owner of owner',
    'set mode of special_bits',
    'set mode of special_bits',
  ]);
  assert.equal(statSync(join(dir, 'refused')).mode & 0o7777, 0o755);
  assert.equal(statSync(join(dir, 'without owner')).mode & 0o7777, 0o755);
});

test('an owner that means "leave it" to the system gives nobody setuid of root', rootOnly, (t) => {
  const { dir, target, problems } = open(t);
  const owner = { uid: 2 ** 32 - 1, gid: 2 ** 32 - 1 };

  put(target.root, 'file', { mode: 0o6755, owner });

  assert.deepEqual(reasons(problems), ['set owner of owner', 'set mode of special_bits']);
  assert.equal(statSync(join(dir, 'file')).mode & 0o7777, 0o755);
});

userTest(
  import.meta.url,
  'without root foreign owners are a count and special bits reported',
  (t) => {
    const { dir, target, problems } = open(t);
    const foreign = { uid: 1, gid: 1 };

    put(target.root, 'foreign', { mode: 0o4755, owner: foreign });
    put(target.root, 'own', { mode: 0o644, owner: own });
    target.root.symlink(b('link'), b('x'), { owner: foreign });
    put(target.root, 'sticky', { mode: 0o1644, owner: own });
    target.root.enter(b('group')).leave({ mode: 0o3775, owner: own });
    target.root.enter(b('sub')).leave({ mode: 0o1777, owner: own });

    assert.equal(target.notes.ownerNotSetCount, 2);
    assert.deepEqual(reasons(problems), new Array(3).fill('set mode of special_bits'));
    const modes = { foreign: 0o755, sticky: 0o644, group: 0o1775, sub: 0o1777 };
    for (const [name, mode] of Object.entries(modes)) {
      assert.equal(statSync(join(dir, name)).mode & 0o7777, mode, name);
    }
  },
);

userTest(
  import.meta.url,
  'without root read-only directories are filled before they close',
  (t) => {
    const { dir, target, problems } = open(t);
    const sub = target.root.enter(b('sub'));
    put(sub, 'file', { mode: 0o444, linkGroup: group });
    sub.leave({ mode: 0, mtime: sometime });

    // Its directory cannot be passed any more: the file is to be copied.
    demandNotLinked(target.root.hardLink(b('second'), group));
    assert.deepEqual(problems, []);
    assert.equal(statSync(join(dir, 'sub')).mode & 0o7777, 0);
  },
);
