/** The cases of `retention.test.ts`, many more of them. */
import { test } from 'node:test';
import fc from 'fast-check';
import { assertLaws, retentionCase, retentionPolicy } from '../helpers/retention-model.ts';
import { testSeed } from '../helpers/seeded-random.ts';

test('planRetention() keeps what its model keeps, and its laws', () => {
  const seed = testSeed + 1;
  fc.assert(fc.property(retentionCase, retentionPolicy, assertLaws), { numRuns: 60_000, seed });
});
