/** The suite every storage backend passes: what `Storage` promises, nothing of one backend. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { CorruptionError, NotFoundError } from '../../src/errors.ts';
import type { ListedObject, Storage } from '../../src/storage/storage.ts';
import { chosenName, dataName } from '../helpers/object-names.ts';
import { seededRandom } from '../helpers/seeded-random.ts';

/** Makes a new place; each call of the result opens that place once more. */
export type MakePlace = (t: TestContext) => Promise<() => Promise<Storage>>;

const RACER_COUNT = 20;
const ROUND_COUNT = 25;

export async function listAll(storage: Storage, prefix: string): Promise<ListedObject[]> {
  const objects: ListedObject[] = [];
  for await (const object of storage.list(prefix)) objects.push(object);
  return objects.sort((a, b) => (a.name < b.name ? -1 : 1));
}

export async function listNames(storage: Storage, prefix: string): Promise<string[]> {
  return (await listAll(storage, prefix)).map(({ name }) => name);
}

export function testStorageContract(backend: string, makePlace: MakePlace): void {
  const testWith = (
    name: string,
    run: (storage: Storage, reopen: () => Promise<Storage>) => Promise<void>,
  ): void => {
    test(`${backend}: ${name}`, async (t) => {
      const open = await makePlace(t);
      const storage = await open();
      await run(storage, open);
      await storage.close();
    });
  };
  testReading(testWith);
  testWriting(testWith);
  testListing(testWith);
  testMisuse(testWith);
}

type TestWith = (
  name: string,
  run: (storage: Storage, reopen: () => Promise<Storage>) => Promise<void>,
) => void;

function testReading(testWith: TestWith): void {
  testWith('get() gives the bytes that were put, also when opened again', async (storage, open) => {
    const random = seededRandom();
    const contents = [0, 1, 511, 4096, 100_001].map((size) => random.bytes(size));

    for (const bytes of contents) await storage.put(dataName(bytes), bytes);
    await storage.sync();

    for (const reader of [storage, await open()]) {
      for (const bytes of contents) assert.deepEqual(await reader.get(dataName(bytes)), bytes);
    }
  });

  testWith('get() does not share memory with what was put or got before', async (storage) => {
    const bytes = Uint8Array.of(1, 2, 3);
    await storage.putIfAbsent('config', bytes);

    bytes.fill(9);
    (await storage.get('config')).fill(8);

    assert.deepEqual(await storage.get('config'), Uint8Array.of(1, 2, 3));
  });

  testWith('get() refuses an object above sizeMax', async (storage) => {
    await storage.putIfAbsent('config', new Uint8Array(10));

    assert.equal((await storage.get('config', { sizeMax: 10 })).length, 10);
    await assert.rejects(storage.get('config', { sizeMax: 9 }), CorruptionError);
  });

  testWith('getRange() gives exactly the range', async (storage) => {
    const bytes = seededRandom().bytes(5000);
    const name = dataName(bytes);
    await storage.put(name, bytes);

    for (const [offset, length] of [
      [0, 5000],
      [0, 1],
      [4999, 1],
      [1234, 2345],
      [0, 0],
      [5000, 0],
    ] as const) {
      const found = await storage.getRange(name, { offset, length });
      assert.deepEqual(found, bytes.slice(offset, offset + length));
    }
  });

  testWith('getRange() into memory of the caller gives exactly the range', async (storage) => {
    const bytes = seededRandom().bytes(1000);
    const name = dataName(bytes);
    await storage.put(name, bytes);
    const into = new Uint8Array(200).fill(7);

    const found = await storage.getRange(name, { offset: 100, length: 150 }, { into });

    assert.deepEqual(found, bytes.slice(100, 250));
    assert.deepEqual(into.slice(150), new Uint8Array(50).fill(7));
  });

  testWith('getRange() beyond the end is CorruptionError', async (storage) => {
    const bytes = seededRandom().bytes(100);
    const name = dataName(bytes);
    await storage.put(name, bytes);

    for (const [offset, length] of [
      [0, 101],
      [99, 2],
      [100, 1],
      [101, 0],
      [2 ** 40, 1],
    ] as const) {
      await assert.rejects(storage.getRange(name, { offset, length }), CorruptionError);
    }
  });

  testWith(
    'an object that is not there is NotFoundError, undefined for stat()',
    async (storage) => {
      const name = dataName(new Uint8Array(3));

      await assert.rejects(storage.get(name), NotFoundError);
      await assert.rejects(storage.getRange(name, { offset: 0, length: 0 }), NotFoundError);
      await assert.rejects(storage.adopt(name), NotFoundError);
      assert.equal(await storage.stat(name), undefined);
    },
  );

  testWith('stat() gives size and time of writing', async (storage) => {
    await storage.putIfAbsent('config', new Uint8Array(77));
    await storage.putIfAbsent(chosenName('probe', 1), new Uint8Array(0));

    const config = await storage.stat('config');
    const probe = await storage.stat(chosenName('probe', 1));

    assert.equal(config?.size, 77);
    assert.equal(probe?.size, 0);
    assert.ok(Number.isSafeInteger(config.modifiedMs));
    assert.ok(config.modifiedMs <= probe.modifiedMs);
  });
}

