/** Every single bit of a small repository that has objects of every kind, one at a time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { everyKindOfObject } from '../helpers/every-kind.ts';
import { flipBit } from '../helpers/fault-storage.ts';
import {
  check,
  copyStorage,
  objects,
  openClient,
  replaceObject,
} from '../helpers/test-repository.ts';

test('check({ isReadingData }) names whatever object has a flipped bit', async (t) => {
  const sound = await everyKindOfObject(t);
  const storage = await copyStorage(sound);
  // One client for all: what it remembers of damage must not keep it from finding the next.
  const client = await openClient(t, storage);
  let flips = 0;
  for (const [name, size] of await objects(sound)) {
    // These are read when a repository is opened, and have tests of their own.
    if (/^(config$|keys\/)/.test(name)) continue;
    const bytes = await sound.get(name);
    for (let bit = 0; bit < 8 * size; bit++) {
      await replaceObject(storage, name, flipBit(bytes, bit));
      const { findings } = await check(client, true);
      const isNamed = findings.some(({ object }) => object === name);
      assert.ok(isNamed, `${name} bit ${bit}: ${findings.map(({ message }) => message)}`);
      flips += 1;
    }
    await replaceObject(storage, name, bytes);
  }
  const { findings } = await check(client, true);
  assert.deepEqual(findings, []);
  t.diagnostic(`${flips} flips`);
});
