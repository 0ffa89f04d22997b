/**
 * The clock seam. Code that needs the time asks a `Clock`, so that a simulation can stop, skew or
 * jump it. No safety property depends on it (docs/architecture.md).
 */

export interface Clock {
  /** Nanoseconds since 1970, UTC. */
  nowNs(): bigint;
  /** Nanoseconds on a clock that never goes back; only differences mean something. */
  monotonicNs(): bigint;
}

export const systemClock: Clock = {
  nowNs: () => {
    // Date.now() is the wall clock after every step of it; performance.timeOrigin would not follow.
    const fraction = process.hrtime.bigint() % 1_000_000n;
    return BigInt(Date.now()) * 1_000_000n + fraction;
  },
  monotonicNs: () => process.hrtime.bigint(),
};

export function nowMs(clock: Clock): number {
  return Number(clock.nowNs() / 1_000_000n);
}
