/** Small sets as bit masks, and results remembered by numbers: what both models are made of. */

const MASK_BITS = 10;

const MEMBERS: readonly (readonly number[])[] = Array.from({ length: 2 ** MASK_BITS }, (_, mask) =>
  Array.from({ length: MASK_BITS }, (_, i) => i).filter((i) => (mask >> i) & 1),
);

/** Numbers whose bits are set, ascending. */
export function membersOf(mask: number): readonly number[] {
  return MEMBERS[mask] as readonly number[];
}

export function maskOf(members: Iterable<number>): number {
  let mask = 0;
  for (const member of members) mask |= 1 << member;
  return mask;
}

export function has(mask: number, member: number): boolean {
  return ((mask >> member) & 1) === 1;
}

/** All parts of a set, the largest first and the empty one last. */
export function partsOf(mask: number): number[] {
  const parts = [mask];
  for (let part = mask; part !== 0; ) {
    part = (part - 1) & mask;
    parts.push(part);
  }
  return parts;
}

/** Those parts that no other one contains. */
export function largestOf(parts: readonly number[]): number[] {
  return parts.filter((part) => !parts.some((other) => other !== part && (part & other) === part));
}

/** The sets in `parts`, in words. */
export function nameSet(mask: number): string {
  return `{${membersOf(mask).join(' ')}}`;
}

/** A copy with another item at that place. */
export function replaced<T>(items: readonly T[], place: number, item: T): readonly T[] {
  const copy = items.slice();
  copy[place] = item;
  return copy;
}

/** A function that computes each result once. */
export function remember<Args extends number[], T>(
  keyOf: (...args: Args) => number,
  compute: (...args: Args) => T,
): (...args: Args) => T {
  const results = new Map<number, T>();
  return (...args) => {
    const key = keyOf(...args);
    let result = results.get(key);
    if (result === undefined) {
      result = compute(...args);
      results.set(key, result);
    }
    return result;
  };
}
