/** Looking into a snapshot: the entries of a directory, or of everything below it, in tree order. */
import { NotFoundError } from '../errors.ts';
import type { ReadAccess } from '../repository/read-access.ts';
import type { Snapshot } from '../snapshot/selection.ts';
import type { DirectoryEntry, DirectoryRoot } from '../tree/node.ts';
import { concatBytes } from '../util/bytes.ts';
import { printable } from '../util/printable.ts';

export interface ListedEntry {
  /** Absolute path in the snapshot, raw bytes. */
  path: Uint8Array;
  entry: DirectoryEntry;
}

export interface ListOptions {
  snapshot: Snapshot;
  /** Names from `/`; empty for `/` itself. */
  names: readonly Uint8Array[];
  isRecursive: boolean;
}

const SLASH = Uint8Array.of(0x2f);

/**
 * The entry at the path when it is no directory, else what is in it.
 * @throws NotFoundError, CorruptionError, StorageError
 */
export async function* listEntries(
  access: ReadAccess,
  options: ListOptions,
): AsyncGenerator<ListedEntry, void, undefined> {
  const { snapshot, names, isRecursive } = options;
  const path = concatBytes(...names.flatMap((name) => [SLASH, name]));
  const { root } = snapshot.manifest;
  let directory: DirectoryRoot | undefined = root.entries === 0n ? undefined : root;
  if (names.length > 0) {
    const entry = await access.find(root, names);
    if (entry === undefined) throw new NotFoundError('path', printable(path));
    if (entry.type !== 'd') {
      yield { path, entry };
      return;
    }
    directory = entry.directory;
  }
  if (directory !== undefined) yield* listBelow(access, { path, directory, isRecursive });
}

async function* listBelow(
  access: ReadAccess,
  from: { path: Uint8Array; directory: DirectoryRoot; isRecursive: boolean },
): AsyncGenerator<ListedEntry, void, undefined> {
  const { isRecursive } = from;
  for await (const entries of access.directory(from.directory)) {
    for (const entry of entries) {
      const path = concatBytes(from.path, SLASH, entry.name);
      yield { path, entry };
      const { directory } = entry;
      if (isRecursive && directory !== undefined) {
        yield* listBelow(access, { path, directory, isRecursive });
      }
    }
  }
}
