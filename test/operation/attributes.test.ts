/**
 * Extended attributes and file flags from the source into the tree. They are set by programs of the
 * system (`setfattr`, `setfacl`, `chattr`) and read back from the nodes of the snapshot.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { linkSync, mkdirSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openReadAccess } from '../../src/repository/read-access.ts';
import type { Attribute } from '../../src/tree/attributes.ts';
import type { Node } from '../../src/tree/node.ts';
import { nodeSourceFs, type SourceFs } from '../../src/walk/source-fs.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import {
  type Client,
  check,
  namesOf,
  newClient,
  snapshot,
  sourceFs,
  type Taken,
} from '../helpers/test-repository.ts';

const isThere = (program: string): boolean => spawnSync(program, ['--version']).error === undefined;
const isRoot = process.geteuid?.() === 0;
const skip = !['setfattr', 'setfacl', 'chattr'].every(isThere) && 'no attr, acl or e2fsprogs here';

function setAttribute(path: string, name: string, value: string): void {
  execFileSync('setfattr', ['-h', '-n', name, '-v', value, path]);
}

function sourceIn(t: TestContext): string {
  const top = join(tempDir(t), 'top');
  mkdirSync(top);
  return top;
}

async function nodeAt(client: Client, taken: Taken, path: string): Promise<Node> {
  const access = await openReadAccess(client.repository);
  const found = await access.find(taken.snapshot.manifest.root, namesOf(path));
  assert(found !== undefined && found.type !== 'refused');
  return found;
}

/** Names and values as latin1 text. */
async function attributesAt(
  client: Client,
  taken: Taken,
  path: string,
): Promise<[string, string][]> {
  const { attributes, attributeBlob } = await nodeAt(client, taken, path);
  const access = await openReadAccess(client.repository);
  const all: readonly Attribute[] =
    attributeBlob === undefined ? (attributes ?? []) : await access.attributes(attributeBlob);
  return all.map(([name, value]) => [latin1(name), latin1(value)]);
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}

test('a snapshot holds extended attributes of files and directories', { skip }, async (t) => {
  const top = sourceIn(t);
  const client = await newClient(t);
  writeFileSync(join(top, 'file'), 'content');
  setAttribute(join(top, 'file'), 'user.z', '0xff00fe');
  setAttribute(join(top, 'file'), 'user.empty', '');
  setAttribute(top, 'user.of-directory', 'yes');
  writeFileSync(join(top, 'plain'), 'content');

  const taken = await snapshot(client, [top]);

  assert.deepEqual(taken.errors, []);
  assert.deepEqual(await attributesAt(client, taken, join(top, 'file')), [
    ['user.empty', ''],
    ['user.z', '\xff\x00\xfe'],
  ]);
  assert.deepEqual(await attributesAt(client, taken, top), [['user.of-directory', 'yes']]);
  const plain = await nodeAt(client, taken, join(top, 'plain'));
  assert.equal(plain.attributes, undefined);
});

test('a snapshot holds long attributes in a blob of their own', { skip }, async (t) => {
  const top = sourceIn(t);
  const client = await newClient(t);
  const long = 'x'.repeat(3000);
  writeFileSync(join(top, 'file'), 'content');
  mkdirSync(join(top, 'directory'));
  for (const name of ['file', 'directory']) setAttribute(join(top, name), 'user.long', long);

  const taken = await snapshot(client, [top]);

  for (const name of ['file', 'directory']) {
    const node = await nodeAt(client, taken, join(top, name));
    assert.notEqual(node.attributeBlob, undefined);
    assert.deepEqual(await attributesAt(client, taken, join(top, name)), [['user.long', long]]);
  }
  assert.deepEqual((await check(client, true)).findings, []);
});

test('a snapshot holds ACLs, and as root those of a symlink and of a FIFO', { skip }, async (t) => {
  const top = sourceIn(t);
  const client = await newClient(t);
  writeFileSync(join(top, 'file'), '');
  execFileSync('setfacl', ['-m', 'u:1234:rw', join(top, 'file')]);
  symlinkSync('nowhere', join(top, 'link'));
  execFileSync('mkfifo', [join(top, 'fifo')]);
  execFileSync('setfacl', ['-d', '-m', 'g:77:rx', top]);
  if (isRoot) {
    for (const name of ['link', 'fifo']) setAttribute(join(top, name), 'trusted.t', name);
  }

  const taken = await snapshot(client, [top]);

  const names = async (path: string): Promise<string[]> =>
    (await attributesAt(client, taken, path)).map(([name]) => name);
  assert.deepEqual(await names(join(top, 'file')), ['system.posix_acl_access']);
  assert.deepEqual(await names(top), ['system.posix_acl_default']);
  for (const name of isRoot ? ['link', 'fifo'] : []) {
    const path = join(top, name);
    assert.deepEqual(await attributesAt(client, taken, path), [['trusted.t', name]]);
  }
});

