/**
 * Where nothing is gained, little may be lost: when to leave out features and trials. Each guard counts
 * what it is told and knows nothing else.
 */

const PROBE_AFTER_CHUNKS = 4096;
/** Of so many chunks one run of so many is probed, so that neighbours can meet their likes. */
const PROBE_PERIOD = 256;
const PROBE_LENGTH = 32;

/** Leaves out features after many new chunks without an accepted delta, but for one in eight. */
export class ProbeMode {
  #chunkCount = 0;
  #inVain = 0;

  /** A new chunk that is not flat: whether to compute its features. */
  next(): boolean {
    const isProbed = this.#chunkCount % PROBE_PERIOD < PROBE_LENGTH;
    const isWanted = this.#inVain < PROBE_AFTER_CHUNKS || isProbed;
    this.#chunkCount++;
    this.#inVain++;
    return isWanted;
  }

  noteAccepted(): void {
    this.#inVain = 0;
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
