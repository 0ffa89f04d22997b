import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  linkSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { selfPath } from '../../src/platform/directory-handle.ts';
import { utimens } from '../../src/platform/times.ts';
import type { Node } from '../../src/tree/node.ts';
import { planSources } from '../../src/walk/plan-sources.ts';
import type { HeldPath } from '../../src/walk/source-entry.ts';
import { openSourceFile } from '../../src/walk/source-file.ts';
import { nodeSourceFs, type SourceFs } from '../../src/walk/source-fs.ts';
import { walk } from '../../src/walk/walk.ts';
import { userTest } from '../helpers/as-user.ts';
import { b, makeDeep, rawPath } from '../helpers/raw-path.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import {
  entryNamed,
  linesBelow,
  metadataOf,
  testLinkGroup,
  walkOptions,
  walkTree,
} from '../helpers/walk-tree.ts';

function openDescriptorCount(): number {
  return readdirSync('/proc/self/fd').length;
}

/** A file system error as Node throws it. */
function failWith(code: string): never {
  throw Object.assign(new Error(code), { code });
}

function endsWith(path: Uint8Array, name: string): boolean {
  return Buffer.from(path).toString('latin1').endsWith(`/${name}`);
}

test('walk() enters and leaves directories depth first, names by bytes', (t) => {
  const top = tempDir(t);
  mkdirSync(join(top, 'a', 'empty'), { recursive: true });
  mkdirSync(join(top, 'a.d'));
  for (const name of ['a-file', 'Z', 'a/inner', 'zoë', 'zo']) writeFileSync(join(top, name), '');

  const walked = walkTree([top]);

  assert.deepEqual(linesBelow(walked, top), [
    'entry f Z',
    'enter a',
    'enter a/empty',
    'leave a/empty',
    'entry f a/inner',
    'leave a',
    'entry f a-file',
    'enter a.d',
    'leave a.d',
    'entry f zo',
    `entry f ${Buffer.from('zoë').toString('latin1')}`,
  ]);
  assert.equal(walked.lines[0], 'enter /');
  assert.equal(walked.lines.at(-1), 'leave /');
});

test('walk() keeps names of any bytes', (t) => {
  const top = tempDir(t);
  const names = [
    Buffer.from([0xff, 0xfe]),
    Buffer.from([0x80]),
    b('line\nbreak'),
    b('x'.repeat(255)),
    b('__proto__'),
    b('..x'),
    b(' '),
    Buffer.from('e\u0301'),
    Buffer.from('\u00e9'),
  ];
  for (const name of names) writeFileSync(rawPath(top, name), name);

  const { events } = walkTree([top]);

  const found = events.flatMap((event) =>
    event.kind === 'entry' ? [Buffer.from(event.entry.metadata.name)] : [],
  );
  assert.deepEqual(found, names.sort(Buffer.compare));
});

test('walk() stores parents of sources with what leads to sources only', (t) => {
  const top = tempDir(t);
  mkdirSync(join(top, 'real', 'source'), { recursive: true });
  writeFileSync(join(top, 'real', 'neighbour'), '');
  writeFileSync(join(top, 'real', 'source', 'file'), '');
  symlinkSync('real', join(top, 'link'));
  symlinkSync('source', join(top, 'real', 'source-link'));

  const walked = walkTree([join(top, 'link', 'source'), join(top, 'real', 'source-link')]);

  assert.deepEqual(linesBelow(walked, top), [
    'enter link',
    'enter link/source',
    'entry f link/source/file',
    'leave link/source',
    'leave link',
    'enter real',
    'entry l real/source-link',
    'leave real',
  ]);
});

test('walk() reports missing sources and goes on', (t) => {
  const top = tempDir(t);
  writeFileSync(join(top, 'file'), '');

  const walked = walkTree([join(top, 'no', 'such'), join(top, 'file'), join(top, 'file', 'below')]);

  assert.deepEqual(linesBelow(walked, top), [
    'entry f file',
    'error not_a_directory file/below',
    'error missing no/such',
  ]);
});

