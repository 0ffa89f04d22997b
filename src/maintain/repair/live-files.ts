/**
 * Files of the source as they are now, read and cut as they were when they were saved: wherever a file
 * has not changed, its chunks have the ids they had. What is read is only offered; an id says
 * whether it is what was wanted.
 */
import { BLOB_TYPE } from '../../blob/blob-type.ts';
import { chunkStream } from '../../chunk/chunk-stream.ts';
import { createScanner } from '../../chunk/scanner.ts';
import { errnoCode } from '../../errors.ts';
import type { BlobId } from '../../id.ts';
import type { Repository } from '../../repository/repository.ts';
import { ChunkListBuilder } from '../../tree/chunk-list-builder.ts';
import type { Content } from '../../tree/content.ts';
import { concatBytes, equalBytes } from '../../util/bytes.ts';
import { type Extent, findExtents } from '../../walk/extents.ts';
import { nodeSourceFs, type SourceFs } from '../../walk/source-fs.ts';

/** A chunk, borrowed until the promise settles. */
export type OnChunk = (id: BlobId, plaintext: Uint8Array) => Promise<void>;

export interface CutFile {
  content: Content;
  /** Chunk lists of the file; none where it is one chunk. */
  lists: { id: BlobId; plaintext: Uint8Array }[];
}

const SLASH = 0x2f;

export class LiveFiles {
  readonly #repository: Repository;
  readonly #root: Uint8Array;
  readonly #fs: SourceFs;
  readonly #scanner: ReturnType<typeof createScanner>;

  /** @param root absolute; see `candidates` */
  constructor(repository: Repository, root: Uint8Array, fs: SourceFs = nodeSourceFs) {
    this.#repository = repository;
    this.#root = root.at(-1) === SLASH ? root.subarray(0, -1) : root;
    this.#fs = fs;
    this.#scanner = createScanner(repository.keys.chunker, repository.config.chunker);
  }

  /**
   * Reads the file that was saved under this path and gives all of its chunks. Undefined when there is
   * none that can be read: the path itself where it lies in the root, else the path below the root,
   * as a restore leaves it.
   */
  async cut(path: Uint8Array, onChunk: OnChunk): Promise<CutFile | undefined> {
    for (const candidate of this.#candidates(path)) {
      const fd = this.#open(candidate);
      if (fd === undefined) continue;
      try {
        return await this.#cutFile(fd, onChunk);
      } catch (error) {
        if (errnoCode(error) === undefined) throw error;
      } finally {
        this.#fs.close(fd);
      }
    }
    return undefined;
  }

  #candidates(path: Uint8Array): Uint8Array[] {
    const root = this.#root;
    const isBelow = path[root.length] === SLASH && equalBytes(path.subarray(0, root.length), root);
    const moved = concatBytes(root, path);
    return isBelow && root.length > 0 ? [path, moved] : [moved];
  }

  #open(path: Uint8Array): number | undefined {
    try {
      if (this.#fs.lstat(path).type !== 'f') return undefined;
      return this.#fs.openFile(path);
    } catch (error) {
      if (errnoCode(error) === undefined) throw error;
      return undefined;
    }
  }

  async #cutFile(fd: number, onChunk: OnChunk): Promise<CutFile> {
    const { identify } = this.#repository;
    const lists: CutFile['lists'] = [];
    const builder = new ChunkListBuilder((plaintext) => {
      const id = identify(BLOB_TYPE.chunkList, plaintext);
      lists.push({ id, plaintext: plaintext.slice() });
      return id;
    });
    const size = Number(this.#fs.fstat(fd).size);
    const holeSizeMin = this.#repository.config.chunker.minimum;
    for (const extent of findExtents(this.#fs, fd, { size, holeSizeMin })) {
      for (const chunk of chunkStream(this.#scanner, this.#reader(fd, extent))) {
        const id = identify(BLOB_TYPE.data, chunk);
        await onChunk(id, chunk);
        const stored = builder.add(id, chunk.length);
        if (stored !== undefined) await stored;
      }
      if (extent.holeAfter > 0) builder.addHole(BigInt(extent.holeAfter));
    }
    return { content: await builder.finish(), lists };
  }

  /** Fills buffers with what comes next of a stretch; gives 0 at its end. */
  #reader(fd: number, { start, end }: Extent): (target: Uint8Array) => number {
    let position = start;
    return (target) => {
      const wanted = target.subarray(0, Math.min(target.length, end - position));
      const size = wanted.length === 0 ? 0 : this.#fs.read(fd, wanted, position);
      position += size;
      return size;
    };
  }
}
