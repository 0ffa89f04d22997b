/** Packs so large that a table of features is written after each: of every process another one. */
import type { BlobId } from '../../src/id.ts';
import type { PackRecord } from '../../src/pack/pack-record.ts';
import { bigPackOf, randomIds } from './index-packs.ts';
import { seededRandom } from './seeded-random.ts';

const blobCount = 2 ** 15;

/** @param number of the process; `features` has 24 bytes for each id. */
export function packOfProcess(number: number): {
  pack: PackRecord;
  ids: BlobId[];
  features: Uint8Array;
} {
  const random = seededRandom(number);
  const ids = randomIds(random, blobCount);
  const features = random.bytes(24 * blobCount);
  return { pack: bigPackOf(`of process ${number}`, ids, features), ids, features };
}
