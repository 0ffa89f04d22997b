/** Key slots of an open repository: what is listed, what is refused, and what a crash leaves. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import {
  BusyError,
  CorruptionError,
  KeyError,
  NotFoundError,
  StorageError,
} from '../../src/errors.ts';
import type { RepositoryId } from '../../src/id.ts';
import { type Credential, sealKeySlot } from '../../src/keys/key-slot.ts';
import { REPOSITORY_FAILPOINTS } from '../../src/repository/failpoints.ts';
import {
  addKey,
  changePassphrase,
  listKeySlots,
  removeKey,
  selectKeySlot,
} from '../../src/repository/manage-keys.ts';
import { openRepository } from '../../src/repository/open-repository.ts';
import type { Repository } from '../../src/repository/repository.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { fromHex } from '../../src/util/bytes.ts';
import { onFailpoint } from '../../src/util/failpoint.ts';
import {
  alterStorage,
  crashableStorage,
  failStorage,
  flipBit,
  type StorageCall,
  StorageStopped,
} from '../helpers/fault-storage.ts';
import { memoryRepository, namesIn } from '../helpers/repository-crash.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { copyStorage, replaceObject } from '../helpers/test-repository.ts';

const none: Credential = { kind: 'none' };
const cheap = { log2N: 15, r: 8, p: 1 };

function passphrase(text: string): Credential {
  return { kind: 'passphrase', passphrase: text };
}

/** A slot of the repository under a name of one repeated digit. */
async function plantSlot(
  repository: Repository,
  digit: string,
  options: { credential: Credential; id?: RepositoryId; change?: (slot: Uint8Array) => Uint8Array },
): Promise<string> {
  const { credential, id: repositoryId = repository.id, change = (slot) => slot } = options;
  const slot = await sealKeySlot(credential, {
    repositoryId,
    salt: seededRandom(7).bytes(32),
    keyRing: repository.keySlot.keyRing,
    cost: cheap,
  });
  const id = digit.repeat(32);
  await repository.storage.putIfAbsent(`keys/${id}`, change(slot));
  return id;
}

function withByte(offset: number, value: number): (slot: Uint8Array) => Uint8Array {
  return (slot) => {
    const copy = slot.slice();
    copy[offset] = value;
    return copy;
  };
}

/** Closed with the test; undefined when the passphrase is wrong. */
async function openWith(
  t: TestContext,
  storage: Storage,
  given: string | undefined,
): Promise<Repository | undefined> {
  try {
    const repository = await openRepository({
      storage,
      askPassphrase: async () => given,
      cacheDirectory: '/nowhere',
      stateDirectory: '/nowhere',
    });
    t.after(() => repository.close());
    return repository;
  } catch (error) {
    if (error instanceof KeyError) return undefined;
    throw error;
  }
}

/** A repository whose only slot has the passphrase "old", opened with it. */
async function oldRepository(t: TestContext): Promise<Repository> {
  const { storage, repository } = await memoryRepository(t);
  await plantSlot(repository, 'a', { credential: passphrase('old') });
  await storage.delete(repository.keySlot.name);
  return (await openWith(t, storage, 'old')) as Repository;
}

test('listKeySlots() names every kind, and marks the slot in use', async (t) => {
  const { repository } = await memoryRepository(t);
  const other = fromHex('11'.repeat(32)) as RepositoryId;
  const credential = passphrase('x');
  await plantSlot(repository, '1', { credential });
  await plantSlot(repository, '2', { credential, change: withByte(9, 2) });
  await plantSlot(repository, '3', { credential, change: withByte(9, 200) });
  await plantSlot(repository, '4', { credential, change: withByte(8, 2) });
  await plantSlot(repository, '5', { credential, change: withByte(10, 1) });
  await plantSlot(repository, '6', { credential, id: other });
  await plantSlot(repository, '7', { credential, change: (slot) => slot.subarray(1) });
  await plantSlot(repository, '8', { credential: none, change: withByte(96, 0) });
  await plantSlot(repository, '9', { credential, change: () => new Uint8Array(200_000) });
  await plantSlot(repository, 'b', { credential, change: () => new Uint8Array(0) });

  const slots = await listKeySlots(repository);

  const described = Object.fromEntries(
    slots.map(({ id, kind, found }) => [id[1] === id[2] ? id[0] : 'own', found ?? kind]),
  );
  assert.deepEqual(described, {
    own: 'none',
    1: 'passphrase',
    2: 'unknown kind 2',
    3: 'unknown kind 200',
    4: 'unknown version 2',
    5: 'needs a pepper file',
    6: 'foreign',
    7: 'magic',
    8: 'its commitment does not verify',
    9: 'slot file too large',
    b: 'value passes the end',
  });
  assert.deepEqual(
    slots.filter(({ isInUse }) => isInUse).map(({ id }) => `keys/${id}`),
    [repository.keySlot.name],
  );
});

