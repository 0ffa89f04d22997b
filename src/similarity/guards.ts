/**
 * Where nothing is gained, little may be lost: when to leave out features and trials. Each guard counts
 * what it is told and knows nothing else.
 */

/** Chunks whose features were computed, after which it is judged whether that was worth it. */
const JUDGED_CHUNKS = 4096;
const JUDGED_PROBES = 512;
/** Accepted deltas for each of them, below which it was not. */
const YIELD_MIN = 1 / 50;
/** Of so many chunks one run of so many is probed, so that neighbours can meet their likes. */
const PROBE_PERIOD = 256;
const PROBE_LENGTH = 32;

/** Places of `ProbeCounts`. */
const computed = 0;
const accepted = 1;
const isProbing = 2;

/** What the workers of a snapshot know together, so that none judges by its own share alone. */
export type ProbeCounts = Int32Array<SharedArrayBuffer>;

export function newProbeCounts(): ProbeCounts {
  return new Int32Array(new SharedArrayBuffer(3 * Int32Array.BYTES_PER_ELEMENT));
}

/**
 * Leaves out the features of seven in eight chunks while few chunks become deltas: there, looking for
 * bases and reading them takes more time than it saves space.
 */
export class ProbeMode {
  readonly #counts: ProbeCounts;
  /** Its own, so that neighbours in a file stay neighbours in a run. */
  #chunkCount = 0;

  constructor(counts: ProbeCounts) {
    this.#counts = counts;
  }

  /** A new chunk that is not flat: whether to compute its features. */
  next(): boolean {
    const isProbed = this.#chunkCount % PROBE_PERIOD < PROBE_LENGTH;
    this.#chunkCount++;
    if (!isProbed && Atomics.load(this.#counts, isProbing) !== 0) return false;
    this.#judge();
    Atomics.add(this.#counts, computed, 1);
    return true;
  }

  noteAccepted(): void {
    Atomics.add(this.#counts, accepted, 1);
  }

  #judge(): void {
    const counts = this.#counts;
    const count = Atomics.load(counts, computed);
    const wasProbing = Atomics.load(counts, isProbing) !== 0;
    if (count < (wasProbing ? JUDGED_PROBES : JUDGED_CHUNKS)) return;
    // Of several workers that come here at once, one judges.
    if (Atomics.compareExchange(counts, computed, count, 0) !== count) return;
    const gained = Atomics.exchange(counts, accepted, 0);
    Atomics.store(counts, isProbing, gained < YIELD_MIN * count ? 1 : 0);
  }
}

const TRIAL_WINDOW = 64;
/** Refused trials in the window above which, and below which, the guard changes. */
const REFUSED_MANY = 32;
const REFUSED_FEW = 16;

/**
 * Asks for two votes after many trials in vain. Told of trials with candidates that only the table
 * gave; what was before the first counts as accepted.
 */
export class RefusedTrials {
  /** 1 for a refused one, in a ring. */
  readonly #isRefused = new Uint8Array(TRIAL_WINDOW);
  #next = 0;
  #refused = 0;
  #votesMin = 1;

  /** Votes that a candidate needs which is not hinted. */
  get votesMin(): number {
    return this.#votesMin;
  }

  note(isAccepted: boolean): void {
    const refused = isAccepted ? 0 : 1;
    this.#refused += refused - (this.#isRefused[this.#next] as number);
    this.#isRefused[this.#next] = refused;
    this.#next = (this.#next + 1) % TRIAL_WINDOW;
    if (this.#refused > REFUSED_MANY) this.#votesMin = 2;
    else if (this.#refused < REFUSED_FEW) this.#votesMin = 1;
  }
}

const FLAT_REFUSED_MAX = 4;

/** Ends the trials with flat chunks of one file, which have nothing but the hint. */
export class FlatTrials {
  #refused = 0;

  get isOver(): boolean {
    return this.#refused >= FLAT_REFUSED_MAX;
  }

  noteRefused(): void {
    this.#refused++;
  }
}
