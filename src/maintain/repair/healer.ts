/**
 * Looks for the content of blobs that are damaged or missing, and stores what it finds. Every blob
 * that a source gives is identified, so that a source can be wrong or changed and do no harm.
 *
 * Without a session nothing is stored, and what is found counts as if it had been.
 */
import { BLOB_TYPE, type BlobType } from '../../blob/blob-type.ts';
import { CorruptionError, NotFoundError, StorageError } from '../../errors.ts';
import { type BlobId, blobKey } from '../../id.ts';
import { PACK_STATE } from '../../index/cache-rows.ts';
import type { LocalIndex } from '../../index/local-index.ts';
import { isPresent } from '../../index/presence.ts';
import { DELTA_DEPTH_MAX } from '../../pack/directory.ts';
import { openFixedAccess, type ReadAccess } from '../../repository/read-access.ts';
import type { Repository } from '../../repository/repository.ts';
import type { Session } from '../../repository/session.ts';
import type { Content } from '../../tree/content.ts';
import { equalBytes, fromAscii, toHex, toLatin1 } from '../../util/bytes.ts';
import { Turns } from '../../util/turns.ts';
import type { Finding } from '../finding.ts';
import type { Loss } from '../losses.ts';
import { LiveFiles } from './live-files.ts';

export interface HealSources {
  /** Directory of the live files: that in which they were saved, or one with a restore of them. */
  live?: Uint8Array | undefined;
  /** A copy of the repository. */
  from?: Repository | undefined;
  signal?: AbortSignal | undefined;
}

/** Blobs by where their content came from: other copies here, live files, the other repository. */
export interface HealedCounts {
  repository: number;
  live: number;
  from: number;
}

interface HealerParts {
  repository: Repository;
  /** Over the index of the session; it stays as it is. */
  access: ReadAccess;
  /** Undefined where nothing is to be stored. */
  session: Session | undefined;
  options: HealSources;
}

interface FoundBlob {
  id: BlobId;
  type: BlobType;
  plaintext: Uint8Array;
}

export class Healer {
  readonly counts: HealedCounts = { repository: 0, live: 0, from: 0 };
  readonly #parts: HealerParts;
  readonly #turns: Turns;
  readonly #stored = new Set<string>();
  /** Files whose list was lost and of which everything is there again, by their first list. */
  readonly #wholeFiles = new Set<string>();

  constructor(parts: HealerParts) {
    this.#parts = parts;
    this.#turns = new Turns(parts.repository.clock, parts.options.signal);
  }

  /** @throws StorageError, or the signal's reason */
  async heal(losses: readonly Loss[]): Promise<void> {
    const { live, from } = this.#parts.options;
    const source = from === undefined ? undefined : await this.#openSource(from);
    await this.#healDamagedPacks(source);
    if (source !== undefined) for (const loss of losses) await this.#copyLoss(source, loss);
    if (live !== undefined) await this.#healFromLive(live, losses);
  }

