/** What the local backend promises beyond the contract: order of calls, modes, links, messages. */
import assert from 'node:assert/strict';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { errnoCode, NoRepositoryError, StorageError, VersionError } from '../../src/errors.ts';
import { STORAGE_FAILPOINTS } from '../../src/storage/failpoints.ts';
import { nodeFs, type StorageFs } from '../../src/storage/file-system.ts';
import { createLocalStorage, openLocalStorage } from '../../src/storage/local.ts';
import { createStorage, openStorage } from '../../src/storage/location.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { onFailpoint } from '../../src/util/failpoint.ts';
import {
  type FsOperation,
  interceptFs,
  recordFs,
  refuseOperation,
} from '../helpers/intercepted-fs.ts';
import { chosenName, dataName } from '../helpers/object-names.ts';
import { SimFs } from '../helpers/sim-fs.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import { listAll, listNames } from './storage-contract.ts';

const bytes = Uint8Array.of(1, 2, 3, 4, 5);
const pack = dataName(bytes);
const shard = pack.slice(0, 'data/ab'.length);

/** A storage on the real file system, and what it calls from now on, without the root's path. */
async function recordedStorage(
  t: TestContext,
): Promise<{ storage: Storage; calls: () => string[] }> {
  const root = tempDir(t);
  const { fs, calls } = recordFs(nodeFs);
  const storage = await openLocalStorage(root, { fs });
  return {
    storage,
    calls: () =>
      calls
        .splice(0)
        .map((call) => call.replace(root, '').replace(/\/tmp\/[0-9a-f]{32}\.tmp$/, '/tmp/T'))
        .map((call) => call.trimEnd())
        .filter((call) => !/^(stat|close|realPath|openDirectory)\b/.test(call)),
  };
}

test('put() syncs the file before it links it, sync() then the directories', async (t) => {
  const { storage, calls } = await recordedStorage(t);

  await storage.put(pack, bytes);
  assert.deepEqual(calls(), [
    'makeDirectory /data',
    `makeDirectory /${shard}`,
    'makeDirectory /tmp',
    'create /tmp/T',
    'write /tmp/T',
    'setMode /tmp/T',
    'syncFile /tmp/T',
    `link /${pack}`,
    'unlink /tmp/T',
  ]);

  await storage.sync();
  assert.deepEqual(
    calls().sort(),
    ['syncDirectory', `syncDirectory /${shard}`, 'syncDirectory /data'].sort(),
  );

  await storage.put(pack, bytes);
  await storage.sync();
  assert.deepEqual(calls().slice(-2), ['unlink /tmp/T', `syncDirectory /${shard}`]);
});

test('putIfAbsent() syncs the directory before it returns, for the loser too', async (t) => {
  const { storage, calls } = await recordedStorage(t);
  await storage.putIfAbsent('config', bytes);
  assert.deepEqual(calls().slice(-3), ['link /config', 'unlink /tmp/T', 'syncDirectory']);

  assert.equal(await storage.putIfAbsent('config', bytes), 'exists');

  assert.deepEqual(calls().slice(-5), [
    'unlink /tmp/T',
    'openFile /config',
    'statFile /config',
    'syncFile /config',
    'syncDirectory',
  ]);
});

test('createLocalStorage() makes all directories for the user alone, objects read-only', async (t) => {
  const root = join(tempDir(t), 'a', 'b');
  const storage = await createLocalStorage(root);

  await storage.put(pack, bytes);

  const mode = (path: string): string => (statSync(join(root, path)).mode & 0o777).toString(8);
  assert.deepEqual(['..', '', 'tmp', 'data', shard].map(mode), Array(5).fill('700'));
  assert.equal(mode(pack), '400');
  assert.deepEqual(readdirSync(join(root, 'tmp')), []);
});

test('createLocalStorage() keeps what is there', async (t) => {
  const root = tempDir(t);
  await (await createLocalStorage(root)).putIfAbsent('config', bytes);

  const again = await createLocalStorage(root);

  assert.deepEqual(await again.get('config'), bytes);
});

