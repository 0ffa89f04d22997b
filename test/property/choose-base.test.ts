/** Votes, ranking and depth of candidates, each against its rule said plainly. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { BlobId } from '../../src/id.ts';
import {
  type Candidate,
  countVotes,
  type Link,
  limitDepth,
  rankCandidates,
} from '../../src/similarity/choose-base.ts';
import { toHex } from '../../src/util/bytes.ts';
import { idOf } from '../helpers/index-packs.ts';
import { testSeed } from '../helpers/seeded-random.ts';

const CHAIN_LENGTH_MAX = 32;
const ids = Array.from({ length: 5 }, (_, i) => idOf(`chunk ${i}`));

const candidate: fc.Arbitrary<Candidate> = fc.record(
  {
    id: fc.constantFrom(...ids),
    packNo: fc.integer({ min: 1, max: 3 }),
    slot: fc.nat(2),
    votes: fc.nat(3),
    isHinted: fc.boolean(),
  },
  { noNullPrototype: true },
);

test('countVotes() counts each place once for every hit', () => {
  const hit = fc.tuple(fc.nat(2), fc.nat(2));
  fc.assert(
    fc.property(fc.tuple(hit, hit, hit), (hits) => {
      const votes = countVotes(Uint32Array.from(hits.flat()));

      const places = votes.map(({ packNo, slot }) => `${packNo} ${slot}`);
      assert.equal(new Set(places).size, places.length);
      for (const { packNo, slot, count } of votes) {
        assert.notEqual(packNo, 0);
        assert.equal(count, hits.filter(([p, s]) => p === packNo && s === slot).length);
      }
      const total = votes.reduce((sum, { count }) => sum + count, 0);
      assert.equal(total, hits.filter(([packNo]) => packNo !== 0).length);
    }),
    { seed: testSeed },
  );
});

/** All that is said of one id, put together. */
function united(candidates: readonly Candidate[], id: BlobId): Candidate {
  const same = candidates.filter((each) => each.id === id);
  const [newest] = same.toSorted((a, b) => b.packNo - a.packNo || b.slot - a.slot);
  return {
    ...(newest as Candidate),
    votes: same.reduce((sum, { votes }) => sum + votes, 0),
    isHinted: same.some(({ isHinted }) => isHinted),
  };
}

test('rankCandidates() puts more votes first, then the hint, then the newest', () => {
  fc.assert(
    fc.property(
      fc.array(candidate, { maxLength: 6 }),
      fc.integer({ min: 1, max: 2 }),
      (all, votesMin) => {
        const self = ids[0] as BlobId;

        const ranked = rankCandidates(all, { self, votesMin });

        const expected = [...new Set(all.map(({ id }) => id))]
          .filter((id) => id !== self)
          .map((id) => united(all, id))
          .filter(({ votes, isHinted }) => isHinted || votes >= votesMin);
        assert.deepEqual(new Set(ranked), new Set(expected));
        for (const [i, worse] of ranked.entries()) {
          const better = ranked[i - 1];
          if (better === undefined) continue;
          const [a, b] = [better, worse].map(
            ({ votes, isHinted }) => 2 * votes + (isHinted ? 1 : 0),
          );
          assert.ok((a as number) >= (b as number));
          if (a !== b) continue;
          const isNewer = better.packNo > worse.packNo;
          const isLater = better.packNo === worse.packNo && better.slot >= worse.slot;
          assert.ok(isNewer || isLater);
        }
      },
    ),
    { seed: testSeed },
  );
});

test('rankCandidates() lets a hint decide between equals and not against two votes', () => {
  const [self, a, b] = ids as [BlobId, BlobId, BlobId];
  const hinted = { id: a, packNo: 1, slot: 0, votes: 1, isHinted: true };
  const rule = { self, votesMin: 1 };

  for (const [votes, first] of [
    [1, a],
    [2, b],
  ] as const) {
    const other = { id: b, packNo: 9, slot: 9, votes, isHinted: false };
    assert.equal(rankCandidates([other, hinted], rule)[0]?.id, first);
  }
});

/** Chunk i has `depths[i]`, and any other as its base. */
const links: fc.Arbitrary<(Link | undefined)[]> = fc.array(
  fc
    .option(fc.record({ depth: fc.nat(CHAIN_LENGTH_MAX), base: fc.nat(ids.length - 1) }), {
      nil: undefined,
      freq: 8,
    })
    .map(
      (link) => link && { depth: link.depth, base: link.depth > 0 ? ids[link.base] : undefined },
    ),
  { minLength: ids.length, maxLength: ids.length },
);

test('limitDepth() gives a chunk of the chain below the limit, whatever is said of chains', () => {
  fc.assert(
    fc.property(links, fc.nat(CHAIN_LENGTH_MAX), (chain, depthMax) => {
      const linkOf = (id: BlobId): Link | undefined => chain[ids.indexOf(id)];

      const base = limitDepth(ids[0] as BlobId, depthMax, linkOf);

      if (base === undefined) return;
      assert.ok(base.depth < depthMax);
      assert.equal(linkOf(base.id)?.depth, base.depth);
      const seen: BlobId[] = [];
      for (let id = ids[0]; id !== undefined && !seen.includes(id); id = linkOf(id)?.base)
        seen.push(id);
      assert.ok(seen.includes(base.id));
    }),
    { seed: testSeed, numRuns: 1000 },
  );
});

test('limitDepth() keeps what is not too deep, and goes back to depth 2 otherwise', () => {
  const chain = Array.from({ length: 33 }, (_, i) => idOf(`link ${i}`));
  const depthOf = new Map(chain.map((id, depth) => [toHex(id), depth]));
  const linkOf = (id: BlobId): Link => {
    const depth = depthOf.get(toHex(id)) as number;
    return { depth, base: chain[depth - 1] };
  };

  for (let depthMax = 0; depthMax <= CHAIN_LENGTH_MAX; depthMax++) {
    for (const [depth, id] of chain.entries()) {
      const base = limitDepth(id, depthMax, linkOf);

      const expected = depth < depthMax ? depth : Math.min(2, depthMax - 1);
      if (depthMax === 0) assert.equal(base, undefined);
      else assert.deepEqual(base, { id: chain[expected], depth: expected });
    }
  }
});

test('limitDepth() gives nothing where a chain is broken or goes in a circle', () => {
  const [a, b] = ids as [BlobId, BlobId];

  assert.equal(
    limitDepth(a, 8, () => undefined),
    undefined,
  );
  assert.equal(
    limitDepth(a, 8, (id) => (id === a ? { depth: 8, base: b } : undefined)),
    undefined,
  );
  assert.equal(
    limitDepth(a, 8, (id) => ({ depth: 8, base: id === a ? b : a })),
    undefined,
  );
});
