/** The faults that other tests rely on happen, and only those. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StorageError } from '../../src/errors.ts';
import { createMemoryStorage } from '../../src/storage/memory.ts';
import {
  alterStorage,
  crashableStorage,
  delayStorage,
  failStorage,
  flipBit,
  hideFromListings,
  recordStorage,
  StorageStopped,
  stopStorage,
} from '../helpers/fault-storage.ts';
import { chosenName, dataName } from '../helpers/object-names.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { listNames, testStorageContract } from './storage-contract.ts';

const bytes = Uint8Array.of(1, 2, 3);
const pack = dataName(bytes);

testStorageContract('crashableStorage() without a crash', async () => {
  const { storage } = crashableStorage();
  return async () => storage;
});

test('stopStorage() lets n calls happen and no more', async () => {
  const inner = createMemoryStorage();
  const storage = stopStorage(inner, 1);

  await storage.put(pack, bytes);

  await assert.rejects(storage.putIfAbsent('config', bytes), StorageStopped);
  await assert.rejects(listNames(storage, ''), StorageStopped);
  assert.deepEqual(await listNames(inner, ''), [pack]);
});

test('failStorage() fails the call it is told to, once, for ever, or after the fact', async () => {
  const error = new StorageError('store', 'x', 'planted');
  const run = async (options: { isLasting?: boolean; isApplied?: boolean }): Promise<unknown[]> => {
    const inner = createMemoryStorage();
    const isCounted = ({ operation }: { operation: string }): boolean =>
      operation === 'putIfAbsent';
    const storage = failStorage(inner, { error, at: 1, isCounted, ...options });
    const outcomes: unknown[] = [];
    for (const n of [0, 1, 2]) {
      await storage.stat('config');
      outcomes.push(await storage.putIfAbsent(chosenName('keys', n), bytes).catch(() => 'failed'));
    }
    return [...outcomes, (await listNames(inner, '')).length];
  };

  assert.deepEqual(await run({}), ['created', 'failed', 'created', 2]);
  assert.deepEqual(await run({ isLasting: true }), ['created', 'failed', 'failed', 1]);
  assert.deepEqual(await run({ isApplied: true }), ['created', 'failed', 'created', 3]);
});

test('delayStorage() makes the call after the delay', async () => {
  const order: string[] = [];
  const { storage: recorded, calls } = recordStorage(createMemoryStorage());
  const storage = delayStorage(recorded, async ({ operation }) => {
    assert.deepEqual(calls, []);
    order.push(operation);
  });

  await storage.sync();

  assert.deepEqual([order, calls], [['sync'], ['sync']]);
});

test('alterStorage() tears on the way in and flips on the way out', async () => {
  const inner = createMemoryStorage();
  const tearing = alterStorage(inner, { write: (_name, whole) => whole.subarray(0, 2) });
  await tearing.put(pack, bytes);
  assert.deepEqual(await inner.get(pack), Uint8Array.of(1, 2));

  const flipping = alterStorage(inner, { read: (_name, whole) => flipBit(whole, 9) });
  assert.deepEqual(await flipping.get(pack), Uint8Array.of(1, 0));
  assert.deepEqual(await flipping.getRange(pack, { offset: 1, length: 1 }), Uint8Array.of(2));
  assert.deepEqual(await inner.get(pack), Uint8Array.of(1, 2));
});

test('hideFromListings() hides from listings alone, and can be put on top of others', async () => {
  const { storage: recorded, calls } = recordStorage(createMemoryStorage());
  const storage = hideFromListings(recorded, (name) => name === pack);
  await storage.put(pack, bytes);
  await storage.putIfAbsent('config', bytes);

  assert.deepEqual(await listNames(storage, ''), ['config']);
  assert.deepEqual(await storage.get(pack), bytes);
  assert.deepEqual(calls, [`put ${pack}`, 'putIfAbsent config', 'list', `get ${pack}`]);
});

test('crash() of crashableStorage() keeps what is durable and may lose or restore the rest', async () => {
  const fates = new Set<string>();
  for (let seed = 0; seed < 50; seed++) {
    const { storage, crash } = crashableStorage();
    const synced = Uint8Array.of(9);
    await storage.put(dataName(synced), synced);
    await storage.sync();
    await storage.putIfAbsent('config', bytes);
    await storage.put(pack, bytes);
    await storage.delete(dataName(synced));

    const after = await crash(seededRandom(seed));

    assert.deepEqual(await after.get('config'), bytes);
    fates.add([await after.stat(pack), await after.stat(dataName(synced))].map(Boolean).join());
  }
  assert.deepEqual([...fates].sort(), ['false,false', 'false,true', 'true,false', 'true,true']);
});
