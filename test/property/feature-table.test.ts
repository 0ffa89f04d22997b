/**
 * The table of features against lists: one array per bucket, the newest first. Features come from a few
 * buckets and tags, so that buckets are full and tags meet, also within one chunk.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FeatureTable, hitsLength, slotBitsFor } from '../../src/similarity/feature-table.ts';
import { concatBytes, encodeU32 } from '../../src/util/bytes.ts';
import { testSeed } from '../helpers/seeded-random.ts';

const SLOT_BITS = 16;
const BUCKET_COUNT = 2 ** (SLOT_BITS - 2);
const WAYS = 4;

/** Low and high half of a super-feature. */
type Feature = readonly [low: number, high: number];
type Features = readonly [Feature, Feature, Feature];

interface Place {
  packNo: number;
  slot: number;
}

interface Entry extends Place {
  tag: number;
}

type Step = { kind: 'insert' | 'insertByAge' | 'promote'; features: Features; place: Place };

const lows = [0, 1, BUCKET_COUNT - 1, BUCKET_COUNT, 2 ** 32 - BUCKET_COUNT, 2 ** 31 + 1];
const highs = [0, 1, 2, 3, 4, 5, 2 ** 31, 2 ** 32 - 1];
const everyFeature = lows.flatMap((low) => highs.map((high): Feature => [low, high]));

const feature: fc.Arbitrary<Feature> = fc.constantFrom(...everyFeature);
const place: fc.Arbitrary<Place> = fc.record({
  packNo: fc.constantFrom(1, 2, 3, 2 ** 32 - 1),
  slot: fc.constantFrom(0, 1, 2 ** 20 - 1),
});
const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom('insert' as const, 'insertByAge' as const, 'promote' as const),
  features: fc.tuple(feature, feature, feature),
  place,
});

const someFeatures: Features = [
  [1, 1],
  [2, 2],
  [3, 3],
];

function bytesOf(features: Features): Uint8Array {
  return concatBytes(...features.flat().map((word) => encodeU32(word)));
}

class Model {
  readonly #buckets = new Map<number, Entry[]>();

  apply({ kind, features, place: { packNo, slot } }: Step): void {
    for (const [low, tag] of features) this[kind](low % BUCKET_COUNT, { tag, packNo, slot });
  }

  insert(at: number, entry: Entry): void {
    const bucket = this.#bucket(at);
    const i = bucket.findIndex(({ tag }) => tag === entry.tag);
    if (i >= 0) bucket[i] = entry;
    else this.#buckets.set(at, [entry, ...bucket].slice(0, WAYS));
  }

  insertByAge(at: number, entry: Entry): void {
    const bucket = this.#bucket(at);
    const i = bucket.findIndex(({ tag }) => tag === entry.tag);
    if (i >= 0 && isOlder(bucket[i] as Entry, entry)) bucket[i] = entry;
    if (i >= 0) return;
    if (bucket.length < WAYS) {
      this.#buckets.set(at, [...bucket, entry]);
      return;
    }
    let oldest = 0;
    for (let j = 1; j < WAYS; j++) {
      if (isOlder(bucket[j] as Entry, bucket[oldest] as Entry)) oldest = j;
    }
    if (isOlder(bucket[oldest] as Entry, entry)) bucket[oldest] = entry;
  }

  promote(at: number, { tag, packNo, slot }: Entry): void {
    const bucket = this.#bucket(at);
    const found = bucket.find((entry) => entry.tag === tag);
    if (found?.packNo !== packNo || found.slot !== slot) return;
    this.#buckets.set(at, [found, ...bucket.filter((entry) => entry !== found)]);
  }

  lookUp([low, tag]: Feature): Place | undefined {
    return this.#bucket(low % BUCKET_COUNT).find((entry) => entry.tag === tag);
  }

  #bucket(at: number): Entry[] {
    return this.#buckets.get(at) ?? [];
  }
}

function isOlder(a: Place, b: Place): boolean {
  return a.packNo < b.packNo || (a.packNo === b.packNo && a.slot < b.slot);
}

/** What the table says of every feature there is. */
function answersOf(table: FeatureTable): (Place | undefined)[] {
  const answers: (Place | undefined)[] = [];
  const hits = new Uint32Array(hitsLength).fill(7);
  for (let i = 0; i < everyFeature.length; i += 3) {
    table.lookUp(bytesOf(everyFeature.slice(i, i + 3) as unknown as Features), hits);
    for (let j = 0; j < 3; j++) {
      const packNo = hits[2 * j] as number;
      const slot = hits[2 * j + 1] as number;
      answers.push(packNo === 0 ? undefined : { packNo, slot });
      if (packNo === 0) assert.equal(slot, 0);
    }
  }
  return answers;
}

function modelAnswers(model: Model): (Place | undefined)[] {
  return everyFeature.map((each) => {
    const found = model.lookUp(each);
    return found && { packNo: found.packNo, slot: found.slot };
  });
}

