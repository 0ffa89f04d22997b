/**
 * The random seam: every id, salt and name that must not repeat is drawn here, so that a simulation
 * can replay a run from its seed.
 */
import { randomFillSync } from 'node:crypto';

export interface Random {
  /** `size` fresh unpredictable bytes. */
  bytes(size: number): Uint8Array;
}

export const systemRandom: Random = {
  bytes: (size) => randomFillSync(new Uint8Array(size)),
};
