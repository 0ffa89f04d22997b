/**
 * The live set of a collection and the packs it rescues, against rule DECODE said plainly
 * (`protocol/decode-rule.ts`), on random graphs of copies with circles, chains that are too long and
 * blobs that nobody can decode.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BLOB_TYPE } from '../../src/blob/blob-type.ts';
import type { LocalIndex } from '../../src/index/local-index.ts';
import { LiveSet } from '../../src/maintain/prune/live-set.ts';
import { rescuedPacks } from '../../src/maintain/prune/rescue.ts';
import { findRepeated } from '../../src/maintain/prune/slot-set.ts';
import { decodableBlobs, keepsDecodable } from '../../src/protocol/decode-rule.ts';
import { equalBytes } from '../../src/util/bytes.ts';
import { systemClock } from '../../src/util/clock.ts';
import { Turns } from '../../src/util/turns.ts';
import {
  blobId,
  type Copy,
  type Graph,
  ladder,
  openIndex,
  packsOf,
  thicket,
} from '../helpers/copy-graph.ts';
import { listingOf } from '../helpers/index-packs.ts';
import { testSeed } from '../helpers/seeded-random.ts';
import { inScope } from '../helpers/test-repository.ts';

interface World {
  graph: Graph;
  index: LocalIndex;
  /** Position of a pack in the graph to its number in the index, and back. */
  numbers: number[];
  positions: Map<number, number>;
}

async function newLiveSet(
  { graph, index, numbers }: World,
  options: { there: readonly number[]; condemned: readonly number[]; blobs: readonly number[] },
): Promise<{ live: LiveSet; added: number[] }> {
  const there = new Set(options.there.map((pack) => numbers[pack]));
  const condemned = new Set(options.condemned.map((pack) => numbers[pack]));
  const isThere = (packNo: number): boolean => there.has(packNo);
  const isCondemned = (packNo: number): boolean => condemned.has(packNo);
  const live = new LiveSet({ index, isThere, isCondemned });
  const quick = new LiveSet({ index, isThere, isCondemned, repeated: await findRepeated(index) });
  const lengths = decodableBlobs(graph.copies.filter(({ pack }) => options.there.includes(pack)));
  const added: number[] = [];
  for (const blob of options.blobs) {
    const result = live.add(blobId(blob), BLOB_TYPE.data);
    assert.equal(quick.add(blobId(blob), BLOB_TYPE.data), result, 'found where it is expected');
    assert.equal(result === 'missing', !lengths.has(blob), `blob ${blob}: ${result}`);
    if (result !== 'missing') added.push(blob);
  }
  for (const packNo of numbers) {
    assert.deepEqual([...quick.blobsIn(packNo)], [...live.blobsIn(packNo)], 'the same places');
  }
  return { live, added };
}

/** Copies of the graph that stand in the live set. */
function placesOf(world: World, live: LiveSet): Copy[] {
  const places: Copy[] = [];
  for (const [packNo, pack] of world.positions) {
    for (const { id, delta } of live.blobsIn(packNo)) {
      const copy = world.graph.copies.find(
        (one) =>
          one.pack === pack &&
          equalBytes(blobId(one.blob), id) &&
          (one.base === undefined
            ? delta === undefined
            : delta !== undefined && equalBytes(blobId(one.base), delta.base)),
      );
      assert.ok(copy !== undefined);
      places.push(copy);
    }
  }
  return places;
}

for (const [shape, make] of Object.entries({ thicket, ladder })) {
  test(`LiveSet stands on places that decode by themselves, and rescues what is needed: ${shape}`, async () => {
    for (let salt = 1; salt <= 6; salt++) {
      const graph = make(salt);
      const packs = packsOf(graph);
      const all = [...packs.keys()];
      const subsets = fc.record({
        there: fc.subarray(all, { minLength: all.length - 3 }),
        condemnedFirst: fc.subarray(all),
        condemned: fc.subarray(all),
        blobs: fc.oneof(
          fc.shuffledSubarray([...Array(graph.blobCount).keys()]),
          fc.subarray([...Array(graph.blobCount).keys()]),
        ),
      });
      await inScope(async (scope) => {
        const index = await openIndex(scope, packs);
        await index.updateStates({ listed: listingOf([...packs]), dead: new Set() });
        const numbers = packs.map(({ name }) => index.packNo(name) as number);
        const positions = new Map(numbers.map((packNo, pack) => [packNo, pack]));
        const world = { graph, index, numbers, positions };
        await fc.assert(
          fc.asyncProperty(subsets, async ({ there, condemnedFirst, condemned, blobs }) => {
            const { live, added } = await newLiveSet(world, {
              there,
              condemned: condemnedFirst,
              blobs,
            });
            const places = placesOf(world, live);
            assert.ok(keepsDecodable(places, added), 'the places decode by themselves');

            const copies = graph.copies.filter(({ pack }) => there.includes(pack));
            const candidates = condemned.filter((pack) => there.includes(pack));
            const condemnedNumbers = new Set(candidates.map((pack) => numbers[pack] as number));
            const turns = new Turns(systemClock, undefined);
            const rescued = await rescuedPacks(live, condemnedNumbers, turns);

            const isLeft = ({ pack }: Copy): boolean =>
              !candidates.includes(pack) || rescued.has(numbers[pack] as number);
            assert.ok(
              keepsDecodable(copies.filter(isLeft), added),
              'everything live still decodes',
            );
            for (const packNo of rescued) assert.ok(condemnedNumbers.has(packNo));
            const isTouched = places.some(({ pack }) => candidates.includes(pack));
            if (!isTouched)
              assert.equal(rescued.size, 0, 'nothing live stands in what is condemned');
          }),
          { seed: testSeed, numRuns: 60 },
        );
      });
    }
  });
}
