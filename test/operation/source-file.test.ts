import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { lstatPath } from '../../src/platform/file-stat.ts';
import { openSourceFile, type SourceFile } from '../../src/walk/source-file.ts';
import { nodeSourceFs, type SourceFs } from '../../src/walk/source-fs.ts';
import { b } from '../helpers/raw-path.ts';
import { tempDir } from '../helpers/temp-dir.ts';

const content = 'x'.repeat(1000);

/** A path with a file of 1,000 bytes, and its identity. */
function makeFile(t: TestContext) {
  const path = join(tempDir(t), 'file');
  writeFileSync(path, content);
  // Some time ago, so that a change now cannot fall on the same tick of the clock.
  utimesSync(path, 1000, 1000);
  const { device, inode } = lstatPath(b(path));
  return { path, identity: { device, inode } };
}

function open(t: TestContext, fs: SourceFs = nodeSourceFs): { path: string; file: SourceFile } {
  const { path, identity } = makeFile(t);
  const file = openSourceFile({ fs, path: b(path), identity });
  t.after(() => file.close());
  return { path, file };
}

function readAll(file: SourceFile): number {
  const target = new Uint8Array(300);
  let size = 0;
  for (let count = -1; count !== 0; size += count) count = file.read(target);
  return size;
}

test('SourceFile reads a file that nobody touches', (t) => {
  const { file } = open(t);

  assert.equal(readAll(file), 1000);
  assert.deepEqual(file.finish(), { isChanged: false });
});

test('SourceFile.read() fills its target over short reads', (t) => {
  const read: SourceFs['read'] = (fd, target, position) =>
    nodeSourceFs.read(fd, target.subarray(0, 7), position);
  const { file } = open(t, { ...nodeSourceFs, read });
  const target = new Uint8Array(1200);

  assert.equal(file.read(target), 1000);
  assert.deepEqual(Buffer.from(target.subarray(0, 1000)), b(content));
});

const changes: [string, (path: string) => void, number][] = [
  ['grows', (path) => appendFileSync(path, 'more'), 1004],
  ['shrinks', (path) => truncateSync(path, 400), 400],
  ['is rewritten', (path) => writeFileSync(path, 'y'.repeat(1000)), 1000],
  [
    'is rewritten and gets its old time back',
    (path) => {
      writeFileSync(path, 'y'.repeat(1000));
      utimesSync(path, 1000, 1000);
    },
    1000,
  ],
];
for (const [what, change, sizeExpected] of changes) {
  test(`SourceFile.finish() tells that a file ${what} while it is read (S09)`, (t) => {
    const { path, file } = open(t);
    const sizeBefore = file.read(new Uint8Array(300));
    // Coarse clocks tick every 4 ms: wait until one has passed since the file was made.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);

    change(path);

    assert.equal(sizeBefore + readAll(file), sizeExpected);
    assert.deepEqual(file.finish(), { isChanged: true });
  });
}

test('SourceFile.read() reports an error in the middle', (t) => {
  const read: SourceFs['read'] = (fd, target, position) => {
    if (position >= 600) throw Object.assign(new Error('EIO'), { code: 'EIO' });
    return nodeSourceFs.read(fd, target, position);
  };
  const { file } = open(t, { ...nodeSourceFs, read });

  assert.throws(() => readAll(file), { code: 'SOURCE', operation: 'read', reason: 'io' });
});

const replacements: [string, (path: string, t: TestContext) => unknown, string][] = [
  ['nothing', () => undefined, 'vanished'],
  ['a symlink to it', (path) => symlinkSync(`${path}.old`, path), 'file_changed'],
  ['a directory', (path) => mkdirSync(path), 'file_changed'],
  ['a socket', listenAt, 'file_changed'],
  ['another file', (path) => writeFileSync(path, content), 'file_changed'],
];
for (const [what, replace, reason] of replacements) {
  test(`openSourceFile() refuses a file replaced by ${what} (S07)`, {
    timeout: 10_000,
  }, async (t) => {
    const { path, identity } = makeFile(t);
    // Kept under another name, so that its inode number is not given to the next file.
    renameSync(path, `${path}.old`);
    await replace(path, t);

    assert.throws(() => openSourceFile({ fs: nodeSourceFs, path: b(path), identity }), {
      code: 'SOURCE',
      reason,
      path: b(path),
    });
    rmSync(path, { force: true, recursive: true });
  });
}

test('openSourceFile() does not wait at a FIFO (S07)', (t) => {
  const path = join(tempDir(t), 'fifo');
  execFileSync('mkfifo', [path]);
  const [file, fs] = ['source-file.js', 'source-fs.js'].map(
    (name) => new URL(`../../src/walk/${name}`, import.meta.url).href,
  );
  // In a child, because waiting would stop this process and every timeout in it.
  const script = `
    const { openSourceFile } = await import('${file}');
    const { nodeSourceFs: fs } = await import('${fs}');
    const path = Buffer.from(process.argv[1]);
    try { openSourceFile({ fs, path, identity: fs.lstat(path) }); }
    catch (error) { process.stdout.write(error.reason); }`;

  const args = ['--input-type=module', '--eval', script, path];
  const output = execFileSync(process.execPath, args, { timeout: 20_000, encoding: 'utf8' });

  assert.equal(output, 'file_changed');
});

function listenAt(path: string, t: TestContext): Promise<void> {
  const server = createServer();
  t.after(() => server.close());
  return new Promise((resolve) => server.listen(path, resolve));
}
