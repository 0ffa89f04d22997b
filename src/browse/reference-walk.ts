/**
 * Walking trees to tell who needs which blob (`repository/blob-owners.ts`). A page or list that has
 * been looked into for the same owner, or for one above it, is not read again: of a thousand
 * snapshots of one tree each costs the pages that changed.
 */
import { VersionError } from '../errors.ts';
import type { BlobId } from '../id.ts';
import type { LongCall } from '../progress.ts';
import type { BlobOwners } from '../repository/blob-owners.ts';
import type { ReadAccess } from '../repository/read-access.ts';
import type { DirectoryEntry, DirectoryRoot, Node } from '../tree/node.ts';
import { systemClock } from '../util/clock.ts';
import { printable } from '../util/printable.ts';
import { Turns } from '../util/turns.ts';

export class ReferenceWalk {
  readonly #access: ReadAccess;
  readonly #owners: BlobOwners;
  readonly #onProgress: LongCall['onProgress'];
  readonly #turns: Turns;
  readonly #entriesTotal: number;
  #entriesDone = 0;

  /** @param entriesTotal Of all trees that will be walked, for progress. */
  constructor(
    access: ReadAccess,
    owners: BlobOwners,
    options: LongCall & { entriesTotal: number },
  ) {
    this.#access = access;
    this.#owners = owners;
    this.#onProgress = options.onProgress;
    this.#turns = new Turns(systemClock, options.signal);
    this.#entriesTotal = options.entriesTotal;
  }

  /** An owner needs a directory with everything below it. @throws as `claimEntry` does */
  async claimTree(root: DirectoryRoot, owner: number): Promise<void> {
    const pages = this.#access.wantedEntries(root, ({ id, entries }) => {
      if (this.#owners.claim(id, owner)) return true;
      this.#entriesDone += Number(entries);
      return false;
    });
    for await (const entries of pages) {
      this.#entriesDone += entries.length;
      for (const entry of entries) {
        if (!this.#claimSimple(entry, owner)) await this.#claimBelow(entry, owner);
      }
      await this.takeTurn();
    }
  }

  /**
   * The entries of a directory, which the caller gives to owners of their own; its pages go to `owner`.
   * @throws as `claimEntry` does
   */
  async *splitDirectory(
    root: DirectoryRoot,
    owner: number,
  ): AsyncGenerator<Node[], void, undefined> {
    const pages = this.#access.wantedEntries(root, ({ id }) => {
      this.#owners.claimPage(id, owner);
      return true;
    });
    for await (const entries of pages) {
      this.#entriesDone += entries.length;
      yield entries.map(demandKnown);
      await this.takeTurn();
    }
  }

  /**
   * An owner needs an entry with everything below it.
   * @throws NotFoundError, CorruptionError, StorageError when something is not there or unreadable.
   * @throws VersionError for an entry of a later version: nobody knows what it needs.
   */
  async claimEntry(entry: DirectoryEntry, owner: number): Promise<void> {
    if (!this.#claimSimple(entry, owner)) await this.#claimBelow(entry, owner);
  }

  /** An owner needs what belongs to an entry itself, not to those in it. */
  claimAttributes({ attributeBlob }: Node, owner: number): void {
    if (attributeBlob !== undefined) this.#owners.claim(attributeBlob, owner);
  }

  async takeTurn(): Promise<void> {
    if (!this.#turns.isOver) return;
    const done = { filesDone: this.#entriesDone, filesTotal: this.#entriesTotal, bytesDone: 0 };
    this.#onProgress?.({ phase: 'trees', ...done });
    await this.#turns.next();
  }

  /** Most entries have nothing to read; false when there is. */
  #claimSimple(entry: DirectoryEntry, owner: number): boolean {
    const node = demandKnown(entry);
    this.claimAttributes(node, owner);
    if (node.directory !== undefined || node.content?.kind === 'list') return false;
    if (node.content?.kind === 'blob') this.#owners.claim(node.content.id, owner);
    return true;
  }

  async #claimBelow(entry: DirectoryEntry, owner: number): Promise<void> {
    const { directory, content } = demandKnown(entry);
    if (directory !== undefined) await this.claimTree(directory, owner);
    if (content === undefined) return;
    const isWanted = (list: BlobId) => this.#owners.claim(list, owner);
    for await (const chunks of this.#access.chunks(content, isWanted)) {
      for (const { id } of chunks) if (id !== undefined) this.#owners.claim(id, owner);
      await this.takeTurn();
    }
  }
}

function demandKnown(entry: DirectoryEntry): Node {
  if (entry.type !== 'refused') return entry;
  const what = `entry "${printable(entry.name)}"`;
  throw new VersionError(what, `field ${entry.tag}`, 'none of that number');
}