test('openLocalStorage() refuses what is no directory', async (t) => {
  const root = tempDir(t);
  writeFileSync(join(root, 'file'), '');

  for (const path of ['missing', 'file', 'file/below']) {
    await assert.rejects(openLocalStorage(join(root, path)), NoRepositoryError);
    await assert.rejects(openStorage(join(root, path)), NoRepositoryError);
  }
});

test('openStorage() and createStorage() refuse backends they do not know', async () => {
  for (const location of ['s3:https://host/bucket', 'sftp:user@host:/path', 'rclone:remote:path']) {
    await assert.rejects(openStorage(location), VersionError);
    await assert.rejects(createStorage(location), VersionError);
  }
});

test('an error of the operating system becomes StorageError with operation, object and reason', async () => {
  for (const [operation, code, reason] of [
    ['write', 'ENOSPC', 'no space left on device'],
    ['write', 'EDQUOT', 'disk quota exceeded'],
    ['write', 'EFBIG', 'file too large'],
    ['create', 'EROFS', 'read-only file system'],
    ['create', 'EACCES', 'permission denied'],
    ['create', 'EMFILE', 'too many open files'],
    ['syncFile', 'EIO', 'input/output error'],
    ['link', 'EXDEV', 'different file systems'],
    ['link', 'EWHATEVER', 'EWHATEVER'],
  ] as const) {
    const fs = refuseOperation(new SimFs(), operation, code);
    const storage = await createLocalStorage('/r', { fs });

    await assert.rejects(storage.put(pack, bytes), (error) => {
      assert.ok(error instanceof StorageError);
      assert.ok(error.message.startsWith(`Cannot store "${pack}": `), error.message);
      assert.ok(error.message.includes(reason), error.message);
      assert.equal(errnoCode(error.cause), code);
      assert.equal(error.isTransient, code === 'EMFILE');
      return true;
    });
    assert.deepEqual(await listNames(storage, ''), []);
    assert.deepEqual(await listNames(storage, 'tmp/'), []);
  }
});

test('a write that is short, without an error, is finished; a lie about it is found', async () => {
  const shortWrites = (fs: StorageFs, tell: (written: number) => number): StorageFs => ({
    ...fs,
    create: async (path) => {
      const file = await fs.create(path);
      return {
        ...file,
        write: async (piece, position) => tell(await file.write(piece.subarray(0, 2), position)),
      };
    },
  });
  const sim = recordFs(new SimFs()).fs;

  const honest = await createLocalStorage('/honest', { fs: shortWrites(sim, (count) => count) });
  await honest.put(pack, bytes);
  assert.deepEqual(await honest.get(pack), bytes);

  const lying = await createLocalStorage('/lying', { fs: shortWrites(sim, () => bytes.length) });
  await assert.rejects(lying.put(pack, bytes), /2 of 5 bytes were kept/);
  assert.deepEqual(await listNames(lying, ''), []);

  const full = await createLocalStorage('/full', { fs: shortWrites(sim, () => 0) });
  await assert.rejects(full.put(pack, bytes), /no space left/);
});

test('put() after a failed file fsync writes another file, and never syncs the same again', async () => {
  const synced: string[] = [];
  const fs = interceptFs(new SimFs(), async ({ operation, path }, run) => {
    if (operation === 'syncFile' && synced.push(path) === 1) {
      throw Object.assign(new Error('EIO'), { code: 'EIO' });
    }
    return await run();
  });
  const storage = await createLocalStorage('/r', { fs });

  await storage.put(pack, bytes);

  assert.equal(synced.length, 2);
  assert.notEqual(synced[0], synced[1]);
  assert.deepEqual(await listNames(storage, 'tmp/'), []);
});

