/** The points at which a test can stop, delay or fail a collection: before and after each step. */
import { failpoint } from '../../util/failpoint.ts';

export const PRUNE_FAILPOINTS = [
  'prune.1.before',
  'prune.2.after',
  'prune.3.before',
  'prune.3.after',
  'prune.4.before',
  'prune.4.after',
  'prune.5.before',
  'prune.5.waiting',
  'prune.5.after',
  'prune.6.after',
  'prune.7.before',
  'prune.7.after',
  'prune.8.before',
  'prune.8.deleted',
  'prune.8.after',
  'compact.before',
  'compact.after',
  'compact.deleted',
  'merge.before',
  'merge.after',
  'merge.deleted',
] as const;

export type PruneFailpoint = (typeof PRUNE_FAILPOINTS)[number];

export function pass(point: PruneFailpoint): Promise<void> {
  return failpoint(point);
}
