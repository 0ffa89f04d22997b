/**
 * The tree of the parent snapshot, read in step with the walk, so that what has not changed since need
 * not be opened. It only saves reading: what is reused must be there, by rule CLOSURE (`Session.trusts`)
 * or blob by blob.
 *
 * What cannot be read of the parent counts as changed.
 */
import { BLOB_TYPE } from '../blob/blob-type.ts';
import { VarveError } from '../errors.ts';
import type { BlobId } from '../id.ts';
import type { BlobReader } from '../repository/blob-reader.ts';
import { readChunks } from '../tree/chunk-list.ts';
import type { Content } from '../tree/content.ts';
import type { DirectoryEntry, DirectoryRoot, Node } from '../tree/node.ts';
import { readDirectory } from '../tree/tree-reader.ts';
import { Malformed } from '../util/byte-reader.ts';
import { bufferOf } from '../util/bytes.ts';

export interface ParentOptions {
  readonly reader: BlobReader;
  /** Undefined when the parent's blobs are known to be there. */
  readonly isPresent: ((id: BlobId) => boolean) | undefined;
  readonly onNotice: (text: string) => void;
}

/** One directory of the parent; names are asked for in ascending order. */
export class ParentDirectory {
  readonly root: DirectoryRoot | undefined;
  readonly #options: ParentOptions;
  readonly #batches: AsyncGenerator<DirectoryEntry[], void, undefined>;
  #batch: readonly DirectoryEntry[] = [];
  #position = 0;
  #isAtEnd = false;
  #isWhole = true;

  /** @param root undefined for an empty directory */
  constructor(root: DirectoryRoot | undefined, options: ParentOptions) {
    this.root = root;
    this.#options = options;
    this.#batches = this.#read(() => {
      this.#isWhole = false;
    });
  }

  /** Every name asked for so far was there, none was passed over, and all pages read are present. */
  get isWhole(): boolean {
    return this.#isWhole;
  }

  /**
   * The node of that name (latin1 text), or undefined; a promise where another page must be read
   * first.
   */
  find(name: string): Node | undefined | Promise<Node | undefined> {
    while (this.#position < this.#batch.length) {
      const entry = this.#batch[this.#position] as DirectoryEntry;
      const found = bufferOf(entry.name).toString('latin1');
      if (found > name) break;
      this.#position++;
      if (found === name && entry.type !== 'refused') return entry;
      this.#isWhole = false; // It is gone by now, or of a kind we do not know.
      if (found === name) return undefined;
    }
    if (this.#position === this.#batch.length && !this.#isAtEnd) {
      return this.#readBatch().then(() => this.find(name));
    }
    this.#isWhole = false;
    return undefined;
  }

  /** Whether the directory has nothing but the names that were asked for. */
  async isMatched(): Promise<boolean> {
    while (this.#isWhole && this.#position === this.#batch.length && !this.#isAtEnd) {
      await this.#readBatch();
    }
    return this.#isWhole && this.#position === this.#batch.length;
  }

  /** The first `count` nodes, read again. @throws CorruptionError, NotFoundError, StorageError */
  async *first(count: number): AsyncGenerator<Node, void, undefined> {
    let left = count;
    if (left === 0) return;
    for await (const batch of this.#read(() => {})) {
      for (const entry of batch) {
        yield entry as Node;
        left -= 1;
        if (left === 0) return;
      }
    }
  }

  /** Whether the content of a node is there, and its attributes. */
  hasBlobsOf({ content, attributeBlob }: Node): boolean | Promise<boolean> {
    const { isPresent } = this.#options;
    if (isPresent === undefined) return true;
    if (attributeBlob !== undefined && !isPresent(attributeBlob)) return false;
    if (content === undefined || content.kind === 'empty') return true;
    return this.#hasChunks(content, isPresent);
  }

  async #hasChunks(content: Content, isPresent: (id: BlobId) => boolean): Promise<boolean> {
    const { reader } = this.#options;
    try {
      for await (const chunks of readChunks(content, async (id) => {
        if (!isPresent(id)) throw new Absent();
        return await reader.read(id, BLOB_TYPE.chunkList);
      })) {
        for (const { id } of chunks) if (id !== undefined && !isPresent(id)) return false;
      }
      return true;
    } catch (error) {
      if (isUnreadable(error) || error instanceof Absent) return false;
      throw error;
    }
  }

  #read(onAbsent: () => void): AsyncGenerator<DirectoryEntry[], void, undefined> {
    const { reader, isPresent } = this.#options;
    const { root } = this;
    if (root === undefined || root.entries === 0n) return nothing();
    return readDirectory(root, async (id) => {
      if (isPresent?.(id) === false) onAbsent();
      return await reader.read(id, BLOB_TYPE.treePage);
    });
  }

  async #readBatch(): Promise<void> {
    try {
      const next = await this.#batches.next();
      this.#isAtEnd = next.done === true;
      this.#batch = next.done === true ? [] : next.value;
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      this.#options.onNotice(`Cannot read a part of the parent snapshot: ${error.message}`);
      this.#isWhole = false;
      this.#isAtEnd = true;
      this.#batch = [];
    }
    this.#position = 0;
  }
}

/** A list of a content is not there. */
class Absent extends Error {}

async function* nothing(): AsyncGenerator<DirectoryEntry[], void, undefined> {}

function isUnreadable(error: unknown): error is Error {
  return error instanceof Malformed || error instanceof VarveError;
}
