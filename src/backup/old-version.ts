/**
 * The previous version of a file: what the parent snapshot says its chunks were, read as the new
 * version is saved, and with that a hint for each new chunk what it may resemble. What cannot be read
 * of it is no hint.
 */
import { BLOB_TYPE } from '../blob/blob-type.ts';
import { VarveError } from '../errors.ts';
import type { BlobId } from '../id.ts';
import type { ChunkHint } from '../repository/base-finder.ts';
import type { BlobReader } from '../repository/blob-reader.ts';
import { FlatTrials } from '../similarity/guards.ts';
import { OldChunks } from '../similarity/old-chunks.ts';
import { PathHint } from '../similarity/path-hint.ts';
import { type ListChild, readChunks } from '../tree/chunk-list.ts';
import type { Content } from '../tree/content.ts';
import { Malformed } from '../util/byte-reader.ts';

/** Bytes of the old version that are known on both sides of where the new one is. */
const reachSize = 2 ** 26;
/** Chunks kept before those far behind are forgotten: 4 GiB of a file. */
const keptCountMax = 2 ** 16;

export class OldVersion {
  readonly #chunks = new OldChunks();
  readonly #hint = new PathHint();
  readonly #flatTrials = new FlatTrials();
  readonly #batches: AsyncGenerator<readonly ListChild[], void, undefined>;
  #isAtEnd = false;

  constructor(content: Content, reader: BlobReader) {
    this.#batches = readChunks(content, (id) => reader.read(id, BLOB_TYPE.chunkList));
  }

  /** Reads as far as is needed for hints up to that byte of the new version. */
  async reach(offset: number): Promise<void> {
    const { start } = this.#hint.rangeOf(offset, 0);
    while (!this.#isAtEnd && this.#chunks.end < start + reachSize) {
      await this.#readBatch();
      if (this.#chunks.count > keptCountMax) this.#chunks.dropBefore(start - reachSize);
    }
  }

  /** What may resemble the new chunk there. */
  hintFor(offset: number, size: number): ChunkHint | undefined {
    const position = this.#hint.hintFor(this.#chunks, offset, size);
    const id = position < 0 ? undefined : this.#chunks.idAt(position);
    return id && { id: id.slice() as BlobId, flatTrials: this.#flatTrials };
  }

  /** The chunk there is stored already. */
  noteDuplicate(offset: number, id: BlobId): void {
    this.#hint.noteDuplicate(this.#chunks, offset, id);
  }

  async #readBatch(): Promise<void> {
    try {
      const { done, value } = await this.#batches.next();
      this.#isAtEnd = done === true;
      for (const { id, length } of value ?? []) this.#chunks.add(id, Number(length));
    } catch (error) {
      if (!(error instanceof VarveError || error instanceof Malformed)) throw error;
      this.#isAtEnd = true;
    }
  }
}
