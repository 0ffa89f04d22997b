/** Data whose versions resemble each other, and a repository with snapshots of it. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Storage } from '../../src/storage/storage.ts';
import { concatBytes } from '../../src/util/bytes.ts';
import { seededRandom } from './seeded-random.ts';
import { tempDir } from './temp-dir.ts';
import {
  newDirectoryStorage,
  objectNames,
  openClient,
  type Scope,
  snapshot,
  type Taken,
} from './test-repository.ts';

/** Letters: they compress, and no two texts resemble each other. */
export function textOf(salt: number, size: number): Uint8Array {
  return seededRandom(salt)
    .bytes(size)
    .map((byte) => 97 + (byte & 15));
}

/** Some bytes replaced, without a shift. */
export function edited(content: Uint8Array, salt: number, count = 1): Uint8Array {
  const random = seededRandom(salt);
  const result = content.slice();
  for (let i = 0; i < count; i++) {
    result.set(textOf(salt + i, 9), random.below(content.length - 9));
  }
  return result;
}

/** Some bytes put in, so that the rest moves. */
export function inserted(content: Uint8Array, salt: number): Uint8Array {
  const at = seededRandom(salt).below(content.length);
  return concatBytes(content.subarray(0, at), textOf(salt, 100), content.subarray(at));
}

/** Snapshots of one file that changes, beside others. */
export interface VersionedRepository {
  readonly storage: Storage;
  readonly source: string;
  /** Of the file `changing`: each kept as a delta on the one before, but for the first. */
  readonly versions: readonly Uint8Array[];
  readonly taken: readonly Taken[];
  /** Where the first version lies, and with it the file `bulk`, which never changes. */
  readonly pack: string;
}

const bulk = seededRandom(2).bytes(4_300_000);

/** Three snapshots. The file `fresh` is new in each but the first. */
export async function newVersionedRepository(scope: Scope): Promise<VersionedRepository> {
  const source = join(tempDir(scope), 'source');
  mkdirSync(source);
  const storage = await newDirectoryStorage(scope);
  const client = await openClient(scope, storage);
  // A session with this much data puts it into a pack apart from its tree.
  writeFileSync(join(source, 'bulk'), bulk);
  let content = textOf(1, 12_000);
  const versions: Uint8Array[] = [];
  const taken: Taken[] = [];
  for (let i = 0; i < 3; i++) {
    writeFileSync(join(source, 'changing'), content);
    if (i > 0) writeFileSync(join(source, 'fresh'), freshContent(i));
    taken.push(await snapshot(client, [source]));
    versions.push(content);
    content = edited(content, 10 + i);
  }
  assert.deepEqual(
    taken.map(({ deltaBlobs }) => deltaBlobs),
    [0, 1, 1],
  );
  const [pack = ''] = await objectNames(storage, 'data/');
  return { storage, source, versions, taken, pack };
}

/** The file `fresh` of snapshot `i`. */
export function freshContent(i: number): Uint8Array {
  return textOf(100 + i, 5000);
}