test('walk() reports a source inside another that it does not come upon', (t) => {
  const top = tempDir(t);
  mkdirSync(join(top, 'dir', 'kept'), { recursive: true });
  symlinkSync('dir', join(top, 'link'));

  const sources = ['', '/dir/gone', '/dir/kept', '/link/kept'].map((path) => top + path);

  assert.deepEqual(linesBelow(walkTree(sources), top), [
    'error missing dir/gone',
    'enter dir',
    'enter dir/kept',
    'leave dir/kept',
    'leave dir',
    'entry l link',
    'error not_a_directory link/kept',
  ]);
});

test('walk() tells all types and their fields', async (t) => {
  const top = tempDir(t);
  writeFileSync(join(top, 'file'), 'five5', { mode: 0o640 });
  symlinkSync(Buffer.from([0x2e, 0xff]), join(top, 'symlink'));
  execFileSync('mkfifo', [join(top, 'fifo')]);
  const server = createServer().listen(join(top, 'socket'));
  t.after(() => server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  utimens(b(join(top, 'file')), { mtime: { seconds: -7n, nanoseconds: 123_456_789 } }, true);
  chmodSync(join(top, 'file'), 0o4751);

  const walked = walkTree([top, '/dev/null']);

  const file = metadataOf(walked, 'file');
  const { uid, gid } = { uid: process.getuid?.(), gid: process.getgid?.() };
  assert.deepEqual([file.type, file.mode, file.size], ['f', 0o4751, 5n]);
  assert.deepEqual(file.mtime, { seconds: -7n, nanoseconds: 123_456_789 });
  assert.deepEqual(file.owner, { uid, gid });
  assert.deepEqual([file.target, file.device, file.linkGroup], [undefined, undefined, undefined]);
  assert.deepEqual(
    Buffer.from(metadataOf(walked, 'symlink').target as Uint8Array),
    Buffer.from([0x2e, 0xff]),
  );
  assert.equal(metadataOf(walked, 'symlink').size, undefined);
  assert.equal(metadataOf(walked, 'fifo').type, 'p');
  assert.equal(metadataOf(walked, 'socket').type, 's');
  assert.equal(metadataOf(walked, 'null').type, 'c');
  assert.deepEqual(metadataOf(walked, 'null').device, { major: 1, minor: 3 });
  assert.equal(Buffer.from(metadataOf(walked, 'null').ownerNames?.user ?? '').toString(), 'root');
});

test('walk() gives names of one file one link group, of any type but directories', (t) => {
  const top = tempDir(t);
  mkdirSync(join(top, 'dir', 'sub'), { recursive: true });
  writeFileSync(join(top, 'file'), '');
  linkSync(join(top, 'file'), join(top, 'dir', 'file-2'));
  symlinkSync('nowhere', join(top, 'link'));
  linkSync(join(top, 'link'), join(top, 'dir', 'link-2'));
  writeFileSync(join(top, 'single'), '');

  const walked = walkTree([top]);

  const group = (name: string) => metadataOf(walked, name).linkGroup;
  assert.deepEqual(group('file'), group('file-2'));
  assert.deepEqual(group('link'), group('link-2'));
  assert.notDeepEqual(group('file'), group('link'));
  assert.deepEqual([group('single'), group('dir')], [undefined, undefined]);
  // The directories above may lie on file systems of their own.
  const ordinal = group('file')?.[0] as number;
  assert.deepEqual(group('file'), testLinkGroup(ordinal, metadataOf(walked, 'file').inode));
});

test('walk() numbers file systems as it meets them, whatever their device numbers are', (t) => {
  const top = tempDir(t);
  for (const name of ['a', 'b']) mkdirSync(join(top, name));
  for (const name of ['a/one', 'b/one']) writeFileSync(join(top, name), '');
  for (const name of ['a', 'b']) linkSync(join(top, name, 'one'), join(top, name, `two-${name}`));
  const groups = [1000, 7].map((shift) => {
    const fs: SourceFs = {
      ...nodeSourceFs,
      lstatIn: (directory, name) => {
        const stat = nodeSourceFs.lstatIn(directory, name);
        return endsWith(directory.path, 'b') ? { ...stat, device: stat.device + shift } : stat;
      },
    };
    const walked = walkTree([top], fs);
    return ['two-a', 'two-b'].map((name) => metadataOf(walked, name).linkGroup?.[0] as number);
  });

  const [a, b] = groups[0] as [number, number];
  assert.equal(b, a + 1);
  assert.deepEqual(groups[1], [a, b]);
});

for (const [depth, name] of [
  [500, 'd'],
  [1200, 'nine-byte'],
] as const) {
  test(`walk() goes ${depth} levels down and leaves no handle open`, (t) => {
    const top = tempDir(t);
    makeDeep(top, Array(depth).fill(name));
    const before = openDescriptorCount();

    const { lines } = walkTree([top]);

    assert.equal(lines.filter((line) => line.startsWith('error')).length, 0);
    const below = linesBelow({ lines }, top);
    assert.equal(below.filter((line) => line.startsWith('enter')).length, depth);
    assert.equal(below[depth - 1], `enter ${Array(depth).fill(name).join('/')}`);
    assert.equal(openDescriptorCount(), before);
  });
}

test('SourceEntry.hold() keeps a file within reach whose path is too long', (t) => {
  const top = tempDir(t);
  makeDeep(top, Array(600).fill('nine-byte'));
  const before = openDescriptorCount();
  const fs: SourceFs = {
    ...nodeSourceFs,
    list: (directory) => {
      const names = nodeSourceFs.list(directory);
      if (names.length === 0) writeFileSync(rawPath(selfPath(directory), 'file'), 'deep');
      return names.length === 0 ? ['file'] : names;
    },
  };

  const entry = entryNamed(walkTree([top], fs), 'file');
  assert.throws(() => openSourceFile({ fs, path: entry.path, identity: entry.identity }), {
    code: 'SOURCE',
  });
  const held = [...heldFiles(top)][0] as HeldPath;

  const file = openSourceFile({ fs, path: held.path, identity: entry.identity });
  const target = new Uint8Array(10);
  assert.equal(file.read(target), 4);
  assert.deepEqual(Buffer.from(target.subarray(0, 4)), b('deep'));
  file.close();
  held.release();
  assert.equal(openDescriptorCount(), before);
});

function* heldFiles(top: string): Generator<HeldPath> {
  for (const event of walk(planSources([top], '/'), walkOptions(nodeSourceFs))) {
    if (event.kind === 'entry') yield event.entry.hold();
  }
}

test('walk() closes its handles when the consumer stops early', (t) => {
  const top = tempDir(t);
  makeDeep(top, ['a', 'b', 'c']);
  const before = openDescriptorCount();

  for (const event of walk(planSources([top], '/'), walkOptions(nodeSourceFs))) {
    if (event.kind === 'enter' && endsWith(event.entry.path, 'c')) break;
  }

  assert.equal(openDescriptorCount(), before);
});

test('walk() gives the same events without system calls of its own', (t) => {
  const top = tempDir(t);
  makeDeep(top, ['a', 'b']);
  writeFileSync(rawPath(top, 'a', Buffer.from([0xff])), 'x');
  symlinkSync('nowhere', join(top, 'a', 'link'));
  mkdirSync(join(top, 'z'));
  const helper = new URL('../helpers/walk-tree.js', import.meta.url);
  // A platform for which there is neither a C library nor a /proc.
  const program = `
    Object.defineProperty(process, 'platform', { value: 'other' });
    const { walkTree } = await import('${helper}');
    console.log(JSON.stringify(walkTree(['${top}']).lines));`;

  const output = execFileSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
  });

  const lines = JSON.parse(output) as string[];
  assert.deepEqual(lines, walkTree([top]).lines);
  assert.equal(linesBelow({ lines }, top).length, 8);
});

