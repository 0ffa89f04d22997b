/** Whoever reads deltas asks for their bases at once: a storage may be far away. */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { roundsStorage } from '../helpers/fault-storage.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { edited, textOf } from '../helpers/similar-versions.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import {
  type Client,
  check,
  newStorage,
  objectNames,
  openClient,
  restore,
  snapshot,
} from '../helpers/test-repository.ts';

const depth = 3;
/** Three frames, and no chunk that stays the same. */
const size = 2_500_000;
/** A check reads the directory of the pack, and all of it in two pieces. */
const ownReads = 3;
const bulkSize = 4_300_000;
const editCount = 800;

function watch(client: Client): { client: Client; rounds: string[][] } {
  const { repository } = client;
  const { storage, rounds } = roundsStorage(repository.storage);
  return { client: { ...client, repository: { ...repository, storage } }, rounds };
}

test('bases of all deltas are read in one round by snapshot, restore and check', async (t) => {
  const source = join(tempDir(t), 'source');
  mkdirSync(source);
  const storage = await newStorage();
  const client = await openClient(t, storage);
  let content = textOf(1, size);
  // A session with this much data has a pack for it alone.
  writeFileSync(join(source, 'bulk'), seededRandom(2).bytes(bulkSize));
  for (let version = 0; version < depth; version++) {
    writeFileSync(join(source, 'file'), content);
    await snapshot(client, [source]);
    rmSync(join(source, 'bulk'), { force: true });
    content = edited(content, 10 * version, editCount);
    // The last chunk may be a short one.
    content.set(textOf(version, 9), size - 9);
  }
  const [first = '', ...more] = await objectNames(storage, 'data/');
  assert.deepEqual(more, [], 'where the whole chunks are');

  writeFileSync(join(source, 'file'), content);
  const saving = watch(client);
  const taken = await snapshot(saving.client, [source]);
  const restoring = watch(client);
  await restore(restoring.client, { ...taken, path: source }, join(tempDir(t), 'target'));
  const checking = watch(client);
  const { findings } = await check(checking.client, true);

  assert.deepEqual(findings, []);
  const baseRounds = [saving, restoring, checking].map(({ rounds }) =>
    rounds.filter((names) => names.includes(first)),
  );
  // Snapshot and restore read the first pack for its bases alone, a check for itself too.
  assert.deepEqual(
    baseRounds.map(({ length }) => length),
    [1, 1, 1 + ownReads],
  );
  for (const [names] of baseRounds.slice(0, 2)) {
    assert.equal(new Set(names).size, depth, 'packs of the chains');
  }
});
