import assert from 'node:assert/strict';
import {
  chmodSync,
  linkSync,
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
import { constants } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { NotFoundError, type SourceError, TargetError } from '../../src/errors.ts';
import { systemError } from '../../src/platform/libc.ts';
import { openReadAccess } from '../../src/repository/read-access.ts';
import { nodeTargetFs, type TargetFs } from '../../src/restore/target-fs.ts';
import type { SourceFs } from '../../src/walk/source-fs.ts';
import { userTest } from '../helpers/as-user.ts';
import { compareTrees } from '../helpers/compare-trees.ts';
import { b, makeDeep } from '../helpers/raw-path.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import {
  type Client,
  check,
  list,
  namesOf,
  newClient,
  objects,
  restore,
  snapshot,
  sourceFs,
  type Taken,
} from '../helpers/test-repository.ts';

/** `top/a/file`, `top/b/file`, `top/b/inner/deep`, and symlinks between them. */
function someTree(t: TestContext): string {
  const top = join(tempDir(t), 'top');
  mkdirSync(join(top, 'b', 'inner'), { recursive: true });
  mkdirSync(join(top, 'a'));
  writeFileSync(join(top, 'a', 'file'), 'content of a');
  writeFileSync(join(top, 'b', 'file'), 'content of b');
  writeFileSync(join(top, 'b', 'inner', 'deep'), seededRandom().bytes(300_000));
  linkSync(join(top, 'b', 'file'), join(top, 'a', 'hard'));
  symlinkSync('../b', join(top, 'a', 'to-b'));
  return top;
}

/** Sorted: files are reported as they come back from the workers. */
function reasons(errors: readonly SourceError[]): string[] {
  return errors
    .map(({ path, reason }) => `${reason} ${Buffer.from(path).toString('latin1')}`)
    .sort();
}

async function assertSound(client: Client): Promise<void> {
  assert.deepEqual((await check(client, true)).findings, []);
}

test('takeSnapshot() saves several sources with the directories above them', async (t) => {
  const top = someTree(t);
  const client = await newClient(t);
  const target = tempDir(t);

  const taken = await snapshot(client, [join(top, 'b', 'inner'), join(top, 'a', 'file')]);
  await restore(client, taken, target);

  const below = (await list(client, { ...taken, path: top })).map((path) => path.replace(top, ''));
  assert.deepEqual(below, ['/a', '/a/file', '/b', '/b/inner', '/b/inner/deep']);
  assert.deepEqual(compareTrees(join(top, 'b/inner'), join(target, top, 'b/inner')), []);
  assert.deepEqual(readdirSync(join(target, top, 'a')), ['file']);
});

test('takeSnapshot() saves a source inside another once', async (t) => {
  const top = someTree(t);
  const client = await newClient(t);

  const nested = await snapshot(client, [join(top, 'b', 'inner'), top, join(top, 'b', 'inner')]);
  const plain = await snapshot(client, [top]);

  assert.deepEqual(nested.snapshot.manifest.roots, [new Uint8Array(b(top))]);
  assert.deepEqual(nested.snapshot.manifest.root, plain.snapshot.manifest.root);
});

test('takeSnapshot() makes sources absolute and resolves . and .. as text', async (t) => {
  const top = someTree(t);
  const client = await newClient(t);
  const paths = ['.', '../a/./to-b/../file'];

  const taken = await snapshot(client, paths, { workingDirectory: join(top, 'b') });

  const { roots } = taken.snapshot.manifest;
  assert.deepEqual(
    roots.map(String),
    [join(top, 'a/file'), join(top, 'b')].map((path) => String(new Uint8Array(b(path)))),
  );
  assert.deepEqual(taken.errors, []);
});