test('addKey() adds a slot with the same ring, byte for byte', async (t) => {
  const repository = await oldRepository(t);
  const { storage } = repository;

  const id = await addKey(repository, passphrase('new'));

  const opened = await openWith(t, storage, 'new');
  assert.equal(opened?.keySlot.name, `keys/${id}`);
  assert.deepEqual(opened.keySlot.keyRing, repository.keySlot.keyRing);
  assert.ok(await openWith(t, storage, 'old'));
});

test('addKey() keeps what a later version has put into the key ring', async (t) => {
  const { repository } = await memoryRepository(t);
  const text = Buffer.from(repository.keySlot.keyRing).toString();
  const keyRing = Buffer.from(text.replace('"generations"', '"future":1,"generations"'));
  const { storage, id: repositoryId } = repository;
  const salt = seededRandom(8).bytes(32);
  await replaceObject(
    storage,
    repository.keySlot.name,
    await sealKeySlot(none, { repositoryId, salt, keyRing: new Uint8Array(keyRing) }),
  );
  const reopened = (await openWith(t, storage, undefined)) as Repository;

  const id = await addKey(reopened, none);

  await storage.delete(reopened.keySlot.name);
  const last = await openWith(t, storage, undefined);
  assert.equal(last?.keySlot.name, `keys/${id}`);
  assert.deepEqual(Buffer.from(last.keySlot.keyRing), keyRing);
});

test('addKey() takes back a slot that storage has spoilt', async (t) => {
  const { repository } = await memoryRepository(t);
  const names = await namesIn(repository.storage, 'keys/');
  for (const bit of [8 * 40, 8 * 100, 8 * 170]) {
    const write = (_: string, bytes: Uint8Array) => flipBit(bytes, bit);
    const storage = alterStorage(repository.storage, { write });

    await assert.rejects(addKey({ ...repository, storage }, none), CorruptionError);
  }

  assert.deepEqual(await namesIn(repository.storage, 'keys/'), names);
});

test('addKey() and changePassphrase() add nothing when the slot in use was replaced', async (t) => {
  const { repository } = await memoryRepository(t);
  const { storage, keySlot } = repository;
  await plantSlot(repository, '1', { credential: none });
  const bytes = await storage.get(`keys/${'1'.repeat(32)}`);
  await replaceObject(storage, keySlot.name, bytes);
  const names = await namesIn(storage, 'keys/');

  await assert.rejects(addKey(repository, none), BusyError);
  await assert.rejects(changePassphrase(repository, 'new'), BusyError);
  await assert.rejects(removeKey(repository, '1111'), BusyError);
  await storage.delete(keySlot.name);
  await assert.rejects(addKey(repository, none), BusyError);

  assert.deepEqual(
    await namesIn(storage, 'keys/'),
    names.filter((name) => name !== keySlot.name),
  );
});

test('addKey() adds no more slots than are tried', async (t) => {
  const { repository } = await memoryRepository(t);
  for (let count = 1; count < 32; count++) await addKey(repository, none);

  await assert.rejects(addKey(repository, none), StorageError);

  assert.equal((await listKeySlots(repository)).length, 32);
});

test('removeKey() never removes the last slot that this program can open', async (t) => {
  const { repository } = await memoryRepository(t);
  const own = repository.keySlot.name.slice('keys/'.length);
  const other = fromHex('11'.repeat(32)) as RepositoryId;
  const credential = passphrase('x');
  await plantSlot(repository, '2', { credential, change: withByte(9, 2) });
  await plantSlot(repository, '6', { credential, id: other });
  await plantSlot(repository, '7', { credential, change: (slot) => slot.subarray(1) });
  await plantSlot(repository, '8', { credential: none, change: withByte(96, 0) });

  await assert.rejects(
    removeKey(repository, own),
    (error) => error instanceof NotFoundError && error.kind === 'other key slot',
  );
  for (const digit of ['2', '6', '7', '8']) await removeKey(repository, digit.repeat(32));
  await assert.rejects(removeKey(repository, own), NotFoundError);
  await plantSlot(repository, '1', { credential });
  assert.equal((await removeKey(repository, `keys/${own}`)).id, own);

  assert.deepEqual(await namesIn(repository.storage, 'keys/'), [`keys/${'1'.repeat(32)}`]);
});

test('selectKeySlot() takes an id or a unique prefix of four digits', () => {
  const ids = [`aaaa1${'0'.repeat(27)}`, `aaaa2${'0'.repeat(27)}`, 'b'.repeat(32)];
  const slots = ids.map((id) => ({ id, kind: 'none', createdMs: 0, isInUse: false }) as const);

  assert.equal(selectKeySlot(slots, 'bbbb').id, ids[2]);
  assert.equal(selectKeySlot(slots, 'keys/aaaa2').id, ids[1]);
  for (const text of ['', 'bbb', 'aaaa', 'cccc', 'BBBB', 'bbbbx', 'keys/']) {
    assert.throws(() => selectKeySlot(slots, text), NotFoundError, text);
  }
});