function testWriting(testWith: TestWith): void {
  testWith('put() on an existing name succeeds and leaves the content', async (storage) => {
    const bytes = seededRandom().bytes(50);
    const name = dataName(bytes);
    await storage.put(name, bytes);

    await storage.put(name, new Uint8Array(50));

    assert.deepEqual(await storage.get(name), bytes);
  });

  testWith('put() finds an existing object of another size damaged', async (storage) => {
    const bytes = seededRandom().bytes(50);
    const name = dataName(bytes);
    await storage.put(name, bytes.subarray(0, 49));

    await assert.rejects(storage.put(name, bytes), CorruptionError);
  });

  testWith('put() stores equal objects that are put at the same time', async (storage, open) => {
    const writers = [storage, await open()];
    const bytes = seededRandom().bytes(3000);

    const puts = Array.from({ length: 10 }, (_, i) =>
      (writers[i % 2] as Storage).put(dataName(bytes), bytes),
    );
    await Promise.all(puts);

    assert.deepEqual(await storage.get(dataName(bytes)), bytes);
  });

  testWith('putIfAbsent() keeps the first content', async (storage) => {
    assert.equal(await storage.putIfAbsent('config', Uint8Array.of(1)), 'created');
    assert.equal(await storage.putIfAbsent('config', Uint8Array.of(2, 2)), 'exists');

    assert.deepEqual(await storage.get('config'), Uint8Array.of(1));
  });

  testWith('putIfAbsent() has exactly one winner among racers', async (storage, open) => {
    const writers = [storage, await open(), await open()];

    for (let round = 0; round < ROUND_COUNT; round++) {
      const name = chosenName('snapshots', round);
      const race = Array.from({ length: RACER_COUNT }, (_, i) =>
        (writers[i % writers.length] as Storage).putIfAbsent(name, Uint8Array.of(i, round)),
      );
      const outcomes = await Promise.all(race);

      const winner = outcomes.indexOf('created');
      assert.equal(outcomes.filter((outcome) => outcome === 'created').length, 1);
      assert.deepEqual(await storage.get(name), Uint8Array.of(winner, round));
    }
  });

  testWith('delete() removes an object, and succeeds without one', async (storage) => {
    await storage.putIfAbsent('config', Uint8Array.of(1));

    await storage.delete('config');
    await storage.delete('config');
    await storage.sync();

    assert.equal(await storage.stat('config'), undefined);
    assert.deepEqual(await listAll(storage, ''), []);
    assert.equal(await storage.putIfAbsent('config', Uint8Array.of(2)), 'created');
  });

  testWith('adopt() takes an object of another writer', async (storage, open) => {
    const bytes = seededRandom().bytes(10);
    await (await open()).put(dataName(bytes), bytes);

    await storage.adopt(dataName(bytes));
    await storage.sync();

    assert.deepEqual(await storage.get(dataName(bytes)), bytes);
  });

  testWith('sync() covers every put acknowledged before, whoever else syncs', async (storage) => {
    const random = seededRandom();
    const contents = Array.from({ length: 30 }, () => random.bytes(100));

    await Promise.all(
      contents.map(async (bytes) => {
        await storage.put(dataName(bytes), bytes);
        await storage.sync();
      }),
    );

    assert.equal((await listNames(storage, 'data/')).length, 30);
  });

  testWith(
    'a call with an aborted signal throws its reason and stores nothing',
    async (storage) => {
      const signal = AbortSignal.abort(new Error('enough'));
      const bytes = Uint8Array.of(1);
      const isReason = (error: unknown): boolean => error === signal.reason;

      await assert.rejects(storage.put(dataName(bytes), bytes, { signal }), isReason);
      await assert.rejects(storage.putIfAbsent('config', bytes, { signal }), isReason);
      await storage.putIfAbsent(chosenName('keys', 1), bytes);
      await assert.rejects(storage.get(chosenName('keys', 1), { signal }), isReason);
      await assert.rejects(storage.delete(chosenName('keys', 1), { signal }), isReason);
      await assert.rejects(async () => {
        for await (const _ of storage.list('', { signal }));
      }, isReason);

      assert.deepEqual(await listNames(storage, ''), [chosenName('keys', 1)]);
      assert.deepEqual(await listNames(storage, 'tmp/'), []);
    },
  );
}

