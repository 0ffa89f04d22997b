/**
 * Writing the content of one file: chunks and holes come in order, lists go to the store as they
 * fill, the heights above grow along. A list ends at a child whose id says so, so that lists fall
 * into step again after an insertion; holes, having no id, never end one that way.
 *
 * A builder is empty again after `finish`, and may be used for the next file with the memory of the
 * last.
 */
import type { BlobId } from '../id.ts';
import { assert } from '../util/assert.ts';
import { leadingU32 } from '../util/bytes.ts';
import { BLOB_SIZE_MAX, type StoreBlob } from './blob-access.ts';
import { LIST_COUNT_MAX, type ListChild, ListWriter } from './chunk-list.ts';
import { type Content, FILE_SIZE_MAX, LIST_HEIGHT_MAX } from './content.ts';
import { type Level, Levels } from './levels.ts';

/** From this count on a child's id may end the list. */
export const LIST_CUT_MIN = 256;

const cutMask = 1023;

export class ChunkListBuilder {
  readonly #lowest = new ListLevel(0);
  readonly #levels: Levels<ListChild>;
  #length = 0n;
  #chunks = 0n;
  /** Hole not written yet: the next one joins it. */
  #holeLength = 0n;
  /** Copy of the first data blob while it is all there is. */
  #onlyBlob: BlobId | undefined;

  constructor(store: StoreBlob) {
    this.#levels = new Levels({
      openLevel: (height) => (height === 0 ? this.#lowest : new ListLevel(height)),
      store,
      heightMax: LIST_HEIGHT_MAX,
    });
  }

  /** Appends a data blob. A promise that comes back must be awaited before the next call. */
  add(id: BlobId, length: number): Promise<void> | undefined {
    assert(!this.#levels.isStoring, 'add() while a list is being stored');
    assert(length >= 1 && length <= BLOB_SIZE_MAX, 'blob length');
    const child = { id, length: BigInt(length) };
    const stored = this.#appendHole();
    return stored === undefined ? this.#append(child) : stored.then(() => this.#append(child));
  }

  /** Appends a hole; neighbouring holes become one. */
  addHole(length: bigint): void {
    assert(length >= 1n, 'hole length');
    this.#holeLength += length;
  }

  /** Stores what is open, where a list is needed at all. */
  async finish(): Promise<Content> {
    assert(!this.#levels.isStoring, 'finish() while a list is being stored');
    const stored = this.#appendHole();
    if (stored !== undefined) await stored;
    const [length, chunks, onlyBlob] = [this.#length, this.#chunks, this.#onlyBlob];
    this.#length = 0n;
    this.#chunks = 0n;
    this.#onlyBlob = undefined;
    if (onlyBlob !== undefined) {
      this.#lowest.take();
      return { kind: 'blob', id: onlyBlob, length };
    }
    const end = await this.#levels.finish();
    if (end?.root.id === undefined) return { kind: 'empty' };
    return { kind: 'list', id: end.root.id, height: end.height, length, chunks };
  }

  #appendHole(): Promise<void> | undefined {
    if (this.#holeLength === 0n) return undefined;
    const hole = { id: undefined, length: this.#holeLength };
    this.#holeLength = 0n;
    return this.#append(hole);
  }

  #append(child: ListChild): Promise<void> | undefined {
    this.#onlyBlob = this.#chunks === 0n ? copyOfId(child) : undefined;
    this.#chunks++;
    this.#length += child.length;
    assert(this.#length <= FILE_SIZE_MAX, 'file too long');
    return this.#lowest.addChild(child) ? this.#levels.endLowest() : undefined;
  }
}

function copyOfId({ id }: ListChild): BlobId | undefined {
  return id?.slice() as BlobId | undefined;
}

/** The lists of one height with the length of the open one. */
class ListLevel implements Level<ListChild> {
  readonly #list: ListWriter;
  #length = 0n;

  constructor(height: number) {
    this.#list = new ListWriter(height);
  }

  get count(): number {
    return this.#list.count;
  }

  addChild(child: ListChild): boolean {
    this.#list.add(child);
    this.#length += child.length;
    const { count } = this.#list;
    return count === LIST_COUNT_MAX || (count >= LIST_CUT_MIN && isCut(child.id));
  }

  take(): { blob: Uint8Array; refer: (id: BlobId) => ListChild } {
    const length = this.#length;
    this.#length = 0n;
    return { blob: this.#list.take(), refer: (id) => ({ id, length }) };
  }
}

function isCut(id: BlobId | undefined): boolean {
  return id !== undefined && (leadingU32(id) & cutMask) === 0;
}