test('two clients that remove the slots of each other at once leave one that opens', async (t) => {
  const first = await oldRepository(t);
  await plantSlot(first, 'b', { credential: passphrase('other') });
  const second = (await openWith(t, first.storage, 'other')) as Repository;
  t.after(() => onFailpoint(undefined));
  let waiting: (() => void)[] = [];
  onFailpoint(async (name) => {
    if (name !== 'key.before-delete') return;
    await new Promise<void>((resolve) => {
      waiting.push(resolve);
      if (waiting.length === 2) for (const go of waiting) go();
    });
    waiting = [];
  });

  const ended = await Promise.allSettled([removeKey(first, 'bbbb'), removeKey(second, 'aaaa')]);

  const refused = ended.filter(({ status }) => status === 'rejected');
  for (const result of refused) {
    assert.ok(result.status === 'rejected' && result.reason instanceof BusyError);
  }
  assert.ok(refused.length >= 1);
  const opened = [
    await openWith(t, first.storage, 'old'),
    await openWith(t, first.storage, 'other'),
  ];
  assert.ok(opened.some((repository) => repository !== undefined));
});

test('changePassphrase() replaces the slot in use, again and again, and no other', async (t) => {
  const repository = await oldRepository(t);
  const { storage } = repository;
  await plantSlot(repository, 'b', { credential: passphrase('other') });

  const first = await changePassphrase(repository, 'new');
  const second = await changePassphrase(repository, 'newer');

  assert.equal(first.removedId, 'a'.repeat(32));
  assert.equal(second.removedId, first.id);
  assert.deepEqual(
    (await namesIn(storage, 'keys/')).sort(),
    [`keys/${second.id}`, `keys/${'b'.repeat(32)}`].sort(),
  );
  assert.equal(repository.keySlot.name, `keys/${second.id}`);
  assert.ok(await openWith(t, storage, 'newer'));
  assert.equal(await openWith(t, storage, 'old'), undefined);
});

const isWrite = ({ operation }: StorageCall): boolean =>
  ['put', 'putIfAbsent', 'delete', 'sync'].includes(operation);

/** Which of the two slots is there; the old one opens without a passphrase, which costs nothing. */
async function slotsLeft(
  t: TestContext,
  storage: Storage,
): Promise<{ isOldThere: boolean; isNewThere: boolean }> {
  const isOldThere = (await openWith(t, storage, undefined)) !== undefined;
  const isNewThere = (await namesIn(storage, 'keys/')).length > (isOldThere ? 1 : 0);
  if (!isOldThere) assert.ok(await openWith(t, storage, 'new'), 'no slot opens');
  return { isOldThere, isNewThere };
}

test('changePassphrase() stopped before any write leaves a slot that opens', async (t) => {
  const { storage: prepared } = await memoryRepository(t);
  const error = new StorageStopped('stopped');
  const found: string[] = [];
  for (let at = 0, isDone = false; !isDone; at++) {
    const { storage, crash } = crashableStorage(await copyStorage(prepared));
    const repository = (await openWith(t, storage, undefined)) as Repository;
    const stopped = failStorage(storage, { error, at, isLasting: true, isCounted: isWrite });

    isDone = await changePassphrase({ ...repository, storage: stopped }, 'new').then(
      () => true,
      (reason) => reason !== error,
    );

    const { isOldThere, isNewThere } = await slotsLeft(t, await crash(seededRandom(at)));
    assert.equal(isNewThere, at > 0, `stopped before write ${at}`);
    if (isDone) assert.equal(isOldThere, false);
    found.push(isOldThere ? 'old' : 'new');
  }
  assert.equal(found.length, 4, 'one slot written, one deleted, and that made durable');
  assert.deepEqual(found.slice(0, 2), ['old', 'old']);
});

test('changePassphrase() leaves a slot that opens when the answer to a write is lost', async (t) => {
  const { storage: prepared } = await memoryRepository(t);
  const error = new StorageError('write', 'keys/', 'connection lost');
  for (const at of [0, 1, 2]) {
    const storage = await copyStorage(prepared);
    const repository = (await openWith(t, storage, undefined)) as Repository;
    const failing = failStorage(storage, { error, at, isApplied: true, isCounted: isWrite });

    await assert.rejects(changePassphrase({ ...repository, storage: failing }, 'new'), error);

    assert.deepEqual(await slotsLeft(t, storage), { isOldThere: at === 0, isNewThere: true });
  }
});

for (const point of REPOSITORY_FAILPOINTS.filter((name) => name.startsWith('key.'))) {
  test(`changePassphrase() killed at ${point} leaves a slot that opens`, async (t) => {
    const { repository } = await memoryRepository(t);
    t.after(() => onFailpoint(undefined));
    const killed = new Error('killed');
    onFailpoint((name) => {
      if (name === point) throw killed;
    });

    await assert.rejects(changePassphrase(repository, 'new'), killed);

    assert.deepEqual(await slotsLeft(t, repository.storage), {
      isOldThere: point !== 'key.after-delete',
      isNewThere: point !== 'key.before-add',
    });
  });
}