test('a snapshot holds file flags', { skip }, async (t) => {
  const top = sourceIn(t);
  const client = await newClient(t);
  writeFileSync(join(top, 'file'), '');
  if (spawnSync('chattr', ['+dA', join(top, 'file'), top]).status !== 0) {
    return t.skip('no flags in this file system');
  }

  const taken = await snapshot(client, [top]);

  for (const path of [top, join(top, 'file')]) {
    assert.equal((await nodeAt(client, taken, path)).flags, 0xc0);
  }
});

test('other names of a file have its attributes', { skip }, async (t) => {
  const top = sourceIn(t);
  const client = await newClient(t);
  writeFileSync(join(top, 'file'), 'content');
  setAttribute(join(top, 'file'), 'user.k', 'v');
  for (const name of ['a', 'z']) linkSync(join(top, 'file'), join(top, name));

  const taken = await snapshot(client, [top]);

  for (const name of ['a', 'file', 'z']) {
    assert.deepEqual(await attributesAt(client, taken, join(top, name)), [['user.k', 'v']]);
  }
});

test('attributes of what has not changed are taken from the parent', { skip }, async (t) => {
  const top = sourceIn(t);
  const client = await newClient(t);
  mkdirSync(join(top, 'directory'));
  mkdirSync(join(top, 'changing'));
  symlinkSync('nowhere', join(top, 'link'));
  for (const name of ['directory/file', 'changing/file']) writeFileSync(join(top, name), 'content');
  setAttribute(join(top, 'directory'), 'user.long', 'x'.repeat(3000));
  setAttribute(join(top, 'directory/file'), 'user.k', 'v');
  const asked: unknown[] = [];
  const fs: SourceFs = {
    ...sourceFs,
    listAttributes: (place) => {
      asked.push(place);
      return sourceFs.listAttributes(place);
    },
  };

  await snapshot(client, [top], { fs });
  asked.length = 0;
  setAttribute(join(top, 'changing/file'), 'user.k', 'new');
  const taken = await snapshot(client, [top], { fs });

  assert.equal(asked.length, 1);
  const path = join(top, 'directory');
  assert.equal((await attributesAt(client, taken, path))[0]?.[1].length, 3000);
  assert.deepEqual(await attributesAt(client, taken, join(path, 'file')), [['user.k', 'v']]);
  const changed = join(top, 'changing/file');
  assert.deepEqual(await attributesAt(client, taken, changed), [['user.k', 'new']]);
});

test('reading a source leaves access times as they are', async (t) => {
  const top = sourceIn(t);
  const client = await newClient(t);
  mkdirSync(join(top, 'directory'));
  writeFileSync(join(top, 'directory', 'file'), 'content');
  const names = ['directory', 'directory/file'];
  // Older than the modification: the system would bring it up to date.
  for (const name of names) utimesSync(join(top, name), 1000, new Date());
  const atimes = (): number[] => names.map((name) => statSync(join(top, name)).atimeMs);

  const taken = await snapshot(client, [top]);

  assert.equal(taken.files, 1);
  assert.deepEqual(atimes(), [1_000_000, 1_000_000]);
});

test('S06: attributes that vanish or fail while they are read cost no file', async (t) => {
  const top = sourceIn(t);
  const client = await newClient(t);
  for (const name of ['vanished', 'failing', 'unlisted']) writeFileSync(join(top, name), name);
  const name = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
  const fail = (code: string): never => {
    throw Object.assign(new Error(code), { code });
  };
  // Files are told apart by their inode, which the descriptor says.
  const nameOf = new Map(
    ['vanished', 'failing', 'unlisted'].map((file) => [
      nodeSourceFs.lstat(name(join(top, file))).inode,
      file,
    ]),
  );
  const fileOf = (place: number | Uint8Array): string | undefined =>
    typeof place === 'number' ? nameOf.get(nodeSourceFs.fstat(place).inode) : undefined;
  const fs: SourceFs = {
    ...sourceFs,
    listAttributes: (place) => {
      const file = fileOf(place);
      if (file === 'unlisted') fail('EIO');
      return file === undefined ? [] : [name('user.there'), name(`user.${file}`)];
    },
    getAttribute: (place, attribute) => {
      if (latin1(attribute) === 'user.failing') fail('EACCES');
      return latin1(attribute) === 'user.there' ? name(fileOf(place) ?? '') : undefined;
    },
  };

  const taken = await snapshot(client, [top], { fs });

  const problems = taken.errors.map(({ path, reason, operation }) => [
    latin1(path).slice(top.length + 1),
    reason,
    operation,
  ]);
  assert.deepEqual(problems.sort(), [
    ['failing', 'permission', 'read attributes of'],
    ['unlisted', 'io', 'read attributes of'],
  ]);
  assert.equal(taken.files, 3);
  for (const file of ['vanished', 'failing']) {
    const found = await attributesAt(client, taken, join(top, file));
    assert.deepEqual(found, [['user.there', file]]);
  }
});
