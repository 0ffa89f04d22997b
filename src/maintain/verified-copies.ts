/**
 * Which copies of blobs were decoded already, because they are bases of what was looked at before: one
 * bit for each blob of a pack that has such.
 */
import type { CopyPlace } from '../repository/base-plan.ts';

export class VerifiedCopies {
  readonly #bits = new Map<number, Uint8Array>();

  /** @param blobCount of the pack. */
  add({ packNo, slot }: CopyPlace, blobCount: number): void {
    let bits = this.#bits.get(packNo);
    if (bits === undefined) {
      bits = new Uint8Array(Math.ceil(blobCount / 8));
      this.#bits.set(packNo, bits);
    }
    bits[slot >> 3] = (bits[slot >> 3] as number) | (1 << (slot & 7));
  }

  has({ packNo, slot }: CopyPlace): boolean {
    return (((this.#bits.get(packNo)?.[slot >> 3] ?? 0) >> (slot & 7)) & 1) === 1;
  }
}