  /** Of what hurt snapshots, what still does. */
  async left(findings: readonly Finding[], losses: readonly Loss[]): Promise<Finding[]> {
    const left = new Set<string>();
    for (const loss of losses) if (!(await this.#isHealed(loss))) left.add(toHex(loss.id));
    return findings.filter(({ object }) => left.has(object));
  }

  async #isHealed(loss: Loss): Promise<boolean> {
    const { id, type } = loss;
    if (type !== BLOB_TYPE.chunkList) {
      return !(await this.#isLost(id, type)) || this.#restsOnStored(id);
    }
    const content = listOf(loss);
    if (content === undefined) return false;
    return this.#wholeFiles.has(blobKey(id)) || (await this.#hasAll(content));
  }

  /** A delta on what would have been stored. */
  #restsOnStored(id: BlobId, depth = 0): boolean {
    const { index } = this.#parts.access.sync;
    return index.copies(id).some(({ packNo, slot }) => {
      if (!index.isUsable(packNo) || index.isDistrusted(packNo, id)) return false;
      const base = index.openDirectory(packNo)?.blobs.at(slot)?.delta?.base;
      if (base === undefined || depth === DELTA_DEPTH_MAX) return false;
      return this.#stored.has(blobKey(base)) || this.#restsOnStored(base, depth + 1);
    });
  }

  async #hasAll(content: Content): Promise<boolean> {
    try {
      for await (const chunks of this.#parts.access.chunks(content)) {
        for (const { id } of chunks) {
          if (id !== undefined && (await this.#isLost(id, BLOB_TYPE.data))) return false;
        }
      }
      return true;
    } catch (error) {
      if (isUnusable(error)) return false;
      throw error;
    }
  }

  async #isLost(id: BlobId, type: BlobType): Promise<boolean> {
    const { access } = this.#parts;
    if (this.#stored.has(blobKey(id)) || isPresent(access.sync.index, id)) return false;
    return (await readIfThere(access, id, type)) === undefined;
  }

  /** What damaged packs hold and counts nowhere else, as far as it can be read, there or elsewhere. */
  async #healDamagedPacks(source: ReadAccess | undefined): Promise<void> {
    const { index } = this.#parts.access.sync;
    const distrusted = new Set(index.distrustedPacks());
    for (const { packNo, state } of [...index.packs()]) {
      if (state !== PACK_STATE.missing && !distrusted.has(packNo)) continue;
      for (const { id, type } of index.directory(packNo)?.blobs ?? []) {
        if (this.#turns.isOver) await this.#turns.next();
        if (!isPresent(index, id)) await this.#healBlob(source, id, type);
      }
    }
  }

  async #healBlob(source: ReadAccess | undefined, id: BlobId, type: BlobType): Promise<void> {
    const { access } = this.#parts;
    // Spares a request for each blob of a pack that is gone.
    const plaintext = this.#hasListedCopy(access.sync.index, id)
      ? await readIfThere(access, id, type)
      : undefined;
    if (plaintext !== undefined) await this.#store('repository', { id, type, plaintext });
    else if (source !== undefined) await this.#copy(source, id, type);
  }

  #hasListedCopy(index: LocalIndex, id: BlobId): boolean {
    const { listed } = this.#parts.access.sync;
    return index.copies(id).some(({ packNo }) => {
      const name = index.pack(packNo)?.name;
      return name !== undefined && listed.has(name);
    });
  }

