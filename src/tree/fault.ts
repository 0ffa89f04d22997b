/**
 * Rules that values must keep are written once, as functions that say what is wrong, if anything
 * (`nodeFault`, `contentFault`, …). A reader refuses a fault, for it came from outside; a writer
 * asserts that there is none, for it made the value itself.
 */
import { assert } from '../util/assert.ts';
import { Malformed } from '../util/byte-reader.ts';

export type Fault = string | undefined;

/** @throws Malformed when there is a fault. */
export function refuseFault(fault: Fault): void {
  if (fault !== undefined) throw new Malformed(fault);
}

export function assertFaultless(fault: Fault): void {
  assert(fault === undefined, fault ?? '');
}
