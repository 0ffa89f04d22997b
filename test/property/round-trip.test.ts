import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { toHex } from '../../src/util/bytes.ts';
import { compareTrees } from '../helpers/compare-trees.ts';
import { seededRandom, testSeed } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import {
  check,
  inScope,
  list,
  newClient,
  objectNames,
  restore,
  snapshot,
  sourceFs,
} from '../helpers/test-repository.ts';
import { materialize, treeArbitrary } from '../helpers/tree-model.ts';

const isRoot = process.geteuid?.() === 0;

test('restoring a snapshot gives the tree that was saved', { timeout: 300_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(treeArbitrary, (model) =>
      inScope(async (scope) => {
        const [source, target] = ['source', 'target'].map((name) => join(tempDir(scope), name));
        mkdirSync(source as string);
        const { fifos } = materialize(source as string, model);
        const client = await newClient(scope);

        const taken = await snapshot(client, [source as string]);
        const restored = await restore(
          client,
          { ...taken, path: source as string },
          target as string,
        );

        assert.deepEqual(taken.errors, []);
        const reasons = restored.problems.map(({ error }) => (error as { reason?: string }).reason);
        assert.deepEqual(reasons, Array(fifos).fill('special_file'));
        const options = { without: 'p', isOwnerIgnored: !isRoot };
        assert.deepEqual(compareTrees(source as string, target as string, options), []);
        const listed = await list(client, { ...taken, path: source as string });
        assert.equal(
          listed.length,
          Number(taken.snapshot.manifest.root.entries) - depthOf(source as string),
        );
        assert.deepEqual((await check(client, true)).findings, []);
      }),
    ),
    { seed: testSeed, numRuns: 60 },
  );
});

test('saving an unchanged tree again stores nothing, in any order of listing', {
  timeout: 300_000,
}, async () => {
  const random = seededRandom();
  const shuffled = {
    ...sourceFs,
    list: (directory: Parameters<typeof sourceFs.list>[0]) => {
      const names = sourceFs.list(directory);
      for (let i = names.length - 1; i > 0; i--) {
        const j = random.below(i + 1);
        [names[i], names[j]] = [names[j] as string, names[i] as string];
      }
      return names;
    },
  };
  await fc.assert(
    fc.asyncProperty(treeArbitrary, (model) =>
      inScope(async (scope) => {
        const source = tempDir(scope);
        materialize(source, model);
        const client = await newClient(scope);
        const { storage } = client.repository;

        const first = await snapshot(client, [source]);
        const before = await objectNames(storage);
        const second = await snapshot(client, [source], { fs: shuffled });
        const after = await objectNames(storage);

        assert.equal(
          toHex(second.snapshot.manifest.root.id),
          toHex(first.snapshot.manifest.root.id),
        );
        assert.equal(second.newBlobs, 0);
        assert.deepEqual(
          after.filter((name) => !before.includes(name)),
          [`snapshots/${second.id}`],
        );
      }),
    ),
    { seed: testSeed, numRuns: 20 },
  );
});

/** The source and the directories above it, which are entries too. */
function depthOf(path: string): number {
  return path.split('/').length - 1;
}
