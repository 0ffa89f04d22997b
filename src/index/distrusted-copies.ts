/**
 * Copies of blobs that were read and found damaged. They lie in packs that are there, so that only
 * this says that nothing may rely on them any more.
 */
import type { PackName } from '../id.ts';

/** By pack: keys of the blobs whose copy in it is damaged (`blobKey`), or all that it holds. */
export type DistrustedCopies = Map<PackName, Set<string> | 'all'>;
