/**
 * Listings as the walk asks for them. Both go through the directories in one order, so what comes
 * before the directory that is asked for is passed over, and what comes after it is kept.
 */
import { type Listing, type ListingBatch, ListingReader, sharedMs } from './listing.ts';
import type { Ahead } from './walk.ts';

/** What is older when the walk comes to it is asked again. */
const ageMaxMs = 1000;

export class ListingsInOrder implements Ahead {
  readonly #receive: (mayWait: boolean) => ListingBatch | undefined;
  readonly #reader = new ListingReader();
  /** The reader is at a directory that nobody has come to yet. */
  #isAtHand = false;
  /** What was asked for last had been found out, so it pays to wait for what comes next. */
  #isInStep = true;

  /** @param receive the next batch; undefined where there is none, or not soon enough */
  constructor(receive: (mayWait: boolean) => ListingBatch | undefined) {
    this.#receive = receive;
  }

  take(names: readonly string[]): Listing | undefined {
    for (;;) {
      this.#isAtHand ||= this.#advance();
      this.#isInStep = this.#isAtHand;
      if (!this.#isAtHand) return undefined;
      const order = compareWays(this.#reader.way, names);
      if (order > 0) return undefined;
      this.#isAtHand = false;
      if (order === 0) {
        const { listing } = this.#reader;
        return sharedMs() - listing.listedAtMs <= ageMaxMs ? listing : undefined;
      }
    }
  }

  #advance(): boolean {
    while (!this.#reader.advance()) {
      const batch = this.#receive(this.#isInStep);
      if (batch === undefined) return false;
      this.#reader.open(batch);
    }
    return true;
  }
}

/** Negative where the walk comes to `a` first. */
function compareWays(a: readonly string[], b: readonly string[]): number {
  const count = Math.min(a.length, b.length);
  for (let i = 0; i < count; i++) {
    const left = a[i] as string;
    const right = b[i] as string;
    if (left !== right) return left < right ? -1 : 1;
  }
  return a.length - b.length;
}
