/**
 * Attributes, owners, flags and special files back from a snapshot: by the programs of the system, whose
 * answers for the source and for what was restored must be the same, and for trees that no walk would make.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { nodeTargetFs, type TargetFs } from '../../src/restore/target-fs.ts';
import type { Node } from '../../src/tree/node.ts';
import { userTest } from '../helpers/as-user.ts';
import { compareTrees } from '../helpers/compare-trees.ts';
import { forge, writePage } from '../helpers/forged-snapshot.ts';
import { b } from '../helpers/raw-path.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import {
  newClient,
  type Restored,
  type RestoreFrom,
  restore,
  snapshot,
} from '../helpers/test-repository.ts';

const isThere = (program: string): boolean => spawnSync(program, ['--version']).error === undefined;
const isRoot = process.geteuid?.() === 0;
const hasPrograms = ['setfattr', 'getfattr', 'setfacl', 'chattr', 'setcap'].every(isThere);
const skip = !hasPrograms && 'no attr, acl, e2fsprogs or libcap here';
const rootOnly = { skip: isRoot ? skip : 'only as root' };

function setAttribute(path: string, name: string, value: string): void {
  execFileSync('setfattr', ['-h', '-n', name, '-v', value, path]);
}

/** All attributes of all entries, as `getfattr` tells them. */
function attributesBelow(top: string): string {
  const options = { cwd: top, encoding: 'utf8', maxBuffer: 2 ** 26 } as const;
  const command = 'find . -print0 | sort -z | xargs -0 getfattr -h -d -m - -e hex --';
  return execFileSync('sh', ['-c', command], options);
}

function flagsOf(path: string): string {
  const [letters = ''] = execFileSync('lsattr', ['-d', path], { encoding: 'utf8' }).split(' ');
  return letters.replaceAll(/[-e]/g, '');
}

interface Place {
  /** The source, to be filled. */
  readonly top: string;
  /** Saves it and restores what is in it. */
  readonly roundTrip: (options?: Partial<RestoreFrom>) => Promise<{
    readonly target: string;
    readonly restored: Restored;
  }>;
}

async function place(t: TestContext): Promise<Place> {
  const dir = tempDir(t);
  const [top, target] = [join(dir, 'top'), join(dir, 'target')];
  mkdirSync(top);
  const client = await newClient(t);
  return {
    top,
    roundTrip: async (options = {}) => {
      const taken = await snapshot(client, [top]);
      assert.deepEqual(taken.errors, []);
      const restored = await restore(client, { ...taken, path: top, ...options }, target);
      return { target, restored };
    },
  };
}

function problemsOf({ problems }: Restored): string[] {
  return problems
    .map(({ error, path }) => {
      const { reason = error.code } = error as { reason?: string };
      return `${reason} ${Buffer.from(path).toString('latin1').split('/').at(-1)}`;
    })
    .sort();
}

test('attributes and ACLs of files and directories come back', { skip }, async (t) => {
  const { top, roundTrip } = await place(t);
  mkdirSync(join(top, 'directory'));
  for (const name of ['file', 'directory/file', 'directory/other']) {
    writeFileSync(join(top, name), 'content');
    setAttribute(join(top, name), 'user.k', `0x00ff${Buffer.from(name).toString('hex')}`);
    setAttribute(join(top, name), 'user.empty', '');
  }
  setAttribute(join(top, 'directory'), 'user.long', 'x'.repeat(3000));
  setAttribute(join(top, 'file'), 'user.long', 'y'.repeat(3000));
  execFileSync('setfacl', ['-m', 'u:1234:rw', join(top, 'file')]);
  execFileSync('setfacl', ['-m', 'g:77:r', join(top, 'directory')]);
  // Last: what is made later would get it.
  execFileSync('setfacl', ['-d', '-m', 'g:77:rx', join(top, 'directory')]);
  chmodSync(join(top, 'directory/file'), 0o400);

  const { target, restored } = await roundTrip();

  assert.deepEqual(problemsOf(restored), []);
  assert.equal(attributesBelow(target), attributesBelow(top));
  assert.deepEqual(compareTrees(top, target), []);
});

userTest(
  import.meta.url,
  'a user gets back attributes of files that nobody may write',
  async (t) => {
    if (!hasPrograms) return t.skip('no attr here');
    const { top, roundTrip } = await place(t);
    writeFileSync(join(top, 'file'), 'content');
    setAttribute(join(top, 'file'), 'user.k', 'v');
    execFileSync('setfacl', ['-m', 'u:1234:r', join(top, 'file')]);
    chmodSync(join(top, 'file'), 0o440);

    const { target, restored } = await roundTrip();

    assert.deepEqual(problemsOf(restored), []);
    assert.equal(attributesBelow(target), attributesBelow(top));
  },
);

