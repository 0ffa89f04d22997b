/**
 * Long synchronous work in turns: signals, timers and finished input and output get the thread at
 * least 50 times a second, and a cancelled call ends at its next turn.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from './clock.ts';

const TURN_NS = 20_000_000n;

export class Turns {
  readonly #clock: Clock;
  readonly #signal: AbortSignal | undefined;
  #endNs: bigint;

  constructor(clock: Clock, signal: AbortSignal | undefined) {
    this.#clock = clock;
    this.#signal = signal;
    this.#endNs = clock.monotonicNs() + TURN_NS;
  }

  /** True when the turn is over: `await next()` before going on. Cheap enough for every entry. */
  get isOver(): boolean {
    return this.#clock.monotonicNs() >= this.#endNs;
  }

  /** Lets others run. @throws the signal's reason when the call was cancelled */
  async next(): Promise<void> {
    await nextTurn();
    this.#signal?.throwIfAborted();
    this.#endNs = this.#clock.monotonicNs() + TURN_NS;
  }
}
