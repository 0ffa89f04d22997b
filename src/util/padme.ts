/**
 * Padmé: the only lengths packs and directories are allowed to have, so that a length tells an
 * observer little (docs/repository-format.md section 1; the rule is from the PURBs paper, 2019).
 */

/** Smallest allowed length that is at least `length` (bytes, below 2^53). */
export function padme(length: number): number {
  if (length < 2) return length;
  const exponent = Math.floor(Math.log2(length));
  const significantBits = Math.floor(Math.log2(exponent)) + 1;
  const zeroBits = exponent - significantBits;
  if (zeroBits <= 0) return length;
  const step = 2 ** zeroBits;
  return Math.ceil(length / step) * step;
}
