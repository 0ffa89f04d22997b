import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { FileStat } from '../../src/platform/file-stat.ts';
import { bufferOf } from '../../src/util/bytes.ts';
import type { ExcludeOptions } from '../../src/walk/excludes.ts';
import { joinNames } from '../../src/walk/source-entry.ts';
import { nodeSourceFs, type SourceFs } from '../../src/walk/source-fs.ts';
import { b } from '../helpers/raw-path.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import { inScope, list, newClient, snapshot, sourceFs } from '../helpers/test-repository.ts';
import { linesBelow, type Walked, walkTree } from '../helpers/walk-tree.ts';

const cacheTag = 'Signature: 8a477f597d28d172789f06886806bc55';

/** Files by path, each with its content; a path that ends with a slash is a directory. */
function makeTree(t: TestContext, files: Readonly<Record<string, string>>): string {
  const top = tempDir(t);
  for (const [path, content] of Object.entries(files)) {
    const full = join(top, path);
    mkdirSync(path.endsWith('/') ? full : dirname(full), { recursive: true });
    if (!path.endsWith('/')) writeFileSync(full, content);
  }
  return top;
}

/** Paths below `top` that are in the snapshot, directories with a slash; errors as they are. */
function keptBelow(walked: Walked, top: string): string[] {
  return linesBelow(walked, top)
    .filter((line) => !line.startsWith('leave'))
    .map((line) => line.replace(/^enter (.*)/, '$1/').replace(/^entry . /, ''));
}

/** A file system that notes which directories are opened. */
function opening(): { fs: SourceFs; opened: string[] } {
  const opened: string[] = [];
  const fs: SourceFs = {
    ...nodeSourceFs,
    openDirectoryIn: (directory, name) => {
      opened.push(name);
      return nodeSourceFs.openDirectoryIn(directory, name);
    },
  };
  return { fs, opened };
}

test('walk() leaves out what patterns fit and never opens an excluded directory', (t) => {
  const top = makeTree(t, {
    'src/a.ts': '',
    'src/a.o': '',
    'src/node_modules/x/a.ts': '',
    'build/out': '',
    'src/build/kept': '',
    '.cache': '',
  });
  const { fs, opened } = opening();
  const patterns = ['*.o', 'node_modules', `${top}/build`, '.cache/'];

  const walked = walkTree([top], fs, { patterns });

  assert.deepEqual(keptBelow(walked, top), [
    '.cache',
    'src/',
    'src/a.ts',
    'src/build/',
    'src/build/kept',
  ]);
  assert.equal(walked.excluded, 3);
  assert.deepEqual(opened, ['src', 'build']);
});

test('walk() brings back what a later pattern names, but nothing below what is left out', (t) => {
  const top = makeTree(t, { 'a/keep': '', 'a/x': '', 'b/keep': '', 'c/keep': '', 'c/d/keep': '' });

  const walked = walkTree([top], nodeSourceFs, { patterns: ['x', `${top}/b`, 'd', '!keep', '!d'] });

  assert.deepEqual(keptBelow(walked, top), ['a/', 'a/keep', 'c/', 'c/d/', 'c/d/keep', 'c/keep']);
  assert.equal(walked.excluded, 2);
});

test('walk() looks at the kind of an entry only where a pattern asks for it', (t) => {
  const top = makeTree(t, { 'd/f': '', f: '' });
  symlinkSync('d', join(top, 'link'));
  const looked: string[] = [];
  const fs: SourceFs = {
    ...nodeSourceFs,
    lstatIn: (directory, name) => {
      looked.push(name);
      return nodeSourceFs.lstatIn(directory, name);
    },
  };

  const allButDirectories = walkTree([top], fs, { patterns: ['*', '!*/'] });
  assert.deepEqual(keptBelow(allButDirectories, top), ['d/']);
  assert.equal(allButDirectories.excluded, 3);
  assert.deepEqual(looked, ['d', 'f', 'f', 'link']);

  looked.length = 0;
  assert.deepEqual(keptBelow(walkTree([top], fs, { patterns: ['link/', 'd'] }), top), [
    'f',
    'link',
  ]);
  assert.deepEqual(looked, ['f', 'link']);
});

