/**
 * Counting distinct blobs and what they take, by a bit for each slot of each pack: one byte of memory
 * for eight blobs, however many there are.
 */
import type { BlobId } from '../id.ts';
import type { BlobCopy } from '../index/cache-rows.ts';
import type { LocalIndex } from '../index/local-index.ts';
import type { PackDirectory } from '../pack/directory.ts';
import { countedCopy, storedShare } from './counted-copy.ts';

export interface BlobSums {
  blobs: number;
  /** Bytes of their plaintexts. */
  uniqueSize: number;
  /** Those among them that are kept as deltas, */
  deltaBlobs: number;
  /** bytes of their plaintexts, */
  deltaRawSize: number;
  /** and of the deltas, which are compressed as they are made. */
  deltaStoredSize: number;
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

  /** Counts a blob, once. False when no pack that is there has a copy of it. */
  add(id: BlobId): boolean {
    const chosen = countedCopy(this.#index, id);
    if (chosen !== undefined) this.#mark(chosen);
    return chosen !== undefined;
  }

  /** Sums over all blobs counted. */
  sums(): BlobSums {
    const sums: BlobSums = {
      blobs: 0,
      uniqueSize: 0,
      deltaBlobs: 0,
      deltaRawSize: 0,
      deltaStoredSize: 0,
      compressedSize: 0,
    };
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
    if (blob.delta !== undefined) {
      sums.deltaBlobs += 1;
      sums.deltaRawSize += blob.rawSize;
      sums.deltaStoredSize += blob.delta.encodedSize;
    }
    shares[blob.frame] = (shares[blob.frame] as number) + storedShare(blob, frames);
  }
  for (const share of shares) sums.compressedSize += Math.round(share);
}
