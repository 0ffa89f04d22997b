/**
 * Directories with their sizes, as many as a snapshot has: about 70 bytes and its name for each. They
 * are rows in the order of the walk, and rows that follow each other have owners of blobs
 * (`repository/blob-owners.ts`) that follow each other.
 */
import type { BlobOwners, OwnedSums } from '../repository/blob-owners.ts';
import { concatBytes } from '../util/bytes.ts';

/** Sizes are in bytes. */
export interface ExclusiveSize {
  /** Of all files in it, as often as they occur. */
  rawSize: bigint;
  /** What blobs that only this needs take: their shares of the frames they lie in. */
  exclusiveSize: number;
  exclusiveBlobs: number;
}

export interface DirectorySize extends ExclusiveSize {
  /** Absolute path in the snapshot, raw bytes. */
  path: Uint8Array;
}

const SLASH = Uint8Array.of(0x2f);

export class DirectoryTable {
  readonly #owners: BlobOwners;
  /** Path of the directory above the first row. */
  readonly #above: Uint8Array;
  #firstOwner: number | undefined;
  readonly #rawSizes: bigint[] = [];
  /** All names, one after another, and where each ends. */
  #names = new Uint8Array(1024);
  readonly #nameEnds: number[] = [];

  constructor(owners: BlobOwners, above: Uint8Array) {
    this.#owners = owners;
    this.#above = above;
  }

  /** @param owner the one that was made last */
  add(owner: number, name: Uint8Array, rawSize: bigint): void {
    this.#firstOwner ??= owner;
    const start = this.#nameEnds.at(-1) ?? 0;
    const end = start + name.length;
    if (end > this.#names.length) {
      const grown = new Uint8Array(2 * end);
      grown.set(this.#names);
      this.#names = grown;
    }
    this.#names.set(name, start);
    this.#nameEnds.push(end);
    this.#rawSizes.push(rawSize);
  }

  *rows({ sizes, blobs }: OwnedSums): Generator<DirectorySize, void, undefined> {
    for (const [row, rawSize] of this.#rawSizes.entries()) {
      const owner = (this.#firstOwner ?? 0) + row;
      const path = this.#pathOf(row);
      yield {
        path: path.length === 0 ? SLASH : path,
        rawSize,
        exclusiveSize: Math.round(sizes[owner] as number),
        exclusiveBlobs: blobs[owner] as number,
      };
    }
  }

  /** Empty for `/`, which alone has no name. */
  #pathOf(row: number): Uint8Array {
    const parts: Uint8Array[] = [];
    const first = this.#firstOwner ?? 0;
    for (let i = row; i >= 0; i = this.#owners.parentOf(first + i) - first) {
      const name = this.#names.subarray(this.#nameEnds[i - 1] ?? 0, this.#nameEnds[i]);
      if (name.length > 0) parts.push(name, SLASH);
    }
    return concatBytes(this.#above, ...parts.reverse());
  }
}
