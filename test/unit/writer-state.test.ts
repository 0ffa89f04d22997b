/** The writer state: one owner at a time, stale locks, and homes that cannot keep it. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { RepositoryId } from '../../src/id.ts';
import { checkRepository } from '../../src/maintain/check.ts';
import { nodeStateFs, type StateFs } from '../../src/repository/state-fs.ts';
import { loadView } from '../../src/repository/view.ts';
import { type WriterState, WriterStateStore } from '../../src/repository/writer-state.ts';
import { BOOT_ID } from '../../src/util/boot-id.ts';
import {
  memoryRepository,
  newHome,
  openClient,
  snapshotTree,
  sourceTree,
} from '../helpers/repository-crash.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';

const repositoryId = new Uint8Array(32).fill(7) as RepositoryId;
const NAME = '07'.repeat(32);
const STATE: WriterState = {
  writerId: 'ab'.repeat(16) as WriterState['writerId'],
  writerSeq: 5,
  previous: 'cd'.repeat(32),
  heads: [{ writerId: 'ab'.repeat(16), seq: 5, hash: 'cd'.repeat(32) }],
  gcGeneration: 3,
  configNumber: 2,
};

function storeIn(directory: string, salt: number, fs: StateFs = nodeStateFs): WriterStateStore {
  return new WriterStateStore({ directory, repositoryId, fs, random: seededRandom(salt) });
}

function noNotice(text: string): void {
  assert.fail(`notice: ${text}`);
}

/** A directory that holds `STATE`. */
async function keptState(t: TestContext): Promise<string> {
  const directory = tempDir(t);
  const lease = await storeIn(directory, 1).acquire(noNotice);
  await lease.save(STATE);
  await lease.release();
  return directory;
}

test('a state is kept from session to session, and leaves no lock and no other file', async (t) => {
  const directory = await keptState(t);

  const lease = await storeIn(directory, 2).acquire(noNotice);
  await lease.release();

  assert.deepEqual(lease.state, STATE);
  assert.deepEqual(await storeIn(directory, 3).peek(), STATE);
  assert.deepEqual(readdirSync(directory), [`${NAME}.json`]);
});

test('a second session at the same time writes as another writer and changes no state', async (t) => {
  const directory = await keptState(t);
  const store = storeIn(directory, 2);
  const first = await store.acquire(noNotice);

  const second = await store.acquire(noNotice);
  const third = await storeIn(directory, 3).acquire(noNotice);

  const ids = [first, second, third].map(({ state }) => state.writerId);
  assert.equal(new Set(ids).size, 3);
  assert.equal(first.state.writerId, STATE.writerId);
  assert.deepEqual(second.state.heads, STATE.heads, 'it remembers what the client does');
  assert.equal(second.state.writerSeq, 0);
  await second.save({ ...second.state, writerSeq: 1 });
  await second.release();
  await third.release();
  assert.deepEqual(await store.peek(), STATE);
  await first.save({ ...STATE, writerSeq: 6 });
  await first.release();
  assert.equal((await store.acquire(noNotice)).state.writerSeq, 6);
});

test('snapshots taken at the same time through one repository have different writers', async (t) => {
  const { repository } = await memoryRepository(t);

  const taken = await Promise.all([
    snapshotTree(repository, sourceTree(1)),
    snapshotTree(repository, sourceTree(2)),
  ]);
  await snapshotTree(repository, sourceTree(3));

  const { snapshots } = await loadView(repository, 'read');
  const chains = snapshots.map(({ manifest }) => manifest.chain);
  assert.equal(snapshots.length, 3);
  const concurrent = snapshots.filter(({ id }) => taken.some((one) => one.id === id));
  assert.equal(new Set(concurrent.map(({ manifest }) => manifest.chain.writerId)).size, 2);
  const records = chains.map(({ writerId, writerSeq }) => `${writerId} ${writerSeq}`);
  assert.equal(new Set(records).size, 3, 'no number twice');
});

test('while another process holds the lock a session writes as a new writer', async (t) => {
  const directory = await keptState(t);
  // The parent of this process lives as long as this one does.
  writeFileSync(join(directory, `${NAME}.lock`), `${process.ppid} ${BOOT_ID}\n`);

  const lease = await storeIn(directory, 2).acquire(noNotice);
  await lease.release();

  assert.notEqual(lease.state.writerId, STATE.writerId);
  const lock = readFileSync(join(directory, `${NAME}.lock`), 'utf8');
  assert.equal(lock, `${process.ppid} ${BOOT_ID}\n`, 'the lock of the other is left alone');
});

