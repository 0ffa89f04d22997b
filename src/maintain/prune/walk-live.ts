/**
 * Steps 1 and 2 of a collection, and step 6 again: everything that snapshots reach goes into the live
 * set. A page, list or attribute blob that is in the set already was walked before, with all below
 * it; so what snapshots share is read once.
 *
 * Nothing may be deleted by a walk that did not see everything: whatever is missing, unreadable or of
 * a later version ends it.
 */
import { BLOB_TYPE, BLOB_TYPE_NAMES, type BlobType } from '../../blob/blob-type.ts';
import { CorruptionError, NotFoundError, type VarveError, VersionError } from '../../errors.ts';
import type { BlobId } from '../../id.ts';
import type { ReadAccess } from '../../repository/read-access.ts';
import type { Snapshot } from '../../snapshot/selection.ts';
import type { DirectoryEntry, DirectoryRoot } from '../../tree/node.ts';
import { toHex } from '../../util/bytes.ts';
import type { Turns } from '../../util/turns.ts';
import type { LiveSet } from './live-set.ts';

export interface WalkOptions {
  access: ReadAccess;
  live: LiveSet;
  turns: Turns;
  /** Told after each page how many entries it had. */
  onEntries: (count: number) => void;
}

/**
 * Adds what the snapshot reaches.
 * @throws NotFoundError, CorruptionError, VersionError, StorageError, or the signal's reason
 */
export async function walkSnapshot(
  { id, manifest }: Snapshot,
  options: WalkOptions,
): Promise<void> {
  const walk = new Walk(options);
  try {
    await walk.directory(manifest.root);
  } catch (error) {
    if (!(error instanceof NotFoundError || error instanceof CorruptionError)) throw error;
    throw brokenSnapshot(id, error);
  }
}

class Walk {
  readonly #options: WalkOptions;

  constructor(options: WalkOptions) {
    this.#options = options;
  }

  async directory(root: DirectoryRoot): Promise<void> {
    const { access, turns, onEntries } = this.#options;
    const isWanted = ({ id }: { id: BlobId }): boolean => this.#add(id, BLOB_TYPE.treePage);
    for await (const entries of access.wantedEntries(root, isWanted)) {
      onEntries(entries.length);
      // Most of a page needs no more than a look, and is let go before the directories in it.
      const rest = entries.filter((entry) => !this.#isPlain(entry));
      entries.length = 0;
      for (const entry of rest) await this.#enter(entry);
      if (turns.isOver) await turns.next();
    }
  }

  /** Adds what the entry names itself; true when there is nothing to read below it. */
  #isPlain(entry: DirectoryEntry): boolean {
    if (entry.type === 'refused') {
      throw new VersionError('an entry of a tree', `field ${entry.tag}`, 'fields of format 1');
    }
    const { attributeBlob, content, directory } = entry;
    if (attributeBlob !== undefined) this.#add(attributeBlob, BLOB_TYPE.attributes);
    if (content?.kind === 'blob') this.#add(content.id, BLOB_TYPE.data);
    return directory === undefined && content?.kind !== 'list';
  }

  async #enter(entry: DirectoryEntry): Promise<void> {
    if (entry.type === 'refused') return;
    const { access } = this.#options;
    if (entry.directory !== undefined) await this.directory(entry.directory);
    if (entry.content?.kind !== 'list') return;
    const isWanted = (list: BlobId): boolean => this.#add(list, BLOB_TYPE.chunkList);
    for await (const chunks of access.chunks(entry.content, isWanted)) {
      for (const { id } of chunks) if (id !== undefined) this.#add(id, BLOB_TYPE.data);
    }
  }

  /** False when it was there before. */
  #add(id: BlobId, type: BlobType): boolean {
    const added = this.#options.live.add(id, type);
    if (added === 'missing') throw new NotFoundError(BLOB_TYPE_NAMES[type], toHex(id));
    return added === 'new';
  }
}

function brokenSnapshot(id: string, error: VarveError): CorruptionError {
  const found = `${error.message}; nothing was deleted: run "varve check", then "varve repair"`;
  const expected = 'everything that it reaches';
  return new CorruptionError({ kind: 'snapshot', which: id, found, expected }, error);
}