test('FeatureTable answers as lists of four do, and so does one made of its pages', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.nat(60), (steps, savedAt) => {
      const table = new FeatureTable(SLOT_BITS);
      const model = new Model();
      const pages = new Map<number, Uint8Array>();
      const save = (): void => {
        for (const page of table.dirtyPages()) {
          pages.set(page, table.page(page).slice());
          table.markClean(page);
        }
      };

      for (const [i, each] of steps.entries()) {
        if (i === savedAt) save();
        table[each.kind](bytesOf(each.features), each.place.packNo, each.place.slot);
        model.apply(each);
        assert.deepEqual(answersOf(table), modelAnswers(model));
      }
      save();
      const copy = new FeatureTable(SLOT_BITS);
      for (const [page, bytes] of pages) assert.ok(copy.load(page, bytes));

      assert.deepEqual(answersOf(copy), modelAnswers(model));
      assert.deepEqual(copy.dirtyPages(), []);
    }),
    { seed: testSeed, numRuns: 200 },
  );
});

test('insertByAge() gives the same table in any order', () => {
  /** Each of the three in buckets of its own, so that no chunk meets itself. */
  const chunk = fc.tuple(
    ...[0, 4, 8].map((first) => fc.tuple(fc.nat(1), fc.nat(6), fc.constant(first))),
  );
  fc.assert(
    fc.property(fc.array(chunk, { maxLength: 40 }), fc.nat(), (chunks, salt) => {
      const entries = chunks.map((parts, i) => ({
        features: bytesOf(
          parts.map(([low, high, first]) => [first + low, high]) as unknown as Features,
        ),
        packNo: 1 + (i >> 2),
        slot: i & 3,
        order: Math.imul(i + 1, 2 * salt + 1) >>> 8,
      }));
      const [inOrder, shuffled] = [new FeatureTable(SLOT_BITS), new FeatureTable(SLOT_BITS)];

      for (const { features, packNo, slot } of entries) inOrder.insertByAge(features, packNo, slot);
      for (const { features, packNo, slot } of entries.toSorted((a, b) => a.order - b.order)) {
        shuffled.insertByAge(features, packNo, slot);
      }

      const [hits, others] = [new Uint32Array(hitsLength), new Uint32Array(hitsLength)];
      for (const { features } of entries) {
        inOrder.lookUp(features, hits);
        shuffled.lookUp(features, others);
        assert.deepEqual(others, hits);
      }
    }),
    { seed: testSeed },
  );
});

test('FeatureTable refuses pages of another size and numbers beyond its end', () => {
  const table = new FeatureTable(SLOT_BITS);
  const page = table.page(0).slice();

  table.insert(bytesOf(someFeatures), 1, 1);
  assert.deepEqual(table.dirtyPages(), [0]);
  assert.equal(table.load(0, page), true);
  assert.deepEqual(table.dirtyPages(), []);
  assert.equal(table.load(table.pageCount, page), false);
  assert.equal(table.load(0, page.subarray(1)), false);
  assert.notEqual(table.layout, new FeatureTable(SLOT_BITS + 1).layout);
});

test('FeatureTable.clear() forgets all, also what was to be written', () => {
  const table = new FeatureTable(SLOT_BITS);
  table.insert(bytesOf(someFeatures), 1, 1);

  table.clear();

  assert.ok(answersOf(table).every((answer) => answer === undefined));
  assert.deepEqual(table.dirtyPages(), []);
});

test('FeatureTable.clear() forgets pages that were loaded', () => {
  const written = new FeatureTable(SLOT_BITS);
  written.insert(bytesOf(someFeatures), 1, 1);
  const table = new FeatureTable(SLOT_BITS);
  for (const page of written.dirtyPages()) table.load(page, written.page(page));
  assert.ok(answersOf(table).some((answer) => answer !== undefined));

  table.clear();

  assert.ok(answersOf(table).every((answer) => answer === undefined));
});

test('a full FeatureTable of 2^16 slots finds the newest chunks', () => {
  const table = new FeatureTable(SLOT_BITS);
  const count = 4 * table.capacity;
  const hits = new Uint32Array(hitsLength);
  const featuresOf = (i: number): Uint8Array =>
    bytesOf([
      [i * 7919, i],
      [i * 104_729, i],
      [i * 1_299_709, i],
    ]);

  for (let i = 1; i <= count; i++) table.insert(featuresOf(i), i, 0);

  let found = 0;
  for (let i = count - 1000; i <= count; i++) {
    table.lookUp(featuresOf(i), hits);
    if (hits[0] === i || hits[2] === i || hits[4] === i) found++;
  }
  assert.ok(found > 990, `${found} of 1,001`);
});

test('slotBitsFor() leaves room for as many chunks again, within bounds', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 4_000_000 }), (chunkCount) => {
      const bits = slotBitsFor(chunkCount);
      assert.ok(bits >= 16 && bits <= 22);
      const { capacity } = new FeatureTable(bits);
      assert.ok(capacity >= Math.min(2 * chunkCount, 1_390_000), `${chunkCount} chunks`);
    }),
    { seed: testSeed, numRuns: 20, examples: [[0], [10_922], [10_923], [174_763], [349_525]] },
  );
});
