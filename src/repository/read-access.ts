/**
 * Reading an open repository: its view, the local index brought up to date, and blobs, trees and
 * file contents on top of them. A blob that the index does not know, or of which no known copy
 * decodes, may lie in a pack whose segment is lost, or the index may be wrong: the first failure
 * builds it again, from the segments and from the directories of all packs that no segment names.
 */
import { BLOB_TYPE, BLOB_TYPE_NAMES, type BlobType } from '../blob/blob-type.ts';
import { CorruptionError, NotFoundError, VarveError } from '../errors.ts';
import type { BlobId } from '../id.ts';
import { type Location, locate } from '../index/presence.ts';
import type { LongCall } from '../progress.ts';
import type { SnapshotRoot } from '../snapshot/manifest.ts';
import { type Attribute, decodeAttributeBlob } from '../tree/attributes.ts';
import { type ListChild, readChunks } from '../tree/chunk-list.ts';
import type { Content } from '../tree/content.ts';
import { findPath } from '../tree/find-path.ts';
import type { DirectoryEntry, DirectoryRoot } from '../tree/node.ts';
import { type IsWantedPage, readDirectory, readWantedPages } from '../tree/tree-reader.ts';
import { Malformed } from '../util/byte-reader.ts';
import { toHex } from '../util/bytes.ts';
import { BasePlanner } from './base-plan.ts';
import { BlobReader, type FoundCopy, type OnBadCopy } from './blob-reader.ts';
import { type IndexSync, indexFromPacks, rebuildIndex, syncIndex } from './index-sync.ts';
import type { Repository } from './repository.ts';
import { loadView, type View } from './view.ts';

/** A copy of a chunk as the index knows it. */
export type ChunkLocation = Location;

/** Progress is that of the index; what is read then tells its own. */
export interface ReadOptions extends LongCall {
  onBadCopy?: OnBadCopy | undefined;
  /** False: the index stays as it is, whatever is not found; default: true. */
  mayRebuild?: boolean | undefined;
}

/** Loads the view and the index for reading. */
export async function openReadAccess(
  repository: Repository,
  options: ReadOptions = {},
): Promise<ReadAccess> {
  const view = await loadView(repository, 'read');
  const sync = await syncIndex(repository, view, options);
  return new ReadAccess(repository, { view, sync, ...options });
}

/**
 * The same for whoever holds numbers of packs: the index is completed first, by packs that no segment
 * names, and then stays as it is.
 */
export async function openFixedAccess(
  repository: Repository,
  options: ReadOptions = {},
): Promise<ReadAccess> {
  const { view, sync } = await openReadAccess(repository, options);
  await indexFromPacks(repository, sync, options);
  return new ReadAccess(repository, { ...options, view, sync, mayRebuild: false });
}

export class ReadAccess {
  readonly view: View;
  readonly #repository: Repository;
  readonly #options: ReadOptions;
  #sync: IndexSync;
  #reader: BlobReader;
  #mayRebuild: boolean;

  constructor(repository: Repository, parts: { view: View; sync: IndexSync } & ReadOptions) {
    this.view = parts.view;
    this.#repository = repository;
    this.#options = parts;
    this.#sync = parts.sync;
    this.#mayRebuild = parts.mayRebuild ?? true;
    this.#reader = new BlobReader(repository, parts.sync.index, parts.onBadCopy);
  }

  /** Another one, with another index, after a blob was not found. */
  get sync(): IndexSync {
    return this.#sync;
  }

