/** `check` on objects of every kind, each flipped, cut, gone, or replaced: findings, never exceptions. */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { StorageError } from '../../src/errors.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { checkAsNewClient, everyKindOfObject } from '../helpers/every-kind.ts';
import { flipBit } from '../helpers/fault-storage.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import {
  copyStorage,
  newDirectoryStorage,
  objectNames,
  replaceObject,
} from '../helpers/test-repository.ts';

const KINDS = /^(config|config\.d|keys|data|meta|index|sessions|snapshots|tombs|gc)(\/|$)/;

test('check() finds nothing worse than notes in a repository with objects of every kind', async (t) => {
  const storage = await everyKindOfObject(t);

  const result = await checkAsNewClient(storage);

  assert.deepEqual(result?.findings, []);
  const kinds = new Set((await objectNames(storage)).map((name) => KINDS.exec(name)?.[1]));
  assert.equal(kinds.size, 9, 'all but data packs, which small repositories have none of');
});

test('check() names whatever object has a flipped bit', { timeout: 300_000 }, async (t) => {
  const sound = await everyKindOfObject(t);
  const random = seededRandom();
  for (const name of await objectNames(sound)) {
    const bytes = await sound.get(name);
    for (let i = 0; i < 12; i++) {
      const bit = random.below(8 * bytes.length);
      const storage = await copyStorage(sound);
      await replaceObject(storage, name, flipBit(bytes, bit));

      const result = await checkAsNewClient(storage);

      assertNamed(result, name, `${name} bit ${bit}`);
    }
  }
});

test('check() ends with findings whatever became of an object', { timeout: 300_000 }, async (t) => {
  const sound = await everyKindOfObject(t);
  const random = seededRandom();
  const names = await objectNames(sound);
  for (const name of names) {
    const bytes = await sound.get(name);
    const other = await sound.get(names[random.below(names.length)] as string);
    const variants: [string, Uint8Array | undefined][] = [
      ['gone', undefined],
      ['empty', new Uint8Array(0)],
      ['cut', bytes.subarray(0, random.below(bytes.length))],
      ['longer', Uint8Array.from([...bytes, ...random.bytes(4096)])],
      ['zeros', new Uint8Array(bytes.length)],
      ['junk', random.bytes(1 + random.below(2 * bytes.length))],
      ['another', other],
    ];
    for (const [what, content] of variants) {
      const storage = await copyStorage(sound);
      await storage.delete(name);
      if (content !== undefined) await storage.putIfAbsent(name, content);

      const result = await checkAsNewClient(storage);

      const isSame = content !== undefined && Buffer.compare(content, bytes) === 0;
      if (what !== 'gone' && !isSame) assertNamed(result, name, `${name} ${what}`);
    }
  }
});

test('check() ends with findings where a directory stands for an object', {
  timeout: 300_000,
}, async (t) => {
  const sound = await everyKindOfObject(t);
  for (const name of await objectNames(sound)) {
    for (const what of ['directory', 'full directory']) {
      const storage = await onDisk(t, sound, name);
      if (what === 'full directory') writeFileSync(join(storage.location, name, 'file'), 'x');

      try {
        const result = await checkAsNewClient(storage);
        const isNoted = result?.findings.some(({ kind }) => kind === 'foreign-file') ?? true;
        assert.equal(isNoted, what === 'full directory' || result === undefined, name);
      } catch (error) {
        assert(error instanceof StorageError, `${name}: ${error}`);
      }
    }
  }
});

/** The same objects as files, but a directory where `name` should be. */
async function onDisk(t: TestContext, sound: Storage, name: string): Promise<Storage> {
  const storage = await newDirectoryStorage(t);
  rmSync(storage.location, { recursive: true });
  for (const each of await objectNames(sound)) {
    const path = join(storage.location, each);
    mkdirSync(join(path, '..'), { recursive: true });
    if (each !== name) writeFileSync(path, await sound.get(each));
    else mkdirSync(path);
  }
  return storage;
}

function assertNamed(
  result: Awaited<ReturnType<typeof checkAsNewClient>>,
  name: string,
  place: string,
): void {
  if (result === undefined) {
    assert.match(name, /^(config|config\.d\/00000002|keys\/.*)$/, place);
    return;
  }
  const isNamed = result.findings.some(({ object }) => object === name);
  // A slot that only its passphrase opens may hide a flip in what is sealed.
  if (!isNamed) assert.match(name, /^keys\//, place);
  for (const { severity, message } of result.findings) {
    assert.ok(['damage', 'note'].includes(severity) && message !== '', place);
  }
}
