/**
 * The one way to state an invariant. A failed assertion is a programmer error: nobody catches it,
 * and it is never used to judge bytes that come from outside (those are `CorruptionError`).
 */
import { AssertionError } from 'node:assert';

export function assert(isTrue: boolean, message: string): asserts isTrue {
  if (!isTrue) throw new AssertionError({ message });
}
