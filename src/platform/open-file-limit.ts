/** How many files this process may have open, for whoever keeps many open on purpose. */
import { readFileSync } from 'node:fs';

let limit: number | 'unknown' | undefined;

/**
 * The limit of open descriptors of this process; undefined where the system does not tell. Node has
 * raised it as far as it may when it started.
 */
export function openFileLimit(): number | undefined {
  limit ??= readLimit() ?? 'unknown';
  return limit === 'unknown' ? undefined : limit;
}

function readLimit(): number | undefined {
  try {
    return parseOpenFileLimit(readFileSync('/proc/self/limits', 'latin1'));
  } catch {
    // No /proc here.
    return undefined;
  }
}

/** From the table that Linux shows: the soft limit, the first number of its line. */
export function parseOpenFileLimit(limits: string): number | undefined {
  const found = /^Max open files +(\d+|unlimited) /m.exec(limits)?.[1];
  if (found === undefined) return undefined;
  return found === 'unlimited' ? Number.MAX_SAFE_INTEGER : Number(found);
}
