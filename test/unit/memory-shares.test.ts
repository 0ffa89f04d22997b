import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  shareForCheck,
  shareForRestore,
  shareForSnapshot,
} from '../../src/repository/memory-shares.ts';

const mebibyte = 2 ** 20;
const packTarget = 64 * mebibyte;

test('two cores with the memory they have by default', () => {
  const options = { jobs: 3, memory: 512 * mebibyte };
  const snapshot = { workerCount: 3, dataTarget: 16 * mebibyte };
  assert.deepEqual(shareForSnapshot({ ...options, packTarget }), snapshot);
  assert.equal(shareForRestore(options), 3);
  assert.equal(shareForCheck(options), 3);
});

test('packs become smaller before there are fewer workers', () => {
  const of = (megabytes: number) =>
    shareForSnapshot({ jobs: 3, memory: megabytes * mebibyte, packTarget });
  assert.deepEqual(of(2048), { workerCount: 3, dataTarget: packTarget });
  assert.deepEqual(of(640), { workerCount: 3, dataTarget: 32 * mebibyte });
  assert.deepEqual(of(400), { workerCount: 2, dataTarget: 16 * mebibyte });
  assert.deepEqual(of(1), { workerCount: 1, dataTarget: 16 * mebibyte });
});

test('more memory means neither fewer workers nor smaller packs; never more than asked for', () => {
  const megabytes = fc.integer({ min: 1, max: 8192 });
  fc.assert(
    fc.property(fc.nat(64), megabytes, megabytes, (jobs, a, b) => {
      const less = { jobs, memory: Math.min(a, b) * mebibyte };
      const more = { jobs, memory: Math.max(a, b) * mebibyte };
      const [first, second] = [less, more].map((one) => shareForSnapshot({ ...one, packTarget }));
      assert.ok(first !== undefined && second !== undefined);
      assert.ok(first.workerCount >= 1 && first.workerCount <= second.workerCount);
      assert.ok(second.workerCount <= Math.max(1, jobs));
      assert.ok(first.dataTarget <= second.dataTarget && second.dataTarget <= packTarget);
      for (const share of [shareForRestore, shareForCheck]) {
        assert.ok(share(less) >= 1 && share(less) <= share(more));
        assert.ok(share(more) <= Math.max(1, jobs));
      }
    }),
  );
});