test('SourceEntry.isUnchangedFrom() compares type, size, both times and inode', (t) => {
  const top = tempDir(t);
  writeFileSync(join(top, 'file'), 'five5');
  symlinkSync('file', join(top, 'link'));
  const walked = walkTree([top]);
  const entry = entryNamed(walked, 'file');
  const node: Node = { ...entry.metadata, content: { kind: 'empty' } };
  const { mtime, ctime, inode } = entry;
  const later = { seconds: mtime.seconds, nanoseconds: (mtime.nanoseconds + 1) % 1e9 };

  assert.deepEqual([entry.type, entry.size], ['f', 5]);
  assert.equal(entry.isUnchangedFrom(node), true);
  // What changes with ctime need not be compared.
  assert.equal(entry.isUnchangedFrom({ ...node, mode: 0, name: b('other') }), true);
  for (const change of [
    { type: 'l' as const },
    { size: 6n },
    { size: undefined },
    { inode: inode + 1n },
    { inode: undefined },
    { mtime: later },
    { mtime: undefined },
    { ctime: { ...ctime, seconds: ctime.seconds + 1n } },
    { ctime: later },
    { ctime: undefined },
  ]) {
    assert.equal(entry.isUnchangedFrom({ ...node, ...change }), false, Object.keys(change)[0]);
  }
  const link = entryNamed(walked, 'link');
  assert.equal(link.isUnchangedFrom(link.metadata), true);
});

