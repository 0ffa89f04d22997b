/** The part of a long run that `TEST_POINTS=<from>-<to>` names, so that it can be cut into pieces. */
export function pointRange(count: number): readonly [number, number] {
  const text = process.env['TEST_POINTS'] ?? '';
  const [from = 0, to = count] = text === '' ? [] : text.split('-').map(Number);
  return [from, to];
}