test('takeSnapshot() saves a symlink that is a source as a symlink', async (t) => {
  const top = someTree(t);
  const client = await newClient(t);
  const target = tempDir(t);

  const taken = await snapshot(client, [join(top, 'a', 'to-b')]);
  await restore(client, { ...taken, path: join(top, 'a', 'to-b') }, target);

  assert.equal(readlinkSync(join(target, 'to-b')), '../b');
  assert.deepEqual([taken.files, taken.others], [0, 1]);
});

test('takeSnapshot() refuses to save nothing and reports a source that is missing', async (t) => {
  const top = someTree(t);
  const client = await newClient(t);
  const { storage } = client.repository;
  const before = await objects(storage);

  await assert.rejects(snapshot(client, [join(top, 'no'), join(top, 'nor')]), NotFoundError);
  await assert.rejects(snapshot(client, []), NotFoundError);
  assert.deepEqual(await objects(storage), before);
  const taken = await snapshot(client, [join(top, 'no'), join(top, 'a')]);

  assert.deepEqual(reasons(taken.errors), [`missing ${top}/no`]);
  assert.deepEqual([taken.errorCount, taken.snapshot.manifest.isPartial], [1, true]);
  assert.equal((await list(client, { ...taken, path: join(top, 'a') })).length, 3);
});

test('restoreSnapshot() restores a directory, a file, or everything', async (t) => {
  const top = someTree(t);
  const client = await newClient(t);
  const taken = await snapshot(client, [top]);
  const [everything, directory, file] = [tempDir(t), tempDir(t), tempDir(t)];

  await restore(client, taken, everything);
  await restore(client, { ...taken, path: join(top, 'b') }, directory);
  const restored = await restore(client, { ...taken, path: join(top, 'b', 'file') }, file);

  assert.deepEqual(compareTrees(top, join(everything, top)), []);
  assert.deepEqual(
    compareTrees(join(top, 'b'), directory).filter((line) => !line.startsWith('file: linkedTo')),
    [],
  );
  assert.deepEqual(readdirSync(file), ['file']);
  assert.equal(readFileSync(join(file, 'file'), 'utf8'), 'content of b');
  assert.deepEqual([restored.files, restored.bytes], [1, 12n]);
});

test('restoreSnapshot() refuses a target that holds something', async (t) => {
  const top = someTree(t);
  const client = await newClient(t);
  const taken = await snapshot(client, [top]);
  const target = tempDir(t);
  writeFileSync(join(target, 'mine'), '');

  const refused = restore(client, taken, target);

  await assert.rejects(refused, { code: 'TARGET', reason: 'not_empty' });
  assert.deepEqual(readdirSync(target), ['mine']);
});

test('restoreSnapshot() finds no path that was not saved, and goes through no symlink', async (t) => {
  const top = someTree(t);
  const client = await newClient(t);
  const taken = await snapshot(client, [join(top, 'a')]);

  for (const path of [join(top, 'b'), `${top}/a/..`, `${top}/a/to-b/file`, `${top}/a/file/x`]) {
    const target = join(tempDir(t), 'target');
    await assert.rejects(restore(client, { ...taken, path }, target), NotFoundError, path);
  }
});

test('a tree of 1,200 levels with paths of 12 kB is saved and restored', async (t) => {
  const top = join(tempDir(t), 'top');
  mkdirSync(top);
  const names = Array.from({ length: 1200 }, (_, i) => `level${String(i).padStart(4, '0')}`);
  makeDeep(top, names);
  const client = await newClient(t);
  const target = join(tempDir(t), 'target');

  const taken = await snapshot(client, [top]);
  const restored = await restore(client, { ...taken, path: top }, target);

  assert.deepEqual([taken.errors, restored.problems], [[], []]);
  assert.equal(restored.directories, 1200);
  assert.deepEqual(compareTrees(top, target), []);
  await assertSound(client);
});

