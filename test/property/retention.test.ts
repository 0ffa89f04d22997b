/** Retention against its model and its laws, on random lists of snapshots and random policies. */
import { test } from 'node:test';
import fc from 'fast-check';
import { assertLaws, retentionCase, retentionPolicy } from '../helpers/retention-model.ts';
import { testSeed as seed } from '../helpers/seeded-random.ts';

test('planRetention() keeps what its model keeps, and its laws', () => {
  fc.assert(fc.property(retentionCase, retentionPolicy, assertLaws), { numRuns: 3000, seed });
});
