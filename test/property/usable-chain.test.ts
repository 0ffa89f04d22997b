/**
 * Chains of deltas against rules PRESENT and CHAIN said plainly: decodable from usable packs alone. On
 * random graphs of copies.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { BlobId } from '../../src/id.ts';
import type { LocalIndex } from '../../src/index/local-index.ts';
import { candidateAt, isPresent, type Location, usableChain } from '../../src/index/presence.ts';
import type { PackRecord } from '../../src/pack/pack-record.ts';
import { decodableBlobs } from '../../src/protocol/decode-rule.ts';
import { equalBytes } from '../../src/util/bytes.ts';
import { blobId, type Graph, ladder, openIndex, packsOf, thicket } from '../helpers/copy-graph.ts';
import { listingOf } from '../helpers/index-packs.ts';
import { testSeed } from '../helpers/seeded-random.ts';
import { inScope } from '../helpers/test-repository.ts';

const LENGTH_MAX = 32;
/** Each link is a usable copy of what the link before names as its base; the last one is whole. */
function assertChain(index: LocalIndex, id: BlobId, chain: readonly Location[]): void {
  let wanted = id;
  for (const [i, { packNo, slot, blob }] of chain.entries()) {
    assert.ok(index.isUsable(packNo), 'in a usable pack');
    assert.ok(equalBytes(blob.id, wanted), `link ${i}`);
    assert.deepEqual(index.openDirectory(packNo)?.blobs.at(slot), blob);
    const isLast = i === chain.length - 1;
    assert.equal(blob.delta === undefined, isLast, 'ends whole, and only there');
    wanted = blob.delta?.base ?? wanted;
  }
  assert.ok(chain.length - 1 <= LENGTH_MAX, `${chain.length - 1} deltas`);
}

/** Which packs are missing, or only dead, of those of a graph. */
type Loss = readonly ['missing' | 'dead', readonly number[]];

async function lose(index: LocalIndex, packs: readonly PackRecord[], [how, lost]: Loss) {
  const gone = lost.map((i) => packs[i] as PackRecord);
  const listed = how === 'missing' ? packs.filter((pack) => !gone.includes(pack)) : [...packs];
  const dead = new Set(how === 'dead' ? gone.map(({ name }) => name) : []);
  await index.updateStates({ listed: listingOf(listed), dead });
}

function assertPresent(index: LocalIndex, graph: Graph, lengths: ReadonlyMap<number, number>) {
  // The deepest first, so that no shorter chain is remembered.
  for (let blob = graph.blobCount - 1; blob >= 0; blob--) {
    const chain = usableChain(index, blobId(blob));

    const shortest = lengths.get(blob) ?? Number.POSITIVE_INFINITY;
    assert.equal(chain !== undefined, shortest <= LENGTH_MAX, `blob ${blob}`);
    assert.equal(isPresent(index, blobId(blob)), chain !== undefined);
    if (chain !== undefined) assertChain(index, blobId(blob), chain);
  }
}

for (const [shape, make] of Object.entries({ thicket, ladder })) {
  test(`usableChain() gives a chain exactly when isPresent() says so: ${shape}`, async () => {
    for (let salt = 1; salt <= 6; salt++) {
      const graph = make(salt);
      const packs = packsOf(graph);
      const loss = fc.tuple(
        fc.constantFrom('missing' as const, 'dead' as const),
        fc.subarray([...packs.keys()], { maxLength: 4 }),
      );
      await inScope(async (scope) => {
        const index = await openIndex(scope, packs);
        await fc.assert(
          fc.asyncProperty(loss, async (lost) => {
            await lose(index, packs, lost);
            const isUsable = (pack: number): boolean => !lost[1].includes(pack);
            const usable = graph.copies.filter(({ pack }) => isUsable(pack));
            const lengths = decodableBlobs(usable);

            assertPresent(index, graph, lengths);
            assertCandidates(index, { graph, lengths, isUsable });
          }),
          { seed: testSeed, numRuns: 12 },
        );
      });
    }
  });
}

/** Every copy of the graph as a candidate: it must be usable, and its base present. */
function assertCandidates(
  index: LocalIndex,
  model: {
    graph: Graph;
    lengths: ReadonlyMap<number, number>;
    isUsable: (pack: number) => boolean;
  },
): void {
  const { graph, lengths, isUsable } = model;
  for (let pack = 0; pack < graph.packCount; pack++) {
    const inside = graph.copies.filter((copy) => copy.pack === pack);
    for (const [slot, { base }] of inside.entries()) {
      const found = candidateAt(index, { packNo: pack + 1, slot });

      const baseLength = base === undefined ? -1 : (lengths.get(base) ?? LENGTH_MAX);
      const isExpected = isUsable(pack) && baseLength < LENGTH_MAX;
      assert.equal(found !== undefined, isExpected, `pack ${pack} slot ${slot}`);
    }
  }
}
