/** The packs of `index-writer.ts`, for the tests that look for them. */
import type { PackRecord } from '../../src/pack/pack-record.ts';
import { bigPackOf, idOf } from './index-packs.ts';

export function writerPack(writer: string, i: number): PackRecord {
  const ids = Array.from({ length: 40 }, (_, j) => idOf(`${writer} ${i} ${j}`));
  return bigPackOf(`${writer} ${i}`, ids);
}