function deadPid(): number {
  return Number(execFileSync('sh', ['-c', 'echo $$']).toString());
}

const STALE_LOCKS: Readonly<Record<string, () => string>> = {
  'a dead process': () => `${deadPid()} ${BOOT_ID}\n`,
  'another boot': () => `${process.pid} ${'0'.repeat(32)}\n`,
  'nobody, empty': () => '',
  'nobody, garbage': () => 'not a lock',
};

for (const [holder, content] of Object.entries(STALE_LOCKS)) {
  test(`a lock of ${holder} is taken over`, async (t) => {
    const directory = await keptState(t);
    writeFileSync(join(directory, `${NAME}.lock`), content());

    const lease = await storeIn(directory, 2).acquire(noNotice);
    await lease.release();

    assert.deepEqual(lease.state, STATE);
    assert.deepEqual(readdirSync(directory), [`${NAME}.json`]);
  });
}

const DAMAGES: Readonly<Record<string, (bytes: Buffer) => Uint8Array>> = {
  empty: () => new Uint8Array(0),
  truncated: (bytes) => bytes.subarray(0, bytes.length / 2),
  'with a wrong field': (bytes) => Buffer.from(bytes.toString().replace('writer_id', 'writer_ix')),
  zeros: (bytes) => new Uint8Array(bytes.length),
};

for (const [damage, change] of Object.entries(DAMAGES)) {
  test(`a state file that is ${damage} gives a new writer, and is replaced`, async (t) => {
    const directory = await keptState(t);
    const path = join(directory, `${NAME}.json`);
    writeFileSync(path, change(readFileSync(path)));
    const store = storeIn(directory, 2);
    assert.equal(await store.peek(), undefined);

    const lease = await store.acquire(noNotice);
    await lease.save({ ...lease.state, writerSeq: 1 });
    await lease.release();

    assert.notEqual(lease.state.writerId, STATE.writerId);
    assert.equal((await store.peek())?.writerId, lease.state.writerId);
  });
}

test('a crash while the state is replaced leaves the old one', async (t) => {
  const directory = await keptState(t);
  writeFileSync(join(directory, `${NAME}.json.tmp`), 'half a sta');

  const lease = await storeIn(directory, 2).acquire(noNotice);
  await lease.save({ ...STATE, writerSeq: 6 });
  await lease.release();

  assert.equal((await storeIn(directory, 2).peek())?.writerSeq, 6);
  assert.deepEqual(readdirSync(directory), [`${NAME}.json`]);
});

/** As on a read-only disk: what is there can be read. */
function readOnlyFs(fs: StateFs): StateFs {
  const refuse = async (): Promise<never> => {
    throw Object.assign(new Error('EROFS: read-only file system'), { code: 'EROFS' });
  };
  return { ...fs, replace: refuse, createExclusive: refuse, remove: refuse };
}

test('where the state cannot be written the session is told, works and remembers heads', async (t) => {
  const directory = await keptState(t);
  const notices: string[] = [];
  const store = storeIn(directory, 2, readOnlyFs(nodeStateFs));

  const lease = await store.acquire((text) => notices.push(text));
  await lease.save({ ...lease.state, writerSeq: 1 });
  await lease.release();

  assert.equal(notices.length, 1);
  assert.match(notices[0] ?? '', /Cannot keep the writer state: EROFS/);
  assert.notEqual(lease.state.writerId, STATE.writerId);
  assert.deepEqual(lease.state.heads, STATE.heads);
});

test('a snapshot works with a state directory that cannot be made, and says so', async (t) => {
  const { storage, directory } = await memoryRepository(t);
  const notices: string[] = [];
  const home = newHome(directory);
  const refuse = async (): Promise<never> => {
    throw Object.assign(new Error('EACCES: permission denied'), { code: 'EACCES' });
  };
  const stateFs = Object.assign(home.stateFs, { makeDirectory: refuse, read: refuse });
  const repository = await openClient(storage, {
    home: { ...home, stateFs },
    salt: 5,
    onNotice: (text) => notices.push(text),
  });
  t.after(() => repository.close());

  await snapshotTree(repository, sourceTree(1));

  assert.equal((await loadView(repository, 'read')).snapshots.length, 1);
  assert.equal(notices.length, 1);
  assert.deepEqual((await checkRepository(repository)).findings, []);
});
