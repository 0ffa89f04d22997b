/** Repairs as tests call them, on storages that refuse to delete or replace anything (R09). */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { Storage } from '../../src/storage/storage.ts';
import { toHex } from '../../src/util/bytes.ts';
import { objectNames } from './test-repository.ts';

/** SHA-256 of every object by name. */
export async function objectHashes(storage: Storage): Promise<Map<string, string>> {
  const hashes = new Map<string, string>();
  for (const name of await objectNames(storage)) {
    hashes.set(
      name,
      toHex(
        createHash('sha256')
          .update(await storage.get(name))
          .digest(),
      ),
    );
  }
  return hashes;
}

/** Everything that was there still is, but for the records of sessions that have ended. */
export async function assertKept(
  storage: Storage,
  before: ReadonlyMap<string, string>,
  place = '',
): Promise<void> {
  const after = await objectHashes(storage);
  for (const [name, hash] of before) {
    assert.equal(after.get(name), hash, `${name} ${place}`);
  }
}
