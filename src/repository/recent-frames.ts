/**
 * The plaintexts of the frames that a writer closed last, with a table of their features: bases for
 * what it stores next, at no cost, long before their pack is durable. A delta and its base then lie
 * in packs of one session, which counts only once all of them are durable.
 *
 * Frames keep their memory instead of copying it: a ring of buffers goes round.
 */
import type { BlobRecord } from '../frame/frame-builder.ts';
import type { BlobId } from '../id.ts';
import { FeatureTable, hitsLength } from '../similarity/feature-table.ts';

/** Frames kept, of about 1 MiB each. */
const frameCount = 4;
/** 2^16 slots: 20,000 chunks; four frames of small files have about half as many. */
const tableSlotBits = 16;

export interface RecentBlob {
  readonly id: BlobId;
  /** Valid until the writer closes its next frame. */
  readonly plaintext: Uint8Array;
  /** How many super-features it has in common with what was asked for, 1 to 3. */
  readonly votes: number;
}

interface RecentFrame {
  readonly number: number;
  readonly raw: Uint8Array;
  readonly blobs: readonly BlobRecord[];
  readonly starts: Uint32Array;
}

export class RecentFrames {
  /** Frame `n` lies at `n % frameCount`. */
  readonly #frames: (RecentFrame | undefined)[] = Array(frameCount).fill(undefined);
  readonly #table = new FeatureTable(tableSlotBits);
  readonly #hits = new Uint32Array(hitsLength);
  /** Numbers stand for packs in the table, so they begin at 1. */
  #last = 0;

  /** Keeps a frame of whole blobs; gives the memory of the one that is dropped for it. */
  add(raw: Uint8Array, blobs: readonly BlobRecord[]): Uint8Array {
    this.#last += 1;
    const number = this.#last;
    const starts = new Uint32Array(blobs.length);
    let start = 0;
    for (let i = 0; i < blobs.length; i++) {
      const { rawSize, features } = blobs[i] as BlobRecord;
      starts[i] = start;
      start += rawSize;
      if (features !== undefined) this.#table.insert(features, number, i);
    }
    const dropped = this.#frames[number % frameCount];
    this.#frames[number % frameCount] = { number, raw, blobs, starts };
    return dropped === undefined ? new Uint8Array(raw.length) : whole(dropped.raw);
  }

  /** The blob that has most in common with these features; the newest of equal ones. */
  find(features: Uint8Array): RecentBlob | undefined {
    const hits = this.#hits;
    this.#table.lookUp(features, hits);
    let [number, position, votes] = [0, 0, 0];
    for (let i = 0; i < hits.length; i += 2) {
      const hitNumber = hits[i] as number;
      if (hitNumber === 0 || this.#frames[hitNumber % frameCount]?.number !== hitNumber) continue;
      const hitPosition = hits[i + 1] as number;
      const hitVotes = countVotes(hits, hitNumber, hitPosition);
      const isNewer = hitNumber - number || hitPosition - position;
      if (hitVotes < votes || (hitVotes === votes && isNewer <= 0)) continue;
      [number, position, votes] = [hitNumber, hitPosition, hitVotes];
    }
    if (votes === 0) return undefined;
    const { blobs, raw, starts } = this.#frames[number % frameCount] as RecentFrame;
    const { id, rawSize } = blobs[position] as BlobRecord;
    const start = starts[position] as number;
    return { id, plaintext: raw.subarray(start, start + rawSize), votes };
  }
}

function countVotes(hits: Uint32Array, number: number, position: number): number {
  let votes = 0;
  for (let i = 0; i < hits.length; i += 2) {
    if (hits[i] === number && hits[i + 1] === position) votes += 1;
  }
  return votes;
}

/** All of the buffer that the view is of. */
function whole({ buffer }: Uint8Array): Uint8Array {
  return new Uint8Array(buffer);
}
