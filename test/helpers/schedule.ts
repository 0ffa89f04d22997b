/**
 * Several clients of one storage, interleaved request by request. One client moves at a time: it gets
 * one request answered and runs until it asks for the next; who is next is up to the seed. A client may
 * be killed at any of its requests, or sleep through all that the others do. The same seed gives the
 * same schedule.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Storage } from '../../src/storage/storage.ts';
import { interceptStorage } from './fault-storage.ts';
import type { SeededRandom } from './seeded-random.ts';

/** Thrown by every request of a client that was killed. */
export class Killed extends Error {}

/** Rounds of the event loop after which a client that has asked for something is taken to wait for it. */
const quietRounds = 4;

interface Request {
  readonly grant: () => void;
  readonly refuse: (error: Error) => void;
}

interface Runner {
  readonly name: string;
  readonly requests: Request[];
  /** Requests until it is killed or falls asleep; undefined: never. */
  left: number | undefined;
  fate: 'killed' | 'asleep' | 'awake';
  isDone: boolean;
}

export class Schedule {
  readonly #random: SeededRandom;
  readonly #runners: Runner[] = [];
  /** What happened, one line each. */
  readonly trace: string[] = [];

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  /**
   * Adds a client. `act` gets the storage as that client sees it, and a way to let time pass; how it
   * ends does not matter to the others.
   */
  add(
    name: string,
    storage: Storage,
    act: (storage: Storage, wait: () => Promise<void>) => Promise<void>,
    fate: { after: number; isKilled: boolean } | undefined,
  ): void {
    const runner: Runner = {
      name,
      requests: [],
      left: fate?.after,
      fate: 'awake',
      isDone: false,
    };
    this.#runners.push(runner);
    const isKilled = fate?.isKilled ?? false;
    const turn = (what: string): Promise<void> => this.#request(runner, isKilled, what);
    const seen = interceptStorage(storage, async ({ operation, name: which }, run) => {
      await turn(`${operation} ${which.slice(0, 20)}`);
      return await run();
    });
    void turn('begins')
      .then(() => act(seen, () => turn('waits')))
      .catch((error: Error) => this.trace.push(`${name} ends: ${error.message}`))
      .finally(() => {
        runner.isDone = true;
      });
  }

  /** Runs until all clients have ended. */
  async run(): Promise<void> {
    for (;;) {
      await this.#settle();
      const waiting = this.#runners.filter(
        ({ isDone, requests }) => !isDone && requests.length > 0,
      );
      if (waiting.length === 0) return;
      const awake = waiting.filter(({ fate }) => fate !== 'asleep');
      // The sleepers wake up, one after the other, when nobody else is left.
      const candidates = awake.length > 0 ? awake : waiting.slice(0, 1);
      const runner = candidates[this.#random.below(candidates.length)] as Runner;
      if (awake.length === 0) runner.fate = 'awake';
      const request = runner.requests.shift() as Request;
      if (runner.fate === 'killed') request.refuse(new Killed('killed'));
      else request.grant();
    }
  }

  #request(runner: Runner, isKilled: boolean, what: string): Promise<void> {
    if (runner.left !== undefined) {
      runner.left -= 1;
      if (runner.left === 0) {
        runner.fate = isKilled ? 'killed' : 'asleep';
        this.trace.push(`${runner.name} is ${runner.fate} at ${what}`);
      }
    }
    return new Promise<void>((resolve, refuse) => {
      const grant = (): void => {
        this.trace.push(`${runner.name} ${what}`);
        resolve();
      };
      runner.requests.push({ grant, refuse });
    });
  }

  /**
   * Lets the one that moves run until it asks for something, or ends. Where it has asked for several
   * things at once it may need all of them to go on: then it is enough that it has been quiet.
   */
  async #settle(): Promise<void> {
    const isMoving = ({ isDone, requests }: Runner): boolean => !isDone && requests.length === 0;
    for (let quiet = 0; quiet < quietRounds; quiet++) {
      await nextTurn();
      // It may read a file, or open its index: that takes as long as it takes.
      if (this.#runners.some(isMoving)) quiet = 0;
    }
  }
}
