/**
 * The scanner of the write path: SIMD where the machine has it, the plain one elsewhere. Both cut
 * alike, so clients of one repository may differ in it.
 */
import type { ChunkerProfile } from './profile.ts';
import { createReferenceScanner } from './scan-reference.ts';
import { createSimdScanner, hasSimd } from './scan-simd.ts';
import type { Scanner, ScannerOptions } from './scanner-contract.ts';

export function createScanner(
  chunkerKey: Uint8Array,
  profile: ChunkerProfile,
  options?: ScannerOptions,
): Scanner {
  const create = hasSimd() ? createSimdScanner : createReferenceScanner;
  return create(chunkerKey, profile, options);
}