  /**
   * The verified plaintext of a blob; not to be changed.
   * @throws NotFoundError, CorruptionError, StorageError
   */
  async read(id: BlobId, type: BlobType): Promise<Uint8Array> {
    const { signal } = this.#options;
    signal?.throwIfAborted();
    try {
      return await this.#reader.read(id, type, { signal });
    } catch (error) {
      const isUnusable = error instanceof NotFoundError || error instanceof CorruptionError;
      if (!isUnusable || !this.#mayRebuild) throw error;
      this.#mayRebuild = false;
      await this.#rebuild();
      return await this.#reader.read(id, type, { signal });
    }
  }

  /** The content of one chunk of a file. */
  async readChunk(id: BlobId): Promise<Uint8Array> {
    return await this.read(id, BLOB_TYPE.data);
  }

  /** Where a copy of a chunk should be, if the index knows one; nothing is read. */
  locateChunk(id: BlobId): ChunkLocation | undefined {
    const location = locate(this.#sync.index, id)[0];
    return location?.blob.type === BLOB_TYPE.data ? location : undefined;
  }

  /** Where the bases of deltas lie, for whoever has no index. */
  planBases(): BasePlanner {
    return new BasePlanner(this.#sync.index);
  }

  async #rebuild(): Promise<void> {
    const { signal, onBadCopy } = this.#options;
    try {
      this.#sync = await rebuildIndex(this.#repository, this.view, { signal });
    } catch (error) {
      // Whoever goes on after that needs an index that is open, though it knows less.
      this.#sync = { ...this.#sync, index: await this.#repository.index.open() };
      throw error;
    } finally {
      this.#reader = new BlobReader(this.#repository, this.#sync.index, onBadCopy);
    }
  }

  /** See `BlobReader.verifyCopy`. */
  async verifyCopy(copy: FoundCopy): Promise<void> {
    const { signal } = this.#options;
    signal?.throwIfAborted();
    await this.#reader.verifyCopy(copy, signal);
  }

  /**
   * All entries of a directory, in batches.
   * @param onBadPage Told of pages that cannot be read, which are then left out; default: throw.
   */
  async *directory(
    root: DirectoryRoot,
    onBadPage: (error: VarveError, id: BlobId) => void = rethrow,
  ): AsyncGenerator<DirectoryEntry[], void, undefined> {
    const load = (id: BlobId) => this.read(id, BLOB_TYPE.treePage);
    yield* readDirectory(root, load, (error, id) => {
      const failure = named(error, { kind: 'tree page', which: toHex(id) });
      if (!(failure instanceof VarveError)) throw failure;
      onBadPage(failure, id);
    });
  }

  /** The entries in those pages of a directory that are wanted, in batches. */
  async *wantedEntries(
    root: DirectoryRoot,
    isWanted: IsWantedPage,
  ): AsyncGenerator<DirectoryEntry[], void, undefined> {
    const load = (id: BlobId) => this.read(id, BLOB_TYPE.treePage);
    try {
      yield* readWantedPages(root, load, isWanted);
    } catch (error) {
      throw named(error, { kind: 'directory', which: toHex(root.id) });
    }
  }

  /**
   * Chunks and holes of a file, in batches.
   * @param isWanted Of lists; one that is not wanted is left out with all below it. Default: all.
   */
  async *chunks(
    content: Content,
    isWanted?: (list: BlobId) => boolean,
  ): AsyncGenerator<ListChild[], void, undefined> {
    const which = content.kind === 'empty' ? 'empty' : toHex(content.id);
    const batches = readChunks(content, (id) => this.read(id, BLOB_TYPE.chunkList), isWanted);
    try {
      yield* batches;
    } catch (error) {
      throw named(error, { kind: 'chunk list', which });
    }
  }

  /**
   * The attributes of a node whose own are too long to stand in it; views.
   * @throws as `read`
   */
  async attributes(id: BlobId): Promise<Attribute[]> {
    const plaintext = await this.read(id, BLOB_TYPE.attributes);
    try {
      return decodeAttributeBlob(plaintext);
    } catch (error) {
      throw named(error, { kind: BLOB_TYPE_NAMES[BLOB_TYPE.attributes], which: toHex(id) });
    }
  }

  /** The entry at a path of names from `/`, or undefined. */
  async find(
    root: SnapshotRoot,
    names: readonly Uint8Array[],
  ): Promise<DirectoryEntry | undefined> {
    try {
      return await findPath(root, names, (id) => this.read(id, BLOB_TYPE.treePage));
    } catch (error) {
      throw named(error, { kind: 'tree', which: toHex(root.id) });
    }
  }
}

function rethrow(error: VarveError): never {
  throw error;
}

/** A well-sealed page or list that makes no sense is damage of that object. */
function named(error: unknown, object: { kind: string; which: string }): unknown {
  if (!(error instanceof Malformed)) return error;
  const expected = 'what the format allows';
  return new CorruptionError({ ...object, found: error.message, expected }, error);
}
