import assert from 'node:assert/strict';
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  listDirectory,
  openChildDirectory,
  readChildLink,
} from '../../src/platform/directory-entries.ts';
import {
  childPath,
  hasDirectoryHandles,
  joinPath,
  O_PATH,
} from '../../src/platform/directory-handle.ts';
import { lstatChild, lstatPath, statDescriptor, statPath } from '../../src/platform/file-stat.ts';
import { linkDescriptor, renameNoReplace } from '../../src/platform/link.ts';
import { futimens, utimens } from '../../src/platform/times.ts';
import { b } from '../helpers/raw-path.ts';
import { tempDir } from '../helpers/temp-dir.ts';

const onLinux = { skip: process.platform !== 'linux' };
const someTimes = [
  { seconds: 1_700_000_000n, nanoseconds: 123_456_789 },
  { seconds: -5n, nanoseconds: 1 },
  { seconds: -2_145_916_800n, nanoseconds: 999_999_999 },
  { seconds: 0n, nanoseconds: 0 },
  // 2446, a second before the last that ext4 knows (of which it drops the nanoseconds).
  { seconds: 15_032_385_534n, nanoseconds: 7 },
];

test('utimens() and futimens() keep every nanosecond, before 1970 and after 2400', onLinux, (t) => {
  const path = join(tempDir(t), 'file');
  writeFileSync(path, '');
  const fd = openSync(path, 'r+');
  t.after(() => closeSync(fd));

  for (const mtime of someTimes) {
    const expected = mtime.seconds * 1_000_000_000n + BigInt(mtime.nanoseconds);
    utimens(b(path), { mtime }, true);
    assert.equal(lstatSync(path, { bigint: true }).mtimeNs, expected);
    assert.deepEqual(lstatPath(b(path)).mtime, mtime);

    futimens(fd, { mtime: { seconds: 1n, nanoseconds: 1 } });
    futimens(fd, { mtime, atime: mtime });
    const stats = fstatSync(fd, { bigint: true });
    assert.deepEqual([stats.mtimeNs, stats.atimeNs], [expected, expected]);
  }
});

test('utimens() leaves the access time alone when there is none', onLinux, (t) => {
  const path = join(tempDir(t), 'file');
  writeFileSync(path, '');
  utimesSync(path, 1000, 2000);

  utimens(b(path), { mtime: { seconds: 3000n, nanoseconds: 0 } }, true);

  assert.deepEqual([statSync(path).atimeMs, statSync(path).mtimeMs], [1_000_000, 3_000_000]);
});

test('utimens() with nofollow sets the times of a symlink and not of its target', onLinux, (t) => {
  const dir = tempDir(t);
  const [file, link] = [join(dir, 'file'), join(dir, 'link')];
  writeFileSync(file, '');
  symlinkSync('file', link);
  const before = lstatSync(file).mtimeMs;

  utimens(b(link), { mtime: { seconds: 5n, nanoseconds: 6 } }, true);

  assert.equal(lstatSync(link, { bigint: true }).mtimeNs, 5_000_000_006n);
  assert.equal(lstatSync(file).mtimeMs, before);
});

test('utimens() throws the error Node would throw', (t) => {
  const path = join(tempDir(t), 'nothing');

  assert.throws(() => utimens(b(path), { mtime: { seconds: 0n, nanoseconds: 0 } }, true), {
    code: 'ENOENT',
  });
});

test('the four stat calls agree with those of Node', (t) => {
  const dir = tempDir(t);
  writeFileSync(join(dir, 'file'), 'five5', { mode: 0o640 });
  symlinkSync('file', join(dir, 'link'));
  const fd = openSync(dir, constants.O_RDONLY);
  const fileFd = openSync(join(dir, 'file'), constants.O_RDONLY);
  t.after(() => [fd, fileFd].forEach(closeSync));
  const directory = { fd, path: b(dir) };
  const node = lstatSync(join(dir, 'file'), { bigint: true });

  const stat = lstatChild(directory, 'file');

  assert.equal(stat.type, 'f');
  assert.equal(stat.mode, Number(node.mode) & 0o7777);
  assert.deepEqual([stat.size, stat.inode], [node.size, node.ino]);
  assert.deepEqual([stat.uid, stat.gid], [Number(node.uid), Number(node.gid)]);
  assert.equal(stat.linkCount, 1);
  assert.equal(stat.mtime.seconds * 1_000_000_000n + BigInt(stat.mtime.nanoseconds), node.mtimeNs);
  assert.equal(stat.ctime.seconds * 1_000_000_000n + BigInt(stat.ctime.nanoseconds), node.ctimeNs);
  assert.deepEqual(statDescriptor(fileFd), stat);
  assert.deepEqual(statPath(b(join(dir, 'link'))), stat);
  assert.deepEqual(lstatPath(b(join(dir, 'link'))), lstatChild(directory, 'link'));
  assert.equal(lstatChild(directory, 'link').type, 'l');
  assert.throws(() => lstatChild(directory, 'nothing'), { code: 'ENOENT' });
});