test('a directory of 20,000 files has pages of its own and is restored whole', async (t) => {
  const top = tempDir(t);
  for (let i = 0; i < 20_000; i++)
    writeFileSync(join(top, `file${i}`), i % 100 === 0 ? `${i}` : '');
  const client = await newClient(t);
  const target = tempDir(t);

  const taken = await snapshot(client, [top]);
  await restore(client, { ...taken, path: top }, target);
  writeFileSync(join(top, 'file10000x'), '');
  const again = await snapshot(client, [top]);

  assert.equal(taken.files, 20_000);
  unlinkSync(join(top, 'file10000x'));
  assert.deepEqual(
    compareTrees(top, target).filter((line) => !line.startsWith(': mtime')),
    [],
  );
  // One leaf and the pages above it, up to the root.
  const depth = top.split('/').length;
  assert.ok(again.newBlobs <= depth + 2, `${again.newBlobs} blobs`);
});

test('a large file is saved in chunks, those that repeat once', async (t) => {
  const top = tempDir(t);
  const random = seededRandom();
  const [part, other] = [Buffer.alloc(2 ** 25), Buffer.alloc(2 ** 20)];
  for (let i = 0; i < part.length; i += 4) part.writeUInt32LE(random.below(2 ** 32), i);
  other.set(random.bytes(2 ** 10));
  writeFileSync(join(top, 'file'), Buffer.concat([part, other, part]));
  const client = await newClient(t);
  const target = tempDir(t);

  const taken = await snapshot(client, [join(top, 'file')]);
  const restored = await restore(client, { ...taken, path: join(top, 'file') }, target);

  assert.equal(restored.bytes, BigInt(2 * part.length + other.length));
  assert.deepEqual(
    compareTrees(join(top), target).filter((line) => !line.startsWith(':')),
    [],
  );
  // What repeats is found again a few chunks after the cut.
  assert.ok(taken.newBytes < part.length + 2 * other.length, `${taken.newBytes} new bytes`);
  await assertSound(client);
});

test('a file of more chunks than a list holds gets lists of lists', async (t) => {
  const top = tempDir(t);
  const block = seededRandom().bytes(2 ** 22);
  const blocks = Array.from({ length: 11 }, (_, i) =>
    block.map((byte) => (byte * (2 * i + 1)) & 255),
  );
  writeFileSync(join(top, 'file'), Buffer.concat(blocks));
  const client = await newClient(t);
  const { config } = client.repository;
  const chunker = { ...config.chunker, average: 8192, minimum: 4096, maximum: 16_384 };
  const fine = { ...client, repository: { ...client.repository, config: { ...config, chunker } } };
  const target = join(tempDir(t), 'target');

  const taken = await snapshot(fine, [top]);
  await restore(client, { ...taken, path: top }, target);

  const access = await openReadAccess(client.repository);
  const entry = await access.find(taken.snapshot.manifest.root, namesOf(join(top, 'file')));
  const content = entry?.type === 'f' ? entry.content : undefined;
  assert.equal(content?.kind === 'list' && content.height, 1);
  assert.deepEqual(compareTrees(top, target), []);
  await assertSound(client);
});

test('errors at paths of any length leave a manifest that can be read', async (t) => {
  const top = join(tempDir(t), 'top');
  mkdirSync(top);
  makeDeep(
    top,
    Array.from({ length: 400 }, () => 'x'.repeat(250)),
  );
  // Entries that vanish at the bottom, each with a path of 100 kB.
  const vanished = Array.from({ length: 300 }, (_, i) => `vanished${i}`);
  const fs: SourceFs = {
    ...sourceFs,
    list: (directory) => {
      const names = sourceFs.list(directory);
      return names.length === 0 ? vanished : names;
    },
  };
  const client = await newClient(t);

  const taken = await snapshot(client, [top], { fs });

  const { errorCount, errorSample } = taken.snapshot.manifest;
  assert.deepEqual([taken.errors.length, errorCount, errorSample.length], [300, 300, 10]);
});