test('a file system without directory fsync makes durability weak and still syncs files', async () => {
  for (const [operation, code] of [
    ['syncDirectory', 'EINVAL'],
    ['syncDirectory', 'ENOTSUP'],
    ['syncDirectory', 'EBADF'],
    ['openDirectory', 'EACCES'],
    ['openDirectory', 'EISDIR'],
  ] as const) {
    const { fs, calls } = recordFs(refuseOperation(new SimFs(), operation, code));
    const storage = await createLocalStorage('/r', { fs });
    assert.equal(storage.durability, 'strong');

    await storage.put(pack, bytes);
    await storage.sync();

    assert.equal(storage.durability, 'weak');
    assert.ok(calls.some((call) => call.startsWith('syncFile')));
  }
});

test('a file system without modes is no obstacle', async () => {
  const fs = refuseOperation(new SimFs(), 'setMode', 'EPERM');
  const storage = await createLocalStorage('/r', { fs });

  await storage.put(pack, bytes);

  assert.deepEqual(await storage.get(pack), bytes);
});

for (const code of ['EPERM', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']) {
  test(`a file system that answers link with ${code} gets no second attempt`, async () => {
    const { fs, calls } = recordFs(refuseOperation(new SimFs(), 'link', code));
    const storage = await createLocalStorage('/r', { fs });

    await storage.put(pack, bytes);
    assert.equal(await storage.putIfAbsent('config', bytes), 'created');
    assert.equal(await storage.putIfAbsent('config', bytes), 'exists');

    assert.equal(calls.filter((call) => call.startsWith('rename')).length, 1);
    assert.equal(
      calls.filter((call) => call.startsWith('create') && call.endsWith('/config')).length,
      2,
    );
    assert.deepEqual(await listNames(storage, 'tmp/'), []);
  });
}

test('without hard links a claim is taken back only while it is incomplete', async () => {
  const withFault = (operation: FsOperation): StorageFs =>
    interceptFs(refuseOperation(new SimFs(), 'link', 'EPERM'), async (call, run) => {
      if (call.operation !== operation || !call.path.endsWith('/config')) return await run();
      throw Object.assign(new Error('EIO'), { code: 'EIO' });
    });

  const incomplete = await createLocalStorage('/r', { fs: withFault('write') });
  await assert.rejects(incomplete.putIfAbsent('config', bytes), StorageError);
  assert.deepEqual(await listNames(incomplete, ''), []);

  const complete = await createLocalStorage('/r', { fs: withFault('syncFile') });
  await assert.rejects(complete.putIfAbsent('config', bytes), StorageError);
  assert.deepEqual(await complete.get('config'), bytes);
});

test('symbolic links below the root are not followed', async (t) => {
  const outside = tempDir(t);
  const root = tempDir(t);
  mkdirSync(join(outside, 'data'));
  writeFileSync(join(outside, 'secret'), 'secret');
  symlinkSync(join(outside, 'secret'), join(root, 'config'));
  symlinkSync(join(outside, 'data'), join(root, 'data'));
  const storage = await openLocalStorage(root);

  await assert.rejects(storage.get('config'), StorageError);
  await assert.rejects(storage.stat('config'), StorageError);
  assert.equal(await storage.putIfAbsent('config', bytes).catch(() => 'refused'), 'refused');
  await assert.rejects(storage.put(pack, bytes), StorageError);
  await assert.rejects(storage.get(pack), StorageError);
  await assert.rejects(listAll(storage, 'data/'), StorageError);

  assert.deepEqual(readdirSync(join(outside, 'data')), []);
  assert.equal(readFileSync(join(outside, 'secret'), 'utf8'), 'secret');
});

test('the root itself may be reached through a symbolic link', async (t) => {
  const parent = tempDir(t);
  mkdirSync(join(parent, 'real'));
  symlinkSync('real', join(parent, 'link'));

  const storage = await createLocalStorage(join(parent, 'link'));
  await storage.putIfAbsent('config', bytes);

  assert.deepEqual(readdirSync(join(parent, 'real')).sort(), ['config', 'tmp']);
});

test('a FIFO under the name of an object is refused, not waited for', async (t) => {
  const root = tempDir(t);
  const { execFileSync } = await import('node:child_process');
  execFileSync('mkfifo', [join(root, 'config')]);
  const storage = await openLocalStorage(root);

  await assert.rejects(storage.get('config'), /not a regular file/);
});

test('list() shows files of others but neither unfinished files nor lost+found', async (t) => {
  const root = tempDir(t);
  for (const directory of ['lost+found', 'tmp', 'data/other']) {
    mkdirSync(join(root, directory), { recursive: true });
    writeFileSync(join(root, directory, 'file'), 'x');
  }
  writeFileSync(join(root, 'README'), 'x');
  const storage = await openLocalStorage(root);

  assert.deepEqual(await listNames(storage, ''), ['README', 'data/other/file']);
  assert.deepEqual(await listNames(storage, 'data/'), ['data/other/file']);
  assert.deepEqual(await listNames(storage, 'tmp/'), ['tmp/file']);
});

test('unfinished files can be listed and deleted', async (t) => {
  const root = tempDir(t);
  const name = `tmp/${'0'.repeat(32)}.tmp`;
  mkdirSync(join(root, 'tmp'));
  writeFileSync(join(root, name), 'x');
  const storage = await openLocalStorage(root);
  assert.deepEqual(await listNames(storage, 'tmp/'), [name]);

  await storage.delete(name);

  assert.deepEqual(await listNames(storage, 'tmp/'), []);
});

test('a root that vanished is an error, never an empty storage', async (t) => {
  const parent = tempDir(t);
  const root = join(parent, 'r');
  const storage = await createLocalStorage(root);
  renameSync(root, join(parent, 'elsewhere'));

  await assert.rejects(listAll(storage, 'data/'), StorageError);
  await assert.rejects(storage.get('config'), StorageError);
  await assert.rejects(storage.stat('config'), StorageError);
  await assert.rejects(storage.delete('config'), StorageError);
  await assert.rejects(storage.put(pack, bytes), StorageError);
  assert.deepEqual(readdirSync(parent), ['elsewhere']);
});

test('an unmounted root is an error, and nothing is written to the mount point', async () => {
  let deviceId = 1;
  const sim = recordFs(new SimFs()).fs;
  const fs: StorageFs = { ...sim, stat: async (path) => ({ ...(await sim.stat(path)), deviceId }) };
  const storage = await createLocalStorage('/r', { fs });
  deviceId = 2;

  await assert.rejects(listAll(storage, 'data/'), /no longer mounted/);
  await assert.rejects(storage.get('config'), /no longer mounted/);
  await assert.rejects(storage.putIfAbsent(chosenName('keys', 1), bytes), /no longer mounted/);
  assert.deepEqual(await sim.readDirectory('/r'), []);
});

test('put() cancelled while it writes leaves nothing behind', async () => {
  const controller = new AbortController();
  const fs = interceptFs(new SimFs(), async ({ operation }, run) => {
    if (operation === 'write') controller.abort(new Error('enough'));
    return await run();
  });
  const storage = await createLocalStorage('/r', { fs });

  await assert.rejects(storage.put(pack, bytes, { signal: controller.signal }), /enough/);

  assert.deepEqual(await listNames(storage, ''), []);
  assert.deepEqual(await listNames(storage, 'tmp/'), []);
});

test('every failpoint of the storage is passed, and what it throws is thrown', async (t) => {
  const passed = new Set<string>();
  onFailpoint((name) => {
    passed.add(name);
  });
  t.after(() => onFailpoint(undefined));
  for (const fs of [new SimFs(), refuseOperation(new SimFs(), 'link', 'EPERM')]) {
    const storage = await createLocalStorage('/r', { fs });
    await storage.put(pack, bytes);
    await storage.delete(pack);
    await storage.sync();
  }
  assert.deepEqual([...passed].sort(), [...STORAGE_FAILPOINTS].sort());

  const storage = await createLocalStorage('/r', { fs: new SimFs() });
  onFailpoint((name) => {
    if (name === 'storage.put.before-link') throw new RangeError('planted');
  });
  await assert.rejects(storage.put(pack, bytes), /planted/);
  assert.deepEqual(await listNames(storage, ''), []);
});
