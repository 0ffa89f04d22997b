/**
 * Explores every state that a model can reach: each thing that may happen next is one step, and a
 * process that stops or sleeps is one whose step is never taken. Breadth first finds a shortest way to
 * a violation; depth first keeps less in memory. States seen are kept as 64 bits of hash each, so a
 * state may be taken for another: with 10 million states the odds are one in 200,000.
 */

export interface Model<State> {
  readonly initial: State;
  /** Calls `step` with what can happen next and the state after it; the order is always the same. */
  expand(state: State, step: (what: string, next: State) => void): void;
  /** What is wrong in this state, if anything. */
  violation(state: State): string | undefined;
  /** Writes all of a state as numbers and gives their count; different states differ in them. */
  encode(state: State, words: Int32Array): number;
}

export interface Exploration {
  /** States seen. */
  states: number;
  /** Every state was seen, or a violation was found. */
  isComplete: boolean;
  violation: string | undefined;
  /** What happens until the violation, step by step; empty when depth first. */
  trace: string[];
}

const WORDS_MAX = 64;

/** Goes on until everything was seen, something is wrong, or there are more states than the limit. */
export function exploreDepthFirst<State>(model: Model<State>, stateLimit: number): Exploration {
  const seen = new SeenStates(model);
  seen.add(model.initial);
  const stack = [model.initial];
  for (let state = stack.pop(); state !== undefined; state = stack.pop()) {
    const violation = model.violation(state);
    if (violation !== undefined || seen.count > stateLimit) {
      return { states: seen.count, isComplete: violation !== undefined, violation, trace: [] };
    }
    model.expand(state, (_what, next) => {
      if (seen.add(next)) stack.push(next);
    });
  }
  return { states: seen.count, isComplete: true, violation: undefined, trace: [] };
}

/** The same, level by level, so that the trace to a violation is a shortest one. */
export function exploreBreadthFirst<State>(model: Model<State>, stateLimit: number): Exploration {
  const seen = new SeenStates(model);
  const ways = new Ways();
  seen.add(model.initial);
  ways.add(0, 0);
  let first = 0;
  let level: State[] = [model.initial];
  while (level.length > 0) {
    const next: State[] = [];
    for (const [i, state] of level.entries()) {
      const violation = model.violation(state);
      if (violation !== undefined) {
        const trace = replay(model, ways.to(first + i));
        return { states: seen.count, isComplete: true, violation, trace };
      }
      if (seen.count > stateLimit) {
        return { states: seen.count, isComplete: false, violation, trace: [] };
      }
      let choice = 0;
      model.expand(state, (_what, after) => {
        if (seen.add(after)) {
          ways.add(first + i, choice);
          next.push(after);
        }
        choice += 1;
      });
    }
    first += level.length;
    level = next;
  }
  return { states: seen.count, isComplete: true, violation: undefined, trace: [] };
}

/** What happens when these choices are made, one after the other. */
function replay<State>(model: Model<State>, choices: readonly number[]): string[] {
  const trace: string[] = [];
  let state = model.initial;
  for (const choice of choices) {
    const steps: [string, State][] = [];
    model.expand(state, (what, next) => steps.push([what, next]));
    const [what, next] = steps[choice] as [string, State];
    trace.push(what);
    state = next;
  }
  return trace;
}

/** How each state was reached first: from which state, by which of its choices. */
class Ways {
  #from = new Int32Array(1024);
  #choice = new Uint16Array(1024);
  #count = 0;

  add(from: number, choice: number): void {
    if (this.#count === this.#from.length) {
      const [from, choice] = [this.#from, this.#choice];
      this.#from = new Int32Array(2 * this.#count);
      this.#choice = new Uint16Array(2 * this.#count);
      this.#from.set(from);
      this.#choice.set(choice);
    }
    this.#from[this.#count] = from;
    this.#choice[this.#count] = choice;
    this.#count += 1;
  }

  /** Choices from the first state to this one. */
  to(state: number): number[] {
    const choices: number[] = [];
    for (let at = state; at !== 0; at = this.#from[at] as number) {
      choices.push(this.#choice[at] as number);
    }
    return choices.reverse();
  }
}

/** A hash table of hashes: open addressing, two words for each state. */
class SeenStates<State> {
  readonly #model: Model<State>;
  readonly #words = new Int32Array(WORDS_MAX);
  #slots = new Int32Array(2 ** 17);
  #count = 0;

  constructor(model: Model<State>) {
    this.#model = model;
  }

  get count(): number {
    return this.#count;
  }

  /** False when the state was seen before. */
  add(state: State): boolean {
    const length = this.#model.encode(state, this.#words);
    const high = murmur(this.#words, length);
    // Never 0, which is an empty slot.
    const low = xorMultiply(this.#words, length) | 1;
    if (!insert(this.#slots, high, low)) return false;
    this.#count += 1;
    if (this.#count * 4 > this.#slots.length) this.#grow();
    return true;
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Int32Array(2 * old.length);
    for (let i = 0; i < old.length; i += 2) {
      const low = old[i + 1] as number;
      if (low !== 0) insert(this.#slots, old[i] as number, low);
    }
  }
}

function insert(slots: Int32Array, high: number, low: number): boolean {
  const mask = slots.length - 2;
  for (let i = (high << 1) & mask; ; i = (i + 2) & mask) {
    if (slots[i + 1] === 0) {
      slots[i] = high;
      slots[i + 1] = low;
      return true;
    }
    if (slots[i] === high && slots[i + 1] === low) return false;
  }
}

/** MurmurHash3, 32 bits, over whole words. */
function murmur(words: Int32Array, length: number): number {
  let hash = 0x2545f491;
  for (let i = 0; i < length; i++) {
    let word = Math.imul(words[i] as number, 0xcc9e2d51);
    word = Math.imul((word << 15) | (word >>> 17), 0x1b873593);
    hash ^= word;
    hash = Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64;
  }
  return finish(hash);
}

/** Another one, mixed in another way, so that the two do not collide together. */
function xorMultiply(words: Int32Array, length: number): number {
  let hash = 0x6a09e667;
  for (let i = 0; i < length; i++) {
    hash = Math.imul(hash ^ (words[i] as number), 0x9e3779b1);
    hash ^= hash >>> 15;
    hash = Math.imul(hash, 0xc2b2ae3d);
    hash ^= hash >>> 13;
  }
  return finish(hash);
}

function finish(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}