test('walk() does not report what cannot be read when it is left out', (t) => {
  const top = makeTree(t, { a: '', b: '' });
  const fs: SourceFs = {
    ...nodeSourceFs,
    lstatIn: (directory, name) => {
      if (name === 'a') throw Object.assign(new Error('EIO'), { code: 'EIO' });
      return nodeSourceFs.lstatIn(directory, name);
    },
  };

  assert.deepEqual(keptBelow(walkTree([top], fs, { patterns: ['a'] }), top), ['b']);
});

test('walk() matches names of any bytes', (t) => {
  const top = tempDir(t);
  for (const name of [
    [0x61, 0xff],
    [0x61, 0xfe],
    [0xc3, 0xa9],
  ]) {
    writeFileSync(Buffer.concat([b(`${top}/`), Buffer.from(name)]), '');
  }

  const walked = walkTree([top], nodeSourceFs, { patterns: [Buffer.from([0x61, 0xff]), '?'] });

  assert.deepEqual(keptBelow(walked, top), ['a\xfe']);
});

test('walk() saves a source whatever excludes it, and what leads to it', (t) => {
  const top = makeTree(t, {
    'out/x': '',
    'out/in/source/f': '',
    'out/in/source/x': '',
    'out/in/y': '',
    'z/source/f': '',
    'z/x': '',
  });
  const { fs, opened } = opening();
  const sources = ['', '/out/in/source', '/out/none', '/z/source', '/z/x'].map(
    (path) => top + path,
  );

  const walked = walkTree(sources, fs, { patterns: ['out', 'source', 'x', 'varve-*', 'none'] });

  assert.deepEqual(keptBelow(walked, top), [
    'out/',
    'out/in/',
    'out/in/source/',
    'out/in/source/f',
    'error missing out/none',
    'z/',
    'z/source/',
    'z/source/f',
    'z/x',
  ]);
  assert.equal(walked.excluded, 1);
  // What was listed is opened where it was listed, however long its path may be.
  assert.deepEqual(opened, ['z', 'source']);
});

test('walk() saves of a marked cache its directory and the tag', (t) => {
  const top = makeTree(t, {
    'cache/CACHEDIR.TAG': `${cacheTag}\n# more`,
    'cache/a': '',
    'cache/sub/b': '',
    'short/CACHEDIR.TAG': cacheTag.slice(0, -1),
    'short/a': '',
    'other/CACHEDIR.TAG': cacheTag.replace('8', '9'),
    'other/a': '',
    'directory/CACHEDIR.TAG/a': '',
    'link/a': '',
  });
  symlinkSync('../cache/CACHEDIR.TAG', join(top, 'link', 'CACHEDIR.TAG'));
  const { fs, opened } = opening();

  const walked = walkTree([top], fs, { isSkippingCaches: true });

  assert.deepEqual(keptBelow(walked, top), [
    'cache/',
    'cache/CACHEDIR.TAG',
    'directory/',
    'directory/CACHEDIR.TAG/',
    'directory/CACHEDIR.TAG/a',
    'link/',
    'link/CACHEDIR.TAG',
    'link/a',
    'other/',
    'other/CACHEDIR.TAG',
    'other/a',
    'short/',
    'short/CACHEDIR.TAG',
    'short/a',
  ]);
  assert.equal(walked.excluded, 2);
  assert.equal(opened.includes('sub'), false);
  assert.equal(walkTree([top]).excluded, 0);
});

test('walk() takes nothing out of a FIFO that has the name of a marker', (t) => {
  const top = makeTree(t, { a: '' });
  execFileSync('mkfifo', [join(top, '.skip')]);
  const fd = openSync(join(top, '.skip'), constants.O_RDWR | constants.O_NONBLOCK);
  t.after(() => closeSync(fd));
  writeSync(fd, 'yes');

  const walked = walkTree([top], nodeSourceFs, { markers: [{ name: '.skip', header: 'yes' }] });

  assert.deepEqual(keptBelow(walked, top), ['.skip', 'a']);
  assert.equal(readSync(fd, new Uint8Array(9)), 3);
});

