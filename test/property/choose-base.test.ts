/** Votes and ranking of candidates, each against its rule said plainly. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { BlobId } from '../../src/id.ts';
import { type Candidate, countVotes, rankCandidates } from '../../src/similarity/choose-base.ts';
import { idOf } from '../helpers/index-packs.ts';
import { testSeed } from '../helpers/seeded-random.ts';

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
