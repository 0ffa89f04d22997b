import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RingCache, type RingValue } from '../../src/util/ring-cache.ts';

const ringSize = 100;

test('what is found is what was put there last, whole', () => {
  const step = fc.record({ key: fc.nat(9), size: fc.integer({ min: 1, max: 130 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const ring = new RingCache<number, RingValue>(ringSize);
      const written = new Map<number, { size: number; mark: number }>();
      steps.forEach(({ key, size }, i) => {
        const mark = (i % 255) + 1;
        const bytes = ring.take(size).fill(mark);
        ring.set(key, { bytes });
        written.set(key, { size, mark });
        let sizeInAll = 0;
        for (const [known, last] of written) {
          const found = ring.get(known)?.bytes;
          if (found === undefined) continue;
          sizeInAll += found.length;
          assert.equal(found.length, last.size);
          assert.ok(found.every((byte) => byte === last.mark));
        }
        assert.ok(sizeInAll <= ringSize);
        assert.equal(ring.get(key) !== undefined, size <= ringSize, 'the latest is kept');
      });
    }),
  );
});

test('the oldest goes first, and no more of them than need be', () => {
  const ring = new RingCache<string, RingValue>(ringSize);
  for (const key of ['a', 'b', 'c']) ring.set(key, { bytes: ring.take(30) });
  ring.set('d', { bytes: ring.take(20) });
  const isKept = ['a', 'b', 'c', 'd'].map((key) => ring.get(key) !== undefined);
  assert.deepEqual(isKept, [false, true, true, true]);
});