/** A file system on which something happens when the file `name` is opened or read. */
function meddling(name: string, act: (step: 'open' | 'read' | 'list') => void): SourceFs {
  const descriptors = new Set<number>();
  return {
    ...sourceFs,
    list: (directory) => {
      const names = sourceFs.list(directory);
      if (names.includes(name)) act('list');
      return names;
    },
    openFile: (path) => {
      const isIt = Buffer.from(path).toString('latin1').endsWith(`/${name}`);
      if (isIt) act('open');
      const fd = sourceFs.openFile(path);
      if (isIt) descriptors.add(fd);
      return fd;
    },
    read: (fd, target, position) => {
      const size = sourceFs.read(fd, target.subarray(0, 50_000), position);
      if (descriptors.has(fd)) act('read');
      return size;
    },
    close: (fd) => {
      descriptors.delete(fd);
      sourceFs.close(fd);
    },
  };
}

interface Meddled {
  readonly taken: Taken;
  readonly top: string;
  /** What was restored. */
  readonly target: string;
}

/** Saves `before`, `middle`, `next` while `meddle` does something to `middle` at that step. */
async function saveMeddled(
  t: TestContext,
  step: 'open' | 'read' | 'list',
  meddle: (path: string) => void,
): Promise<Meddled> {
  const top = join(tempDir(t), 'top');
  mkdirSync(top);
  for (const name of ['before', 'middle', 'next']) {
    writeFileSync(join(top, name), seededRandom(name.length).bytes(200_000));
  }
  let isDone = false;
  const fs = meddling('middle', (at) => {
    if (at !== step || isDone) return;
    isDone = true;
    meddle(join(top, 'middle'));
  });
  const client = await newClient(t);
  const target = tempDir(t);
  const taken = await snapshot(client, [top], { fs });
  const restored = await restore(client, { ...taken, path: top }, target);
  assert.deepEqual(restored.problems, []);
  for (const name of ['before', 'next']) {
    assert.deepEqual(readFileSync(join(target, name)), readFileSync(join(top, name)));
  }
  await assertSound(client);
  return { taken, top, target };
}

test('a file that grows while it is read is stored as it was when opened, and reported', async (t) => {
  const more = 'more'.repeat(1000);
  const { taken, top, target } = await saveMeddled(t, 'read', (path) => {
    writeFileSync(path, more, { flag: 'a' });
  });

  assert.deepEqual(reasons(taken.errors), [`file_changed ${top}/middle`]);
  assert.equal(readFileSync(join(target, 'middle')).length, 200_000);
});

test('a file that shrinks while it is read is stored as it was read, and reported', async (t) => {
  const { taken, top, target } = await saveMeddled(t, 'read', (path) => {
    writeFileSync(path, 'short');
  });

  assert.deepEqual(reasons(taken.errors), [`file_changed ${top}/middle`]);
  assert.equal(readFileSync(join(target, 'middle')).length, 50_000);
  assert.equal(taken.bytes, 450_000n);
});

test('a file that vanishes is left out and reported', async (t) => {
  for (const step of ['list', 'open'] as const) {
    const { taken, top, target } = await saveMeddled(t, step, (path) => unlinkSync(path));

    assert.deepEqual(reasons(taken.errors), [`vanished ${top}/middle`]);
    assert.deepEqual(readdirSync(target), ['before', 'next']);
    assert.equal(taken.errorCount, 1);
  }
});

test('a file that is unlinked while it is read is whole, and reported', async (t) => {
  const { taken, top, target } = await saveMeddled(t, 'read', (path) => unlinkSync(path));

  assert.deepEqual(reasons(taken.errors), [`file_changed ${top}/middle`]);
  assert.equal(readFileSync(join(target, 'middle')).length, 200_000);
});

test('a file that becomes a symlink or another file is left out and reported', async (t) => {
  const swaps = [
    (path: string): void => {
      unlinkSync(path);
      symlinkSync('before', path);
    },
    (path: string): void => {
      writeFileSync(`${path}.new`, 'new');
      renameSync(`${path}.new`, path);
    },
  ];
  for (const swap of swaps) {
    const { taken, top, target } = await saveMeddled(t, 'open', swap);

    assert.deepEqual(reasons(taken.errors), [`file_changed ${top}/middle`]);
    assert.deepEqual(readdirSync(target), ['before', 'next']);
  }
});

