/** Sizes and counts as options give them and tables show them. */

const factors: Readonly<Record<string, number>> = {
  '': 1,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
};

/** The command line cannot be understood. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Bytes of `500`, `64k`, `1.5G`: powers of 1024. @throws UsageError */
export function parseSize(text: string): number {
  const [, amount, unit] = /^(\d+(?:\.\d+)?)([kmgt]?)$/i.exec(text) ?? [];
  const size = Math.floor(Number(amount) * factors[unit?.toLowerCase() ?? '']!);
  if (!(size > 0)) throw new UsageError(`no size: "${text}"`);
  return size;
}

/** Of `5`, `200000` or `1e6`. @throws UsageError unless it is a positive integer. */
export function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isSafeInteger(count) || count < 1) throw new UsageError(`no count: "${text}"`);
  return count;
}

/** In units of 10^6 bytes, as speeds are, to three digits at least. */
export function megabytes(size: number): string {
  const amount = size / 1e6;
  return amount < 100 ? `${Number(amount.toPrecision(3))}` : amount.toFixed(0);
}
