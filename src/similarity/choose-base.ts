/**
 * Which stored chunk a new one is tried as a delta on. Candidates are the chunks that the feature table
 * gave, with a vote for each shared super-feature, and the one that the file's previous version has
 * in the same place. Whether a candidate is present and its plaintext at hand is the caller's to know.
 */
import type { BlobId } from '../id.ts';
import { equalBytes } from '../util/bytes.ts';

/** What the place in the previous version counts for: less than a vote, it decides between equals. */
const HINT_SCORE = 0.5;
/** A place in the repository with the super-features it shares with the new chunk. */
export interface Vote {
  packNo: number;
  slot: number;
  count: number;
}

/** A stored chunk that may be the base. */
export interface Candidate {
  id: BlobId;
  packNo: number;
  slot: number;
  /** Super-features that it shares with the new chunk. */
  votes: number;
  isHinted: boolean;
}

/** The hits of a look-up, packNo and slot by turns, packNo 0 for none, by place. */
export function countVotes(hits: Uint32Array): Vote[] {
  const votes: Vote[] = [];
  for (let i = 0; i < hits.length; i += 2) {
    const packNo = hits[i] as number;
    const slot = hits[i + 1] as number;
    if (packNo === 0) continue;
    const known = votes.find((vote) => vote.packNo === packNo && vote.slot === slot);
    if (known === undefined) votes.push({ packNo, slot, count: 1 });
    else known.count++;
  }
  return votes;
}

/**
 * The candidates from best to worst: by votes and hint, the newest of equals first (the higher pack,
 * then the higher slot). Several of one id, which has several copies or is hinted too, become one. The
 * new chunk itself is none.
 * @param rule.votesMin votes that a candidate needs which is not hinted.
 */
export function rankCandidates(
  candidates: readonly Candidate[],
  rule: { self: BlobId; votesMin: number },
): Candidate[] {
  const ranked: Candidate[] = [];
  for (const candidate of candidates) {
    if (equalBytes(candidate.id, rule.self)) continue;
    const i = ranked.findIndex(({ id }) => equalBytes(id, candidate.id));
    if (i < 0) ranked.push(candidate);
    else ranked[i] = unite(ranked[i] as Candidate, candidate);
  }
  return ranked
    .filter(({ votes, isHinted }) => isHinted || votes >= rule.votesMin)
    .sort((a, b) => scoreOf(b) - scoreOf(a) || b.packNo - a.packNo || b.slot - a.slot);
}

/** One blob in two copies: the newer place, and what speaks for either. */
function unite(a: Candidate, b: Candidate): Candidate {
  const isNewer = b.packNo - a.packNo || b.slot - a.slot;
  const { id, packNo, slot } = isNewer > 0 ? b : a;
  const isHinted = a.isHinted || b.isHinted;
  return { id, packNo, slot, votes: a.votes + b.votes, isHinted };
}

export function scoreOf({ votes, isHinted }: Candidate): number {
  return votes + (isHinted ? HINT_SCORE : 0);
}
