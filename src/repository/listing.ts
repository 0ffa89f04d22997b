/** Listing and reading are two requests: what was listed may be gone when it is read. */
import { CorruptionError } from '../errors.ts';

const TRIES_MAX = 10;

/**
 * Repeats `attempt` until it gives a result. It lists and reads, and gives undefined when something
 * listed was gone, which then was merged or deleted meanwhile.
 * @throws CorruptionError when the listing never stays while it is read.
 */
export async function untilListingStays<T>(
  which: string,
  attempt: () => Promise<T | undefined>,
): Promise<T> {
  for (let i = 0; i < TRIES_MAX; i++) {
    const result = await attempt();
    if (result !== undefined) return result;
  }
  throw new CorruptionError({
    kind: 'records',
    which,
    found: `another listing at each of ${TRIES_MAX} tries`,
    expected: 'a listing that stays while it is read',
  });
}
