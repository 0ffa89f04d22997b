/**
 * Counting distinct blobs and what they take. A blob is counted at one of its copies, always the
 * same one, by a bit for each slot of each pack: one byte of memory for eight blobs, however many
 * there are. Frames that hold other blobs too are shared out by size.
 */
import type { BlobId } from '../id.ts';
import type { BlobCopy } from '../index/cache-rows.ts';
import type { LocalIndex } from '../index/local-index.ts';
import { rawSizeOf } from '../index/presence.ts';
import type { BlobEntry, FrameEntry, PackDirectory } from '../pack/directory.ts';

export interface BlobSums {
  blobs: number;
  /** Bytes of their plaintexts. */
  uniqueSize: number;
  /** The part of these that is kept as deltas. */
  deltaSize: number;
  /** Their share of the frames they lie in, in bytes. */
  compressedSize: number;
}

export class BlobCensus {
  readonly #index: LocalIndex;
  /** By number of the pack: a bit for each slot. */
  readonly #counted = new Map<number, Uint8Array>();

  constructor(index: LocalIndex) {
    this.#index = index;
  }

  /** Counts a blob, once. False when the index knows no copy of it. */
  add(id: BlobId): boolean {
    const copies = this.#index.copies(id);
    const known = copies.filter((copy) => rawSizeOf(this.#index, id, copy) !== undefined);
    const chosen = known.find(({ packNo }) => this.#index.isUsable(packNo)) ?? known[0];
    if (chosen !== undefined) this.#mark(chosen);
    return chosen !== undefined;
  }

  /** Sums over all blobs counted. */
  sums(): BlobSums {
    const sums: BlobSums = { blobs: 0, uniqueSize: 0, deltaSize: 0, compressedSize: 0 };
    for (const [packNo, bits] of this.#counted) {
      const directory = this.#index.directory(packNo);
      if (directory !== undefined) addPack(sums, directory, bits);
    }
    return sums;
  }

  #mark({ packNo, slot }: BlobCopy): void {
    let bits = this.#counted.get(packNo);
    if (bits === undefined) {
      bits = new Uint8Array(((this.#index.pack(packNo)?.blobCount ?? 0) >> 3) + 1);
      this.#counted.set(packNo, bits);
    }
    bits[slot >> 3] = (bits[slot >> 3] as number) | (1 << (slot & 7));
  }
}

function addPack(sums: BlobSums, { frames, blobs }: PackDirectory, bits: Uint8Array): void {
  const shares = new Float64Array(frames.length);
  for (const [slot, blob] of blobs.entries()) {
    if (((bits[slot >> 3] as number) & (1 << (slot & 7))) === 0) continue;
    sums.blobs += 1;
    sums.uniqueSize += blob.rawSize;
    if (blob.delta !== undefined) sums.deltaSize += blob.rawSize;
    shares[blob.frame] = (shares[blob.frame] as number) + shareOf(blob, frames);
  }
  for (const share of shares) sums.compressedSize += Math.round(share);
}

/** Deltas of one frame are compressed one by one; other blobs together, so that nobody can tell. */
function shareOf({ delta, rawSize, frame }: BlobEntry, frames: readonly FrameEntry[]): number {
  const whole = frames[frame] as FrameEntry;
  return delta?.encodedSize ?? (whole.storedSize * rawSize) / whole.rawSize;
}