test('capabilities come back after the owner, as root', rootOnly, async (t) => {
  const { top, roundTrip } = await place(t);
  writeFileSync(join(top, 'tool'), 'content');
  chownSync(join(top, 'tool'), 1000, 1000);
  chmodSync(join(top, 'tool'), 0o6755);
  execFileSync('setcap', ['cap_net_raw+ep', join(top, 'tool')]);
  setAttribute(join(top, 'tool'), 'user.k', 'v');

  const { target, restored } = await roundTrip();

  assert.deepEqual(problemsOf(restored), []);
  assert.equal(attributesBelow(target), attributesBelow(top));
  assert.equal(statSync(join(target, 'tool')).mode & 0o7777, 0o6755);
});

test('X07: capabilities are left out where the owner could not be set', rootOnly, async (t) => {
  const { top, roundTrip } = await place(t);
  writeFileSync(join(top, 'tool'), 'content');
  chownSync(join(top, 'tool'), 1000, 1000);
  execFileSync('setcap', ['cap_net_raw+ep', join(top, 'tool')]);
  const fs: TargetFs = {
    ...nodeTargetFs,
    chown: () => {
      throw Object.assign(new Error('EPERM'), { code: 'EPERM' });
    },
  };

  const { target, restored } = await roundTrip({ fs });

  assert.deepEqual(problemsOf(restored), ['attributes tool', 'owner tool']);
  assert.equal(attributesBelow(target), '');
});

test('other attributes are counted, and come back when asked for', rootOnly, async (t) => {
  const { top, roundTrip } = await place(t);
  writeFileSync(join(top, 'file'), 'content');
  symlinkSync('nowhere', join(top, 'link'));
  for (const name of ['', 'file', 'link']) setAttribute(join(top, name), 'trusted.t', name);
  setAttribute(join(top, 'file'), 'security.varve-test', 'label');

  const plain = await roundTrip();
  execFileSync('rm', ['-r', plain.target]);

  assert.equal(plain.restored.attributesLeftOutCount, 4);
  assert.deepEqual(problemsOf(plain.restored), []);
  const full = await roundTrip({ withAllAttributes: true });
  assert.equal(full.restored.attributesLeftOutCount, 0);
  assert.deepEqual(problemsOf(full.restored), []);
  assert.equal(attributesBelow(full.target), attributesBelow(top));
});

test('attributes that sign the content never come back', async (t) => {
  const client = await newClient(t);
  const target = join(tempDir(t), 'target');
  const attributes = ['security.evm', 'security.ima'].map((name) => [b(name), b('\x03')] as const);
  const taken = await forge(client.repository, async (session) => {
    const node = { type: 'f', content: { kind: 'empty' }, size: 0n } as const;
    return await writePage(session, { ...node, name: b('file'), attributes });
  });

  const restored = await restore(client, { snapshot: taken, withAllAttributes: true }, target);

  assert.deepEqual(problemsOf(restored), []);
  assert.equal(restored.attributesLeftOutCount, 2);
  assert.equal(
    spawnSync('getfattr', ['-d', '-m', '-', join(target, 'file')]).stdout?.length ?? 0,
    0,
  );
});

test('an attribute that cannot be set is told, and the others are set', { skip }, async (t) => {
  const { top, roundTrip } = await place(t);
  writeFileSync(join(top, 'file'), 'content');
  for (const name of ['user.a', 'user.b', 'user.c']) setAttribute(join(top, 'file'), name, 'v');
  const fs: TargetFs = {
    ...nodeTargetFs,
    setAttribute: (place, name, value) => {
      if (Buffer.from(name).toString() === 'user.b') {
        throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
      }
      nodeTargetFs.setAttribute(place, name, value);
    },
  };

  const { target, restored } = await roundTrip({ fs });

  assert.deepEqual(problemsOf(restored), ['attributes file']);
  assert.match(restored.problems[0]?.error.message ?? '', /: user\.b: ENOSPC$/);
  assert.doesNotMatch(attributesBelow(target), /user\.b/);
  assert.match(attributesBelow(target), /user\.a[\s\S]*user\.c/);
});

test('what is restored gets no ACL of the target', { skip }, async (t) => {
  const { top, roundTrip } = await place(t);
  mkdirSync(join(top, 'directory'));
  writeFileSync(join(top, 'file'), 'content');
  writeFileSync(join(top, 'directory', 'file'), 'content');
  const target = join(top, '..', 'target');
  mkdirSync(target);
  execFileSync('setfacl', ['-d', '-m', 'u:1234:rwx', target]);

  const { restored } = await roundTrip();

  assert.deepEqual(problemsOf(restored), []);
  assert.equal(attributesBelow(target), '');
  assert.deepEqual(compareTrees(top, target), []);
});