test('a read error costs that file alone, and its chunks mix with no other', async (t) => {
  const { taken, top, target } = await saveMeddled(t, 'read', () => {
    throw Object.assign(new Error('EIO'), { code: 'EIO' });
  });

  assert.deepEqual(reasons(taken.errors), [`io ${top}/middle`]);
  assert.deepEqual(readdirSync(target), ['before', 'next']);
});

userTest(import.meta.url, 'what cannot be read costs itself alone, and is reported', async (t) => {
  const top = someTree(t);
  chmodSync(join(top, 'a', 'file'), 0);
  chmodSync(join(top, 'b'), 0);
  const client = await newClient(t);

  const taken = await snapshot(client, [top]);

  assert.deepEqual(reasons(taken.errors), [`permission ${top}/a/file`, `permission ${top}/b`]);
  const below = (await list(client, { ...taken, path: top })).map((path) => path.replace(top, ''));
  // The hard link to the file in `b` is there, the directory itself is empty.
  assert.deepEqual(below, ['/a', '/a/hard', '/a/to-b', '/b']);
});

test('names that cannot be links become files of their own, and each is reported', async (t) => {
  const top = someTree(t);
  linkSync(join(top, 'b', 'file'), join(top, 'b', 'third'));
  linkSync(join(top, 'a', 'to-b'), join(top, 'b', 'to-b'));
  const client = await newClient(t);
  const taken = await snapshot(client, [top]);
  const target = join(tempDir(t), 'target');
  let linkCount = 0;
  const linkDescriptor = () => {
    linkCount += 1;
    throw systemError('linkat', constants.errno.EMLINK);
  };

  const fs = { ...nodeTargetFs, linkDescriptor };
  const restored = await restore(client, { ...taken, path: top, fs }, target);

  assert.equal(linkCount, 3);
  assert.equal(restored.errorCount, 3);
  const told = restored.problems.map(({ error, path }) => {
    assert.ok(error instanceof TargetError);
    assert.match(error.message, /^Cannot link .*: EMLINK; it is a file of its own now$/);
    return `${error.reason} ${Buffer.from(path)}`;
  });
  const names = ['b/file', 'b/third', 'b/to-b'];
  assert.deepEqual(told.sort(), names.map((name) => `hard_link ${join(target, name)}`).sort());
  // Nothing is lost but the links.
  for (const name of ['a/hard', 'b/file', 'b/third']) {
    assert.equal(readFileSync(join(target, name), 'utf8'), 'content of b');
    assert.equal(statSync(join(target, name)).nlink, 1);
  }
  assert.equal(readlinkSync(join(target, 'b', 'to-b')), '../b');
  assert.equal(restored.files, 5);
});

test('of a name that can be neither a link nor a file only the latter is told', async (t) => {
  const top = someTree(t);
  const client = await newClient(t);
  const taken = await snapshot(client, [top]);
  const target = join(tempDir(t), 'target');
  let fileCount = 0;
  const fs: TargetFs = {
    ...nodeTargetFs,
    linkDescriptor: () => {
      throw systemError('linkat', constants.errno.EMLINK);
    },
    createFile: (path) => {
      fileCount += 1;
      if (fileCount === 4) throw systemError('open', constants.errno.ENOSPC);
      return nodeTargetFs.createFile(path);
    },
  };

  const restored = await restore(client, { ...taken, path: top, fs }, target);

  const told = restored.problems.map(({ error }) => (error as TargetError).reason);
  assert.deepEqual(told, ['no_space']);
  assert.equal(`${Buffer.from(restored.problems[0]?.path ?? [])}`, join(target, 'b', 'file'));
});