test('walk() gives the same events whatever the order of list()', (t) => {
  const top = tempDir(t);
  for (let i = 0; i < 30; i++)
    mkdirSync(join(top, `dir-${i % 5}`, `sub-${i}`), { recursive: true });
  for (let i = 0; i < 60; i++) writeFileSync(join(top, `dir-${i % 5}`, `file-${i}`), '');
  const random = seededRandom();
  const shuffling: SourceFs = {
    ...nodeSourceFs,
    list: (directory) =>
      nodeSourceFs
        .list(directory)
        .map((name) => ({ name, key: random.below(1000) }))
        .sort((x, y) => x.key - y.key)
        .map(({ name }) => name),
  };

  assert.deepEqual(walkTree([top], shuffling).lines, walkTree([top]).lines);
});

test('walk() reports a name that is listed twice and keeps it once (S03)', (t) => {
  const top = tempDir(t);
  for (const name of ['a', 'b']) writeFileSync(join(top, name), '');
  const fs = { ...nodeSourceFs, list: () => ['b', 'a', 'b'] };

  assert.deepEqual(linesBelow(walkTree([top], fs), top), [
    'entry f a',
    'entry f b',
    'error duplicate_name b',
  ]);
});

test('walk() leaves out what vanishes and keeps the rest of the directory (S01)', (t) => {
  const top = tempDir(t);
  for (const name of ['b-dir', 'd-dir', 'f-dir']) mkdirSync(join(top, name));
  for (const name of ['a', 'c', 'e', 'g']) writeFileSync(join(top, name), '');
  symlinkSync('a', join(top, 'h-link'));
  const fs: SourceFs = {
    ...nodeSourceFs,
    lstatIn: (directory, name) => {
      if (name.toString() === 'c') unlinkSync(join(top, 'c'));
      if (name.toString() === 'e') failWith('EIO');
      const stat = nodeSourceFs.lstatIn(directory, name);
      if (name.toString() === 'd-dir') rmSync(join(top, 'd-dir'), { recursive: true });
      if (name.toString() === 'f-dir') {
        renameSync(join(top, 'f-dir'), join(top, 'z-dir'));
        symlinkSync('/etc', join(top, 'f-dir'));
      }
      if (name.toString() === 'h-link') unlinkSync(join(top, 'h-link'));
      return stat;
    },
    list: (directory) => {
      if (endsWith(directory.path, 'b-dir')) failWith('EIO');
      return nodeSourceFs.list(directory);
    },
  };

  assert.deepEqual(linesBelow(walkTree([top], fs), top), [
    'entry f a',
    'error io b-dir',
    'enter b-dir',
    'leave b-dir',
    'error vanished c',
    'error vanished d-dir',
    'error io e',
    'error file_changed f-dir',
    'entry f g',
    'error vanished h-link',
  ]);
});

userTest(
  import.meta.url,
  'walk() keeps a directory it may not read, and all beside it (S01)',
  (t) => {
    const top = tempDir(t);
    for (const name of ['closed', 'passable', 'z']) mkdirSync(join(top, name));
    writeFileSync(join(top, 'closed', 'file'), '');
    writeFileSync(join(top, 'passable', 'file'), '');
    chmodSync(join(top, 'closed'), 0);
    chmodSync(join(top, 'passable'), 0o311);

    assert.deepEqual(linesBelow(walkTree([top]), top), [
      'enter closed',
      'error permission closed',
      'leave closed',
      'enter passable',
      'error permission passable',
      'leave passable',
      'enter z',
      'leave z',
    ]);
    // A mere parent need not be readable, only passable.
    assert.deepEqual(linesBelow(walkTree([join(top, 'passable', 'file')]), top), [
      'enter passable',
      'entry f passable/file',
      'leave passable',
    ]);
  },
);