test('flags come back, those that lock at the end', rootOnly, async (t) => {
  const { top, roundTrip } = await place(t);
  mkdirSync(join(top, 'a'));
  mkdirSync(join(top, 'b'));
  writeFileSync(join(top, 'a', 'file'), 'content');
  linkSync(join(top, 'a', 'file'), join(top, 'b', 'other'));
  writeFileSync(join(top, 'log'), 'content');
  const flags = { 'a/file': 'id', log: 'a', a: 'i', b: 'd' };
  const set = (by: string, where: string): void => {
    for (const [name, letters] of Object.entries(flags)) {
      execFileSync('chattr', [`${by}${letters}`, join(where, name)]);
    }
  };
  const target = join(top, '..', 'target');
  if (spawnSync('chattr', ['+a', join(top, 'log')]).status !== 0) return t.skip('no flags here');
  execFileSync('chattr', ['-a', join(top, 'log')]);
  try {
    set('+', top);

    const { restored } = await roundTrip();

    assert.deepEqual(problemsOf(restored), []);
    assert.deepEqual(compareTrees(top, target), []);
    for (const [name, letters] of Object.entries(flags)) {
      assert.equal([...flagsOf(join(target, name))].sort().join(''), [...letters].sort().join(''));
    }
  } finally {
    // Or nobody could remove them.
    execFileSync('chattr', ['-R', '-f', '-i', '-a', top, target]);
  }
});

userTest(import.meta.url, 'flags that a user may not set are told', async (t) => {
  const client = await newClient(t);
  const target = join(tempDir(t), 'target');
  const taken = await forge(client.repository, async (session) => {
    const node = { type: 'f', content: { kind: 'empty' }, size: 0n } as const;
    return await writePage(session, { ...node, name: b('file'), flags: 0x10 });
  });

  const restored = await restore(client, { snapshot: taken }, target);

  assert.deepEqual(problemsOf(restored), ['flags file']);
  assert.equal(lstatSync(join(target, 'file')).size, 0);
});

test('owners are found by name, and by number when asked for', rootOnly, async (t) => {
  const client = await newClient(t);
  const node = { type: 'f', content: { kind: 'empty' }, size: 0n } as const;
  const owner = { uid: 4_000_000, gid: 4_000_001 };
  const taken = await forge(client.repository, async (session) =>
    writePage(
      session,
      { ...node, name: b('known'), owner, ownerNames: { user: b('nobody'), group: b('root') } },
      { ...node, name: b('unknown'), owner, ownerNames: { user: b('no-such'), group: b('') } },
    ),
  );
  const ownersIn = async (isNumericOwner: boolean): Promise<string[]> => {
    const target = join(tempDir(t), 'target');
    const { problems } = await restore(client, { snapshot: taken, isNumericOwner }, target);
    assert.deepEqual(problems, []);
    return ['known', 'unknown'].map((name) => {
      const { uid, gid } = statSync(join(target, name));
      return `${uid}:${gid}`;
    });
  };

  assert.deepEqual(await ownersIn(false), ['65534:0', '4000000:4000001']);
  assert.deepEqual(await ownersIn(true), ['4000000:4000001', '4000000:4000001']);
});

const specials: Node[] = [
  { name: b('block'), type: 'b', mode: 0o640, device: { major: 7, minor: 300 } },
  { name: b('char'), type: 'c', mode: 0o666, device: { major: 1, minor: 3 } },
  { name: b('fifo'), type: 'p', mode: 0o644, mtime: { seconds: 5n, nanoseconds: 7 } },
  { name: b('socket'), type: 's', mode: 0o755 },
];

test('special files are named and left out unless they are asked for', async (t) => {
  const client = await newClient(t);
  const target = join(tempDir(t), 'target');
  const taken = await forge(client.repository, (session) => writePage(session, ...specials));

  const restored = await restore(client, { snapshot: taken }, target);

  const names = ['block', 'char', 'fifo', 'socket'];
  assert.deepEqual(
    problemsOf(restored),
    names.map((name) => `special_file ${name}`),
  );
  assert.equal(restored.others, 0);
});

test('devices and FIFOs come back when asked for, sockets never', rootOnly, async (t) => {
  const client = await newClient(t);
  const target = join(tempDir(t), 'target');
  const taken = await forge(client.repository, (session) => writePage(session, ...specials));

  const restored = await restore(client, { snapshot: taken, withSpecialFiles: true }, target);

  assert.deepEqual(problemsOf(restored), ['special_file socket']);
  const told = execFileSync('stat', ['-c', '%n %F %a %t %T', 'block', 'char', 'fifo'], {
    cwd: target,
    encoding: 'utf8',
  });
  assert.equal(
    told,
    'block block special file 640 7 12c\nchar character special file 666 1 3\nfifo fifo 644 0 0\n',
  );
  assert.equal(statSync(join(target, 'fifo'), { bigint: true }).mtimeNs, 5_000_000_007n);
});

userTest(import.meta.url, 'a user gets FIFOs and no devices', async (t) => {
  const client = await newClient(t);
  const target = join(tempDir(t), 'target');
  const taken = await forge(client.repository, (session) => writePage(session, ...specials));

  const restored = await restore(client, { snapshot: taken, withSpecialFiles: true }, target);

  assert.deepEqual(problemsOf(restored), [
    'special_file block',
    'special_file char',
    'special_file socket',
  ]);
  assert.equal(lstatSync(join(target, 'fifo')).isFIFO(), true);
});
