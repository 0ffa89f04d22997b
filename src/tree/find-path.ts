/** Following a path through directories, one page per level of each. */
import type { LoadBlob } from './blob-access.ts';
import type { DirectoryEntry, DirectoryRoot } from './node.ts';
import { findEntry } from './tree-reader.ts';

/**
 * The entry that `names` lead to from a directory, or undefined when there is none. Symlinks are not
 * followed.
 * @param names at least one
 * @throws Malformed
 */
export async function findPath(
  root: DirectoryRoot,
  names: readonly Uint8Array[],
  load: LoadBlob,
): Promise<DirectoryEntry | undefined> {
  let directory: DirectoryRoot | undefined = root;
  let entry: DirectoryEntry | undefined;
  for (const name of names) {
    if (directory === undefined) return undefined;
    entry = await findEntry(directory, name, load);
    directory = entry?.directory;
  }
  return entry;
}