function testListing(testWith: TestWith): void {
  testWith('list() of a place where nothing was put is empty', async (storage) => {
    for (const prefix of ['', 'data/', 'data/ab/', 'snapshots/', 'tmp/']) {
      assert.deepEqual(await listAll(storage, prefix), []);
    }
  });

  testWith('list() gives what lies below the prefix, with sizes', async (storage) => {
    const bytes = seededRandom().bytes(33);
    const data = dataName(bytes);
    await storage.put(data, bytes);
    await storage.put(data.replace('data', 'meta'), bytes);
    await storage.putIfAbsent('config', new Uint8Array(5));
    await storage.putIfAbsent('config.d/00000001', new Uint8Array(6));
    await storage.putIfAbsent(chosenName('sessions', 1), new Uint8Array(7));

    const sizes = async (prefix: string): Promise<[string, number][]> =>
      (await listAll(storage, prefix)).map(({ name, size }) => [name, size]);

    assert.deepEqual(await sizes('data/'), [[data, 33]]);
    assert.deepEqual(await sizes(data.slice(0, 8)), [[data, 33]]);
    assert.deepEqual(await sizes('config.d/'), [['config.d/00000001', 6]]);
    assert.deepEqual(await listNames(storage, ''), [
      'config',
      'config.d/00000001',
      data,
      data.replace('data', 'meta'),
      chosenName('sessions', 1),
    ]);
  });

  testWith('list() gives more than a thousand objects', async (storage) => {
    const names = Array.from({ length: 1100 }, (_, i) => dataName(Uint8Array.of(i >> 8, i)));
    for (let i = 0; i < names.length; i += 50) {
      const batch = names.slice(i, i + 50);
      await Promise.all(batch.map((name) => storage.put(name, new Uint8Array(1))));
    }

    assert.deepEqual(await listNames(storage, 'data/'), names.sort());
  });

  testWith(
    'list() shows everything acknowledged before, whatever is put meanwhile',
    async (storage) => {
      const name = (i: number): string => dataName(Uint8Array.of(i));
      for (let i = 0; i < 40; i++) await storage.put(name(i), new Uint8Array(1));

      const listed = new Set<string>();
      let next = 40;
      for await (const object of storage.list('data/')) {
        listed.add(object.name);
        if (next < 80) await storage.put(name(next++), new Uint8Array(1));
      }

      for (let i = 0; i < 40; i++) assert.ok(listed.has(name(i)));
    },
  );
}

function testMisuse(testWith: TestWith): void {
  const hash = 'ab'.repeat(32);

  testWith('every call refuses a name that is none', async (storage) => {
    const names = [
      '',
      '.',
      '..',
      '/',
      '/config',
      'config/',
      'Config',
      'config\0',
      'config\n',
      '../config',
      './config',
      `data/${hash}`,
      `data/cd/${hash}`,
      `data/ab/${hash.toUpperCase()}`,
      `data/ab/${hash}0`,
      `data//${hash}`,
      `data/ab/../ab/${hash}`,
      `index/4-${hash}`,
      `tombs/${hash} `,
      'snapshots/ä',
      'keys/ａａａａａａａａａａａａａａａａａａａａａａａａａａａａａａａａ',
      'gc/0000000000000001.stop',
      'unknown',
      'tmp/x',
    ];
    for (const name of names) {
      await assert.rejects(storage.put(name, new Uint8Array(1)), TypeError, name);
      await assert.rejects(storage.putIfAbsent(name, new Uint8Array(1)), TypeError, name);
      await assert.rejects(storage.get(name), TypeError, name);
      await assert.rejects(storage.getRange(name, { offset: 0, length: 0 }), TypeError, name);
      await assert.rejects(storage.stat(name), TypeError, name);
      await assert.rejects(storage.delete(name), TypeError, name);
      await assert.rejects(storage.adopt(name), TypeError, name);
    }
  });

  testWith('every shape of name can be stored', async (storage) => {
    const sid = '0123456789abcdef'.repeat(2);
    const names = [
      'config',
      'config.d/0000000a',
      `keys/${sid}`,
      `data/ab/${hash}`,
      `meta/ab/${hash}`,
      `index/0-${hash}`,
      `index/3-${hash}`,
      `sessions/${sid}`,
      `sessions/${sid}.h00000f`,
      `snapshots/${sid}`,
      `tombs/${hash}`,
      'gc/0000000000000001.mark',
      'gc/0000000000000001.sweep',
      'gc/0000000000000001.done',
      'gc/0000000000000001.merged',
      `parity/ab/${hash}`,
      `probe/${sid}`,
    ];
    for (const name of names)
      assert.equal(await storage.putIfAbsent(name, Uint8Array.of(1)), 'created');

    assert.deepEqual(await listNames(storage, ''), names.sort());
  });

  testWith('put() refuses a chosen name, since it would not notice losing it', async (storage) => {
    await assert.rejects(storage.put(chosenName('snapshots', 1), new Uint8Array(1)), TypeError);
  });

  testWith('list() refuses what is no prefix', async (storage) => {
    for (const prefix of ['data', '/', 'data/a', 'data/ab', '../', 'other/', 'config']) {
      await assert.rejects(async () => await listAll(storage, prefix), TypeError, prefix);
    }
  });

  testWith('getRange() refuses a range that is none', async (storage) => {
    for (const [offset, length] of [
      [-1, 1],
      [0, -1],
      [0.5, 1],
      [0, Number.NaN],
      [2 ** 53, 1],
    ] as const) {
      await assert.rejects(storage.getRange('config', { offset, length }), RangeError);
    }
  });
}
