/** Rule DECODE against its meaning said another way, on random graphs of copies. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type Copy,
  decodableBlobs,
  deleteList,
  keepsDecodable,
} from '../../src/protocol/decode-rule.ts';
import { testSeed } from '../helpers/seeded-random.ts';

const BLOBS = 5;
const PACKS = 4;

type TestCopy = Copy<number, number>;

const copyOf: fc.Arbitrary<TestCopy> = fc.record({
  blob: fc.nat(BLOBS - 1),
  pack: fc.nat(PACKS - 1),
  base: fc.option(fc.nat(BLOBS - 1), { nil: undefined }),
});
const copiesOf = fc.array(copyOf, { maxLength: 10 });
const run = { seed: testSeed, numRuns: 400 };

/** Deltas on the shortest way from a blob to a whole copy, found by trying every way. */
function shortestWay(blob: number, copies: readonly TestCopy[], path: readonly number[]): number {
  if (path.includes(blob)) return Number.POSITIVE_INFINITY;
  const ways = copies
    .filter((copy) => copy.blob === blob)
    .map(({ base }) => (base === undefined ? 0 : 1 + shortestWay(base, copies, [...path, blob])));
  return Math.min(Number.POSITIVE_INFINITY, ...ways);
}

function withoutPacks(copies: readonly TestCopy[], gone: ReadonlySet<number>): TestCopy[] {
  return copies.filter(({ pack }) => !gone.has(pack));
}

function ordersOf<T>(items: readonly T[]): T[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((first, i) =>
    ordersOf([...items.slice(0, i), ...items.slice(i + 1)]).map((rest) => [first, ...rest]),
  );
}

function subsetsOf<T>(items: readonly T[]): Set<T>[] {
  return Array.from(
    { length: 2 ** items.length },
    (_, bits) => new Set(items.filter((_, i) => (bits >> i) & 1)),
  );
}

function keyOf(set: ReadonlySet<number>): string {
  return [...set].sort().join();
}

test('decodableBlobs() gives the shortest way down to a whole copy', () => {
  fc.assert(
    fc.property(copiesOf, (copies) => {
      const found = decodableBlobs(copies);

      for (let blob = 0; blob < BLOBS; blob++) {
        const length = shortestWay(blob, copies, []);
        assert.equal(found.get(blob) ?? Number.POSITIVE_INFINITY, length);
      }
    }),
    run,
  );
});

test('decodableBlobs() decodes a chain of 32 deltas, and none of 33', () => {
  const copies = Array.from({ length: 40 }, (_, blob) => ({
    blob,
    base: blob === 0 ? undefined : blob - 1,
  }));

  assert.deepEqual(
    [...decodableBlobs(copies.reverse()).keys()].sort((a, b) => a - b),
    [...Array(33).keys()],
  );
});

test('decodableBlobs() takes two deltas on each other for lost', () => {
  const circle = [
    { blob: 'x', base: 'd' },
    { blob: 'd', base: 'x' },
  ];

  assert.equal(decodableBlobs(circle).size, 0);
});

const task = fc.record({
  copies: copiesOf,
  live: fc.subarray([...Array(BLOBS).keys()]),
  condemned: fc.subarray([...Array(PACKS).keys()]),
});

test('deleteList() keeps every live blob, and so does every part of it', () => {
  fc.assert(
    fc.property(task, ({ copies, live, condemned }) => {
      const list = deleteList({ condemned, copies, live });

      if (list === undefined) {
        assert.equal(keepsDecodable(copies, live), false);
        return;
      }
      for (const part of subsetsOf([...list])) {
        assert.ok(keepsDecodable(withoutPacks(copies, part), live));
      }
    }),
    run,
  );
});

test('deleteList() gives a largest list, and by the order of packs each of them', () => {
  fc.assert(
    fc.property(task, ({ copies, live, condemned }) => {
      const allowed = subsetsOf(condemned).filter((part) =>
        keepsDecodable(withoutPacks(copies, part), live),
      );
      const largest = allowed.filter(
        (part) =>
          !allowed.some((other) => other.size > part.size && [...part].every((p) => other.has(p))),
      );

      const lists = ordersOf(condemned).map((order) =>
        deleteList({ condemned: order, copies, live }),
      );

      const found = lists.filter((list) => list !== undefined).map(keyOf);
      assert.deepEqual([...new Set(found)].sort(), largest.map(keyOf).sort());
    }),
    run,
  );
});
