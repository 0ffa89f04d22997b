/**
 * What becomes of an entry that is in the target already. Only an entry of the same kind is ever replaced,
 * whole and at once: the new one is made under a name of its own and renamed. What is kept is not looked at
 * further, and nothing is ever written into it.
 */
import type { FileStat } from '../platform/file-stat.ts';
import type { Node } from '../tree/node.ts';

/**
 * `never`: what is there is kept. `if-changed`: kept where size and time of modification are those of the
 * snapshot. `if-newer`: replaced where the snapshot has a later time of modification. `always`: replaced.
 */
export type Overwrite = 'never' | 'if-changed' | 'if-newer' | 'always';

/** @param existing of the same type as the node */
export function isKept(overwrite: Overwrite, node: Node, existing: FileStat): boolean {
  if (overwrite === 'if-changed') return isSame(node, existing);
  if (overwrite === 'if-newer') return !isNewer(node, existing);
  return overwrite === 'never';
}

function isSame({ type, size, target, mtime }: Node, existing: FileStat): boolean {
  const expected = type === 'f' ? size : type === 'l' ? BigInt(target?.length ?? 0) : existing.size;
  return (
    existing.size === expected &&
    existing.mtime.seconds === mtime?.seconds &&
    existing.mtime.nanoseconds === mtime.nanoseconds
  );
}

function isNewer({ mtime }: Node, existing: FileStat): boolean {
  if (mtime === undefined) return true;
  const { seconds, nanoseconds } = existing.mtime;
  if (mtime.seconds !== seconds) return mtime.seconds > seconds;
  return mtime.nanoseconds > nanoseconds;
}
