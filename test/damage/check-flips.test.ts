import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { VarveError } from '../../src/errors.ts';
import type { CheckResult } from '../../src/maintain/check.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { compareTrees } from '../helpers/compare-trees.ts';
import { flipBit } from '../helpers/fault-storage.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import {
  check,
  copyStorage,
  inScope,
  newStorage,
  objectNames,
  objects,
  openClient,
  replaceObject,
  restore,
  snapshot,
  type Taken,
} from '../helpers/test-repository.ts';

interface Small {
  readonly storage: Storage;
  /** Home of a client that has a cache of the sound repository. */
  readonly home: string;
  readonly source: string;
  readonly taken: Taken;
}

/** Two snapshots of a small tree: five objects and two packs. */
async function smallRepository(t: TestContext): Promise<Small> {
  const storage = await newStorage();
  const home = tempDir(t);
  const client = await openClient(t, storage, { home });
  const source = join(tempDir(t), 'source');
  mkdirSync(join(source, 'directory'), { recursive: true });
  writeFileSync(join(source, 'directory', 'file'), seededRandom().bytes(3000));
  symlinkSync('file', join(source, 'directory', 'symlink'));
  await snapshot(client, [source]);
  writeFileSync(join(source, 'text'), 'text '.repeat(500));
  const taken = await snapshot(client, [source]);
  await client.repository.close();
  return { storage, home, source, taken };
}

interface Outcome {
  /** Undefined where the repository no longer opens. */
  readonly result: CheckResult | undefined;
  /** What was restored is either whole or reported. */
  readonly isHonest: boolean;
}

/** Opens, checks with all data, and restores the newest snapshot, as a client without memory. */
async function examine({ source, taken }: Small, storage: Storage): Promise<Outcome> {
  let outcome: Outcome | undefined;
  await inScope(async (scope) => {
    try {
      const client = await openClient(scope, storage);
      const result = await check(client, true);
      const target = tempDir(scope);
      const { errorCount } = await restore(client, { ...taken, path: source }, target).catch(
        reported,
      );
      const isWhole = errorCount === 0 && compareTrees(source, target).length === 0;
      outcome = { result, isHonest: isWhole || errorCount > 0 };
    } catch (error) {
      if (!(error instanceof VarveError)) throw error;
      outcome = { result: undefined, isHonest: true };
    }
  });
  assert(outcome !== undefined);
  return outcome;
}

function reported(error: unknown): { errorCount: number } {
  if (!(error instanceof VarveError)) throw error;
  return { errorCount: 1 };
}

test('check({ isReadingData }) finds any changed bit of any object', {
  timeout: 300_000,
}, async (t) => {
  const small = await smallRepository(t);
  const random = seededRandom();
  const sizes = [...(await objects(small.storage))];
  const total = sizes.reduce((sum, [, size]) => sum + size, 0);
  // Every object gets its share, at least some: packs are most of the bytes.
  for (const [name, size] of sizes) {
    const count = Math.max(20, Math.ceil((300 * size) / total));
    for (let i = 0; i < count; i++) {
      const bit = random.below(8 * size);
      const storage = await copyStorage(small.storage);
      await replaceObject(storage, name, flipBit(await storage.get(name), bit));

      const { result, isHonest } = await examine(small, storage);

      const place = `${name} bit ${bit}`;
      assert.equal(isHonest, true, place);
      if (/^(config|keys\/)/.test(name)) assert.equal(result, undefined, place);
      else assert.equal(result?.isDamaged, true, place);
      const named = result?.findings.some(({ object }) => object === name) ?? true;
      assert.equal(named, true, `${place} is not what the findings name`);
    }
  }
});

test('check() finds that an object is gone, cut, empty or another one', {
  timeout: 300_000,
}, async (t) => {
  const small = await smallRepository(t);
  const names = await objectNames(small.storage);
  for (const name of names) {
    const bytes = await small.storage.get(name);
    const folder = name.slice(0, name.indexOf('/') + 1);
    const other = names.find((one) => one !== name && one.startsWith(folder));
    const variants: Record<string, Uint8Array | undefined> = {
      gone: undefined,
      empty: new Uint8Array(0),
      'cut by a byte': bytes.subarray(0, -1),
      'cut in half': bytes.subarray(0, bytes.length / 2),
      'longer by a byte': Uint8Array.from([...bytes, 0]),
      ...(other !== undefined && { another: await small.storage.get(other) }),
    };
    for (const [what, content] of Object.entries(variants)) {
      const storage = await copyStorage(small.storage);
      await storage.delete(name);
      if (content !== undefined) await storage.putIfAbsent(name, content);

      const { result, isHonest } = await examine(small, storage);

      const place = `${name} ${what}`;
      assert.equal(isHonest, true, place);
      // Without a memory of it nobody can know that there was another snapshot.
      if (name.startsWith('snapshots/') && what === 'gone') continue;
      assert.equal(result?.isDamaged ?? true, true, place);
    }
  }
});

test('openRepository() says that a key slot is damaged', async (t) => {
  const { storage } = await smallRepository(t);
  const [name = ''] = await objectNames(storage, 'keys/');
  const slot = await storage.get(name);
  for (let bit = 0; bit < 8 * slot.length; bit += 61) {
    await replaceObject(storage, name, flipBit(slot, bit));

    await assert.rejects(openClient(t, storage), { code: 'WRONG_KEY' }, `bit ${bit}`);
  }

  await replaceObject(storage, name, flipBit(slot, 8 * (slot.length - 1)));
  await assert.rejects(openClient(t, storage), /; keys\/[0-9a-f]{32} is damaged: /);
});

test('check() by the writer finds that its snapshot is gone', async (t) => {
  const { storage, home, taken } = await smallRepository(t);
  await storage.delete(`snapshots/${taken.id}`);
  const client = await openClient(t, storage, { home });

  const { findings } = await check(client);

  assert.deepEqual(
    findings.map(({ kind }) => kind),
    ['repository-rolled-back'],
  );
});

test('check() finds that two packs were swapped', async (t) => {
  const small = await smallRepository(t);
  const { storage } = small;
  const [a = '', b = ''] = await objectNames(storage, 'meta/');
  const [bytesOfA, bytesOfB] = [await storage.get(a), await storage.get(b)];
  await replaceObject(storage, a, bytesOfB);
  await replaceObject(storage, b, bytesOfA);

  const { result, isHonest } = await examine(small, storage);

  assert.equal(isHonest, true);
  const objectsFound = new Set(result?.findings.map(({ object }) => object));
  assert.equal(objectsFound.has(a) && objectsFound.has(b), true);
});
