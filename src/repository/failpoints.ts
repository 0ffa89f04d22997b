/**
 * The points at which a test can stop, delay or fail `init`, a session and a change of key slots: before and after each
 * step. A test can go through the list; a name that is not in it does not compile.
 */
import { failpoint } from '../util/failpoint.ts';

export const REPOSITORY_FAILPOINTS = [
  'init.before-slot',
  'init.before-config',
  'init.after-config',
  'session.1.before',
  'session.1.after',
  'session.2.after',
  'session.3.before-pack',
  'session.3.after-pack',
  'session.4.before',
  'session.4.after',
  'session.5.before',
  'session.5.after',
  'session.6.before',
  'session.6.after',
  'session.7.before',
  'session.7.after',
  'session.8.before',
  'session.8.after',
  'session.9.before',
  'session.9.after',
  'session.fence.before',
  'session.fence.after',
  'key.before-add',
  'key.after-add',
  'key.before-delete',
  'key.after-delete',
] as const;

export type RepositoryFailpoint = (typeof REPOSITORY_FAILPOINTS)[number];

export function pass(point: RepositoryFailpoint): Promise<void> {
  return failpoint(point);
}