test('openChildDirectory(), listDirectory() and readChildLink() do what Node does', (t) => {
  const dir = tempDir(t);
  // More than fit into one answer of the kernel.
  const names = Array.from({ length: 2000 }, (_, i) => `${i}`.padStart(100, '.'));
  mkdirSync(join(dir, 'inner'));
  for (const name of names) writeFileSync(join(dir, 'inner', name), '');
  for (const name of ['..x', '...', ' ']) writeFileSync(join(dir, name), '');
  writeFileSync(Buffer.from(`${dir}/b\xff`, 'latin1'), '');
  symlinkSync(Buffer.from('../\xfe', 'latin1'), join(dir, 'link'));
  symlinkSync(`/${'x'.repeat(4000)}`, join(dir, 'long'));
  symlinkSync('inner', join(dir, 'to-inner'));
  const top = { fd: openSync(dir, constants.O_RDONLY), path: b(dir) };
  const inner = { fd: openChildDirectory(top, 'inner'), path: b(join(dir, 'inner')) };
  t.after(() => [top.fd, inner.fd].forEach(closeSync));

  assert.deepEqual(listDirectory(inner).sort(), names.sort());
  assert.deepEqual(listDirectory(top).sort(), readdirSync(dir, 'latin1').sort());
  assert.deepEqual(Buffer.from(readChildLink(top, 'link')), Buffer.from('../\xfe', 'latin1'));
  assert.equal(readChildLink(top, 'long').length, 4001);
  assert.throws(() => readChildLink(top, ' '), { code: 'EINVAL' });
  assert.throws(() => openChildDirectory(top, 'nothing'), { code: 'ENOENT' });
  assert.throws(() => openChildDirectory(top, ' '), { code: 'ENOTDIR' });
  assert.throws(() => openChildDirectory(top, 'to-inner'), { code: /^(ENOTDIR|ELOOP)$/ });
  assert.throws(() => openChildDirectory(top, 'in\0ner'));
});

test('openChildDirectory() keeps its descriptor from programs that are started', onLinux, (t) => {
  const dir = tempDir(t);
  mkdirSync(join(dir, 'inner'));
  const top = openSync(dir, constants.O_RDONLY);
  const inner = openChildDirectory({ fd: top, path: b(dir) }, 'inner');
  t.after(() => [top, inner].forEach(closeSync));

  assert.match(readFileSync(`/proc/self/fdinfo/${inner}`, 'utf8'), /^flags:\t0[23]\d{6}$/m);
});

test('statPath() splits device numbers', onLinux, () => {
  assert.deepEqual(statPath(b('/dev/null')).special, { major: 1, minor: 3 });
  assert.equal(statPath(b('/dev/null')).type, 'c');
});

test('childPath() follows the open directory when its path changes', onLinux, (t) => {
  assert.equal(hasDirectoryHandles(), true);
  const dir = tempDir(t);
  mkdirSync(join(dir, 'before'));
  const fd = openSync(join(dir, 'before'), constants.O_RDONLY);
  t.after(() => closeSync(fd));
  renameSync(join(dir, 'before'), join(dir, 'after'));

  writeFileSync(Buffer.from(childPath({ fd, path: b(join(dir, 'before')) }, b('file'))), 'content');

  assert.equal(readFileSync(join(dir, 'after', 'file'), 'utf8'), 'content');
});

test('joinPath() puts one slash between', () => {
  assert.deepEqual(Buffer.from(joinPath(b('/'), b('a'))), b('/a'));
  assert.deepEqual(Buffer.from(joinPath(b('/a'), b('b'))), b('/a/b'));
});

test('a name with a zero byte is refused before it reaches C', (t) => {
  const path = b(`${tempDir(t)}/file\0.txt`);

  assert.throws(() => utimens(path, { mtime: { seconds: 0n, nanoseconds: 0 } }, true));
  assert.throws(() => lstatPath(path));
});

test('linkDescriptor() links what is open, even a symlink, and replaces nothing', onLinux, (t) => {
  const dir = tempDir(t);
  symlinkSync('nowhere', join(dir, 'link'));
  writeFileSync(join(dir, 'taken'), '');
  const fd = openSync(join(dir, 'link'), O_PATH | constants.O_NOFOLLOW);
  t.after(() => closeSync(fd));

  linkDescriptor(fd, b(join(dir, 'second')));

  assert.equal(readlinkSync(join(dir, 'second')), 'nowhere');
  assert.equal(lstatSync(join(dir, 'second')).nlink, 2);
  assert.throws(() => linkDescriptor(fd, b(join(dir, 'taken'))), { code: 'EEXIST' });
});

test('renameNoReplace() renames, and fails where the new name is taken', (t) => {
  const dir = tempDir(t);
  writeFileSync(join(dir, 'from'), 'new');
  symlinkSync('nowhere', join(dir, 'taken'));
  const fd = openSync(dir, constants.O_RDONLY);
  t.after(() => closeSync(fd));
  const rename = (to: string): void => {
    renameNoReplace({ fd, path: b(dir) }, { from: b('from'), to: b(to) });
  };

  assert.throws(() => rename('taken'), { code: 'EEXIST' });
  assert.equal(readFileSync(join(dir, 'from'), 'utf8'), 'new');
  rename('to');

  assert.deepEqual(readdirSync(dir), ['taken', 'to']);
  assert.equal(readlinkSync(join(dir, 'taken')), 'nowhere');
});
