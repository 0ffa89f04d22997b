/** What the two halves of walking ahead tell each other (`walk-ahead.ts`, `ahead-thread.ts`). */
import type { MessagePort } from 'node:worker_threads';
import type { AheadSources } from './ahead-lister.ts';

/** One walk. Batches (`ListingBatch`) come through the port. */
export interface AheadRequest extends AheadSources {
  readonly port: MessagePort;
  /** Shared numbers of 32 bits, by the places below; both count bytes, modulo 2^32. */
  readonly state: Int32Array;
}

export const aheadState = {
  /** Bytes of batches sent, which is what the near half waits for; the end is told by one more. */
  sent: 0,
  /** Bytes of batches taken; the far half waits for it when too much is under way. */
  taken: 1,
  /** Not 0 when the walk is at work, and when it has come to its end. */
  hasBegun: 2,
  hasEnded: 3,
  /** Not 0 when the near half waits for what there is, and when it wants no more. */
  isWaiting: 4,
  isStopped: 5,
} as const;

export const aheadStateLength = 6;