test('walk() saves of a directory with a marker that and the marker', (t) => {
  const top = makeTree(t, {
    'a/.nobackup': '',
    'a/x': '',
    'b/.nobackup/y': '',
    'b/x': '',
    'c/.skip': 'yes, really',
    'c/.nobackup': '',
    'c/x': '',
    'd/.skip': 'no',
    'd/x': '',
    'e/.skip': '',
    'e/source/z': '',
  });
  const markers = [{ name: '.nobackup' }, { name: '.skip', header: 'yes' }];

  const walked = walkTree([top], nodeSourceFs, { markers });

  assert.deepEqual(keptBelow(walked, top), [
    'a/',
    'a/.nobackup',
    'b/',
    'b/.nobackup/',
    'b/.nobackup/y',
    'c/',
    'c/.nobackup',
    'c/.skip',
    'd/',
    'd/.skip',
    'd/x',
    'e/',
    'e/.skip',
    'e/source/',
    'e/source/z',
  ]);
  // Also in a source that was named; another source in it is saved, and a pattern fits a marker, too.
  const nested = walkTree([join(top, 'e'), join(top, 'e/source')], nodeSourceFs, {
    markers: [{ name: '.skip' }],
    patterns: ['.skip'],
  });
  assert.deepEqual(keptBelow(nested, top), ['e/', 'e/source/', 'e/source/z']);
});

test('walk() of one file system keeps the directory of a mount point, and sources elsewhere', (t) => {
  const top = makeTree(t, {
    'here/f': '',
    'mount/f': '',
    'mount/inner/source/f': '',
    'mount/inner/source/mount-2/f': '',
    'mount/inner/g': '',
    'mounted-file': '',
    'mounted-source/f': '',
  });
  const fs = elsewhere((name) => name.startsWith('mount'));
  const sources = [top, `${top}/mount/inner/source`, `${top}/mounted-source`];

  const walked = walkTree(sources, fs, { isOneFileSystem: true });

  assert.deepEqual(keptBelow(walked, top), [
    'here/',
    'here/f',
    'mount/',
    'mount/inner/',
    'mount/inner/source/',
    'mount/inner/source/f',
    'mount/inner/source/mount-2/',
    'mounted-source/',
    'mounted-source/f',
  ]);
  assert.equal(walked.excluded, 1);
  assert.equal(keptBelow(walkTree(sources, fs), top).length, 13);
});

/** Entries of such names, and what is below them, are in another file system, one for each name. */
function elsewhere(isMounted: (name: string) => boolean): SourceFs {
  const shiftOf = (path: Uint8Array): number => {
    const names = bufferOf(path).toString('latin1').split('/');
    return (names.findLast(isMounted) ?? '').length;
  };
  const paths = new Map<number, Uint8Array>();
  const opened = (fd: number, path: Uint8Array): number => {
    paths.set(fd, path);
    return fd;
  };
  return {
    ...nodeSourceFs,
    lstat: (path) => shifted(nodeSourceFs.lstat(path), shiftOf(path)),
    lstatIn: (directory, name) => {
      const path = joinNames(directory.path, [name]);
      return shifted(nodeSourceFs.lstatIn(directory, name), shiftOf(path));
    },
    fstat: (fd) => shifted(nodeSourceFs.fstat(fd), shiftOf(paths.get(fd) ?? b(''))),
    openDirectory: (path) => opened(nodeSourceFs.openDirectory(path), path),
    openDirectoryIn: (directory, name) => {
      const path = joinNames(directory.path, [name]);
      return opened(nodeSourceFs.openDirectoryIn(directory, name), path);
    },
  };
}

function shifted(stat: FileStat, shift: number): FileStat {
  return { ...stat, device: stat.device + shift };
}

test('takeSnapshot() counts what it leaves out and tells snapshots with other excludes apart', async (t) => {
  const top = makeTree(t, { a: '', b: '', 'c/d': '' });
  await inScope(async (scope) => {
    const client = await newClient(scope);
    const take = (excludes?: ExcludeOptions) =>
      snapshot(client, [top], { fs: sourceFs, ...(excludes !== undefined && { excludes }) });

    const [all, some, same] = [
      await take(),
      await take({ patterns: ['b', 'c'] }),
      await take({ patterns: ['b', 'c'] }),
    ];

    assert.deepEqual([all.excluded, some.excluded], [0, 2]);
    const paths = await list(client, { snapshot: some.snapshot, path: top });
    assert.deepEqual(paths, [`${top}/a`]);
    const hashes = [all, some, same].map((one) => one.snapshot.manifest.excludeHash);
    assert.equal(hashes[0], '');
    assert.notEqual(hashes[1], '');
    assert.equal(hashes[1], hashes[2]);
  });
});
