/**
 * The near half of walking ahead: a thread that lists directories before the walk comes to them
 * (`ahead-lister.ts`), and what has come of that, in the order of the walk.
 *
 * - Nothing depends on it. What is not there, or not soon, or not of the directory that is asked for,
 *   the walk finds out by itself; so it is never wrong and hardly ever slower.
 * - It runs ahead by a bounded number of bytes, and what is old when the walk comes there is asked again
 *   (`listings-in-order.ts`).
 * - Waiting for it blocks the calling thread, for a bounded time.
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { startThread, type WorkerHandle } from '../util/worker.ts';
import { type AheadRequest, aheadState, aheadStateLength } from './ahead-messages.ts';
import type { ExcludeOptions } from './excludes.ts';
import type { ListingBatch } from './listing.ts';
import { ListingsInOrder } from './listings-in-order.ts';
import { outermostSources, type SourcePlan } from './plan-sources.ts';
import type { Ahead } from './walk.ts';

/** The largest directory that is told takes about as long. */
const waitMaxMs = 20;

/** A thread that can list for one walk after the other. */
export interface AheadThread {
  /** Begins to list; the walk before must have been stopped. */
  begin(plan: SourcePlan, excludes?: ExcludeOptions): RunningAhead;
  /** Waits until the thread has ended. */
  close(): Promise<void>;
}

export interface RunningAhead extends Ahead {
  /** Nothing is listed any more. */
  stop(): void;
}

export function startAheadThread(): AheadThread {
  const entry = new URL('./ahead-thread.js', import.meta.url);
  let running: Reception | undefined;
  const thread: WorkerHandle<AheadRequest> = startThread(entry, undefined, {
    onReply: () => {},
    // Whatever it could not say is asked again, and an error then met by the walk itself.
    onFailure: () => running?.stop(),
  });
  return {
    begin: (plan, excludes = {}) => {
      const { port1, port2 } = new MessageChannel();
      const shared = new SharedArrayBuffer(4 * aheadStateLength);
      const state = new Int32Array(shared);
      const paths = outermostSources(plan.root);
      thread.post({ paths, excludes, port: port2, state }, [port2]);
      const reception = new Reception(port1, state);
      running = reception;
      const listings = new ListingsInOrder((mayWait) => reception.receive(mayWait));
      return {
        take: (names) => listings.take(names),
        stop: () => reception.stop(),
      };
    },
    close: async () => {
      running?.stop();
      await thread.close();
    },
  };
}

/** One walk of the thread, as the near half sees it. */
class Reception {
  readonly #port: MessagePort;
  readonly #state: Int32Array;
  #isOver = false;

  constructor(port: MessagePort, state: Int32Array) {
    this.#port = port;
    this.#state = state;
  }

  receive(mayWait: boolean): ListingBatch | undefined {
    while (!this.#isOver) {
      // Read in this order: whatever is sent after the first line ends the wait at once.
      const sent = Atomics.load(this.#state, aheadState.sent);
      const hasEnded = Atomics.load(this.#state, aheadState.hasEnded) !== 0;
      const received = receiveMessageOnPort(this.#port);
      if (received !== undefined) return this.#accept(received.message as ListingBatch);
      const hasBegun = Atomics.load(this.#state, aheadState.hasBegun) !== 0;
      if (hasEnded || !hasBegun || !mayWait) return undefined;
      Atomics.store(this.#state, aheadState.isWaiting, 1);
      const outcome = Atomics.wait(this.#state, aheadState.sent, sent, waitMaxMs);
      if (outcome === 'timed-out') return undefined;
    }
    return undefined;
  }

  stop(): void {
    this.#isOver = true;
    Atomics.store(this.#state, aheadState.isStopped, 1);
    this.#addTaken(1);
    this.#port.close();
  }

  #accept(batch: ListingBatch): ListingBatch {
    this.#addTaken(batch.size);
    return batch;
  }

  /** Wakes the far half. */
  #addTaken(size: number): void {
    Atomics.add(this.#state, aheadState.taken, size);
    Atomics.notify(this.#state, aheadState.taken);
  }
}
