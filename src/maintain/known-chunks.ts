/**
 * What the index says of the chunks of files, asked once for every chunk of every file: is there a
 * copy that counts, and do all copies have the length that the file says?
 */
import type { BlobId } from '../id.ts';
import type { LocalIndex } from '../index/local-index.ts';
import { isPresent, rawSizeOf } from '../index/presence.ts';

export class KnownChunks {
  readonly #index: LocalIndex;

  constructor(index: LocalIndex) {
    this.#index = index;
  }

  /** True when nothing is wrong as far as the index knows; what it is otherwise takes a look. */
  isGood(id: BlobId, length: number): boolean {
    let isWhole = false;
    for (const copy of this.#index.copies(id)) {
      if (rawSizeOf(this.#index, id, copy) !== length) return false;
      isWhole ||=
        copy.depth === 0 &&
        this.#index.isUsable(copy.packNo) &&
        !this.#index.isDistrusted(copy.packNo, id);
    }
    return isWhole || isPresent(this.#index, id);
  }
}