  /** Undefined where nothing there has the ids of here. */
  async #openSource(from: Repository): Promise<ReadAccess | undefined> {
    const { repository, options } = this.#parts;
    const sample = new Uint8Array(1);
    const id = repository.identify(BLOB_TYPE.data, sample);
    if (equalBytes(id, from.identify(BLOB_TYPE.data, sample))) {
      return await openFixedAccess(from, { signal: options.signal });
    }
    const { location } = from.storage;
    repository.onNotice(
      `"${location}" is no copy of this repository but one with keys of its own, so that all ids differ; ` +
        `to heal from its files run "varve restore --repo ${location} latest --target DIR", ` +
        'then "varve repair packs --live DIR"',
    );
    return undefined;
  }

  async #copyLoss(source: ReadAccess, loss: Loss): Promise<void> {
    const { id, type } = loss;
    const content = listOf(loss);
    if (type !== BLOB_TYPE.chunkList) return await this.#copy(source, id, type);
    if (content === undefined) return;
    // Nobody knows which of its lists is lost, nor which chunks besides.
    const lists: BlobId[] = [];
    const noteList = (list: BlobId): boolean => lists.push(list) > 0;
    try {
      for await (const chunks of source.chunks(content, noteList)) {
        for (const chunk of chunks) {
          if (chunk.id !== undefined) await this.#copy(source, chunk.id, BLOB_TYPE.data);
        }
      }
    } catch (error) {
      if (!isUnusable(error)) throw error;
      return;
    }
    for (const list of lists) await this.#copy(source, list, BLOB_TYPE.chunkList);
    if (this.#parts.session === undefined) this.#wholeFiles.add(blobKey(id));
  }

  async #copy(source: ReadAccess, id: BlobId, type: BlobType): Promise<void> {
    if (this.#turns.isOver) await this.#turns.next();
    if (!(await this.#isLost(id, type))) return;
    const plaintext = await readIfThere(source, id, type);
    if (plaintext !== undefined) await this.#store('from', { id, type, plaintext });
  }

  async #healFromLive(root: Uint8Array, losses: readonly Loss[]): Promise<void> {
    const files = new LiveFiles(this.#parts.repository, root);
    const wanted = new Set<string>();
    const chunkPaths = new Set<string>();
    for (const loss of losses) {
      const { id, type, places } = loss;
      if (type !== BLOB_TYPE.data || (await this.#isHealed(loss))) continue;
      wanted.add(blobKey(id));
      for (const { path } of places) chunkPaths.add(toLatin1(path));
    }
    for (const path of chunkPaths) await this.#healChunks(files, fromAscii(path), wanted);
    for (const loss of losses) {
      if (loss.type === BLOB_TYPE.chunkList) await this.#healList(files, loss);
    }
  }

  async #healList(files: LiveFiles, loss: Loss): Promise<void> {
    if (await this.#isHealed(loss)) return;
    for (const { path } of loss.places) {
      if (await this.#healFile(files, path, loss.id)) return;
    }
  }

  /** Stores the chunks of a file that are wanted. */
  async #healChunks(
    files: LiveFiles,
    path: Uint8Array,
    wanted: ReadonlySet<string>,
  ): Promise<void> {
    await files.cut(path, async (id, plaintext) => {
      if (this.#turns.isOver) await this.#turns.next();
      if (!wanted.has(blobKey(id))) return;
      await this.#store('live', { id, type: BLOB_TYPE.data, plaintext });
    });
  }

  /**
   * Stores what is lost of a file whose list is. Without it nobody knows the chunks: they are wanted if
   * the file is what it was.
   */
  async #healFile(files: LiveFiles, path: Uint8Array, root: BlobId): Promise<boolean> {
    const keys = new Set<string>();
    const cut = await files.cut(path, async (id) => {
      if (this.#turns.isOver) await this.#turns.next();
      keys.add(blobKey(id));
    });
    if (cut?.content.kind !== 'list' || !equalBytes(cut.content.id, root)) return false;
    const wanted = new Set<string>();
    for (const key of keys) {
      if (await this.#isLost(fromAscii(key) as BlobId, BLOB_TYPE.data)) wanted.add(key);
    }
    if (wanted.size > 0) await this.#healChunks(files, path, wanted);
    const type = BLOB_TYPE.chunkList;
    for (const { id, plaintext } of cut.lists) {
      if (await this.#isLost(id, type)) await this.#store('live', { id, type, plaintext });
    }
    if (this.#parts.session === undefined) this.#wholeFiles.add(blobKey(root));
    return true;
  }

  /** Once each; the plaintext has that id. */
  async #store(source: keyof HealedCounts, { id, type, plaintext }: FoundBlob): Promise<void> {
    const key = blobKey(id);
    if (this.#stored.has(key)) return;
    this.#stored.add(key);
    this.counts[source] += 1;
    const { session } = this.#parts;
    await session?.rewrite({ id: id.slice() as BlobId, type, plaintext });
    await session?.tick();
  }
}

/** The content of a file that is more than one chunk. */
function listOf({ places }: Loss): Content | undefined {
  return places.find(({ content }) => content?.kind === 'list')?.content;
}

async function readIfThere(
  access: ReadAccess,
  id: BlobId,
  type: BlobType,
): Promise<Uint8Array | undefined> {
  try {
    return await access.read(id, type);
  } catch (error) {
    if (isUnusable(error)) return undefined;
    throw error;
  }
}

/** Gone, damaged, or on a part of the disk that cannot be read. */
function isUnusable(error: unknown): boolean {
  if (error instanceof StorageError) return !error.isTransient;
  return error instanceof NotFoundError || error instanceof CorruptionError;
}
