/** Threads restore what the calling thread restores. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareTrees } from '../helpers/compare-trees.ts';
import { testSeed } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import {
  inScope,
  newDirectoryStorage,
  openClient,
  restore,
  snapshot,
} from '../helpers/test-repository.ts';
import { materialize, treeArbitrary } from '../helpers/tree-model.ts';

const isRoot = process.geteuid?.() === 0;

test('restoring with threads and without gives the tree that was saved', {
  timeout: 300_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(treeArbitrary, (model) =>
      inScope(async (scope) => {
        const top = tempDir(scope);
        const source = join(top, 'source');
        mkdirSync(source);
        const { fifos } = materialize(source, model);
        const storage = await newDirectoryStorage(scope);
        const taken = await snapshot(await openClient(scope, storage), [source]);

        for (const jobs of [0, 2]) {
          const target = join(top, `target${jobs}`);
          const client = await openClient(scope, storage, { jobs });
          const restored = await restore(client, { ...taken, path: source }, target);

          const reasons = restored.problems.map(
            ({ error }) => (error as { reason?: string }).reason,
          );
          assert.deepEqual(reasons, Array(fifos).fill('special_file'));
          const options = { without: 'p', isOwnerIgnored: !isRoot };
          assert.deepEqual(compareTrees(source, target, options), []);
        }
      }),
    ),
    { seed: testSeed, numRuns: 20 },
  );
});
