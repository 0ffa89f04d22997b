/** Where pages of directories end: a keyed hash of names says so, the same for all who write them. */
import { createKeyedHasher } from '../blob/keyed-hasher.ts';
import type { RepositoryKeys } from '../keys/key-hierarchy.ts';
import { leadingU32 } from '../util/bytes.ts';

const PAGE_END_MASK = 511;

/** Whether a page may end at a name. */
export function pageEnds(keys: RepositoryKeys): (name: Uint8Array) => boolean {
  const hash = createKeyedHasher(keys.treePage);
  return (name) => (leadingU32(hash(name)) & PAGE_END_MASK) === 0;
}
