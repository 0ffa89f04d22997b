/**
 * Whether a delta is small enough to be kept. A chunk stored whole shares a frame with others, so what
 * it would take is not known; it is estimated by how well the latest full frames were compressed.
 */

const RATIO_START = 0.4;
const RATIO_MIN = 0.1;
const RATIO_MAX = 1;
/** Of the latest frame in the moving average. */
const FRAME_WEIGHT = 1 / 8;
/** Bytes that a delta adds to the record of its blob. */
const DELTA_RECORD_SIZE = 36;
/** Of the estimated whole size, with its record. */
const SIZE_SHARE_MAX = 3 / 4;

export class Acceptance {
  #ratio = RATIO_START;

  /** Of stored to raw bytes, between 0.1 and 1. */
  get ratio(): number {
    return this.#ratio;
  }

  /** A full frame of whole chunks was closed. */
  noteFrame(rawSize: number, storedSize: number): void {
    const average = this.#ratio + FRAME_WEIGHT * (storedSize / rawSize - this.#ratio);
    this.#ratio = Math.min(RATIO_MAX, Math.max(RATIO_MIN, average));
  }

  /** @param rawSize of the chunk, in bytes. */
  accepts(encodedSize: number, rawSize: number): boolean {
    return encodedSize + DELTA_RECORD_SIZE <= SIZE_SHARE_MAX * rawSize * this.#ratio;
  }
}
