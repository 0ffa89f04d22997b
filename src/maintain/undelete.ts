/**
 * Undelete: a forgotten snapshot comes back as a new one, with the times, names and tree that the old
 * one had, and the old one as its parent. The tomb stays, and so the old id stays forgotten.
 *
 * It is a session with all its steps. No collector counted the old snapshot, so nothing of it may be
 * relied on because it was once complete: every page, list, attribute blob and chunk is looked up
 * (rule CLOSURE (i)), and what is not present, by PRESENT and CHAIN, is read from whatever copy is left
 * and stored again. Where a collection was faster nothing comes back, and the error says what is gone.
 */
import { BLOB_TYPE, BLOB_TYPE_NAMES, type BlobType } from '../blob/blob-type.ts';
import { CorruptionError, NotFoundError, VersionError } from '../errors.ts';
import { type BlobId, blobKey, type SessionId, shortId } from '../id.ts';
import type { LongCall } from '../progress.ts';
import { BlobReader } from '../repository/blob-reader.ts';
import type { Repository } from '../repository/repository.ts';
import { runSession } from '../repository/run-session.ts';
import type { CommitResult, Session, WriteCounts } from '../repository/session.ts';
import { loadView } from '../repository/view.ts';
import {
  type ForgottenSnapshot,
  type SnapshotFilter,
  selectForgotten,
} from '../snapshot/selection.ts';
import { readChunks } from '../tree/chunk-list.ts';
import type { Content } from '../tree/content.ts';
import type { DirectoryEntry, DirectoryRoot } from '../tree/node.ts';
import { readWantedPages } from '../tree/tree-reader.ts';
import { Malformed } from '../util/byte-reader.ts';
import { concatBytes, toHex } from '../util/bytes.ts';
import { printable } from '../util/printable.ts';
import { Turns } from '../util/turns.ts';

/** Pages and lists that are remembered, each with about 100 bytes; beyond that some are walked again. */
const handledCountMax = 2 ** 19;
const slash = Uint8Array.of(0x2f);

export interface UndeleteOptions extends LongCall {
  /** Which one of those that are forgotten, as `select` takes it. */
  selector: string;
  filter?: SnapshotFilter | undefined;
}

export interface UndeleteResult extends CommitResult, WriteCounts {
  /** The id that it had. */
  forgottenId: SessionId;
}

/**
 * @throws NotFoundError when no forgotten snapshot is meant, or a part of one is gone.
 * @throws CorruptionError when a part of it cannot be read.
 * @throws VersionError when an entry in it is of a later version: nobody knows what it needs.
 * @throws BusyError when collections fenced three sessions in a row.
 */
export async function undelete(
  repository: Repository,
  options: UndeleteOptions,
): Promise<UndeleteResult> {
  const { selector, filter, signal } = options;
  const { hidden } = await loadView(repository, 'write');
  const { id } = selectForgotten(hidden, selector, filter); // Before anything is written.
  return await runSession(repository, { purpose: 'snapshot', signal }, async (session) => {
    const old = selectForgotten(session.view.hidden, id);
    await new Rescue(repository, { ...options, session, old }).execute();
    const { chain, sessionId, segments, ...manifest } = old.manifest;
    const committed = await session.commit({ ...manifest, parents: [id] });
    return { ...session.counts, ...committed, forgottenId: id };
  });
}

interface RescueParts extends LongCall {
  session: Session;
  old: ForgottenSnapshot;
}

/** One walk through the old tree; afterwards all of it is present, or handed to the session. */
class Rescue {
  readonly #session: Session;
  readonly #old: ForgottenSnapshot;
  readonly #reader: BlobReader;
  readonly #signal: AbortSignal | undefined;
  readonly #onProgress: LongCall['onProgress'];
  readonly #turns: Turns;
  /** Pages and lists that were handled with all below them: trees may have them at many places. */
  readonly #handled = new Set<string>();
  #entriesDone = 0;

  constructor(repository: Repository, { session, old, signal, onProgress }: RescueParts) {
    this.#session = session;
    this.#old = old;
    this.#reader = new BlobReader(repository, session.sync.index);
    this.#signal = signal;
    this.#onProgress = onProgress;
    this.#turns = new Turns(repository.clock, signal);
  }

  async execute(): Promise<void> {
    await this.#rescueDirectory(new Uint8Array(0), this.#old.manifest.root);
  }

  async #rescueDirectory(path: Uint8Array, root: DirectoryRoot): Promise<void> {
    const load = (id: BlobId) => this.#rescue({ id, type: BLOB_TYPE.treePage, path });
    const pages = readWantedPages(root, load, ({ id }) => this.#isNew(id));
    for await (const entries of this.#reading(pages, { kind: 'directory', path })) {
      for (const entry of entries) await this.#rescueEntry(path, entry);
    }
  }

  async #rescueEntry(parent: Uint8Array, entry: DirectoryEntry): Promise<void> {
    const path = concatBytes(parent, slash, entry.name);
    if (entry.type === 'refused') {
      throw new VersionError(
        `entry "${printable(path)}"`,
        `field ${entry.tag}`,
        'none of that number',
      );
    }
    const { directory, content, attributeBlob } = entry;
    if (attributeBlob !== undefined) {
      await this.#rescueAbsent({ id: attributeBlob, type: BLOB_TYPE.attributes, path });
    }
    if (directory !== undefined) await this.#rescueDirectory(path, directory);
    if (content !== undefined) await this.#rescueContent(path, content);
    this.#entriesDone += 1;
    if (this.#turns.isOver) await this.#takeTurn(path);
  }

  async #rescueContent(path: Uint8Array, content: Content): Promise<void> {
    const load = (id: BlobId) => this.#rescue({ id, type: BLOB_TYPE.chunkList, path });
    const lists = readChunks(content, load, (id) => this.#isNew(id));
    for await (const chunks of this.#reading(lists, { kind: 'content', path })) {
      for (const { id } of chunks) {
        if (id !== undefined) await this.#rescueAbsent({ id, type: BLOB_TYPE.data, path });
        if (this.#turns.isOver) await this.#takeTurn(path);
      }
    }
  }

  async #rescueAbsent(blob: Blob): Promise<void> {
    if (!this.#session.isPresent(blob.id)) await this.#rescue(blob);
  }

  /** Reads a blob, from a dead pack if need be, and sees to it that it is there afterwards. */
  async #rescue({ id, type, path }: Blob): Promise<Uint8Array> {
    const plaintext = await this.#read({ id, type, path });
    if (!this.#session.isPresent(id)) await this.#session.write(type, plaintext);
    return plaintext;
  }

  async #read({ id, type, path }: Blob): Promise<Uint8Array> {
    try {
      return await this.#reader.read(id, type, { signal: this.#signal });
    } catch (error) {
      const blob = `${BLOB_TYPE_NAMES[type]} ${toHex(id)} of "${printable(nameOf(path))}"`;
      if (error instanceof NotFoundError) {
        const which = this.#old.id;
        const message = `Cannot undelete snapshot "${shortId(which)}": ${blob} is gone`;
        throw new NotFoundError('part of a forgotten snapshot', which, message, error);
      }
      if (error instanceof CorruptionError)
        throw this.#unreadable(`${blob}: ${error.message}`, error);
      throw error;
    }
  }

  /** What is read, with pages and lists that make no sense as damage of this snapshot. */
  async *#reading<T>(
    batches: AsyncGenerator<T, void, undefined>,
    { kind, path }: { kind: string; path: Uint8Array },
  ): AsyncGenerator<T, void, undefined> {
    try {
      yield* batches;
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      throw this.#unreadable(`${kind} "${printable(nameOf(path))}": ${error.message}`, error);
    }
  }

  #unreadable(found: string, cause: Error): CorruptionError {
    const object = { kind: 'forgotten snapshot', which: shortId(this.#old.id) };
    return new CorruptionError({ ...object, found, expected: 'what was saved' }, cause);
  }

  #isNew(id: BlobId): boolean {
    const key = blobKey(id);
    if (this.#handled.has(key)) return false;
    if (this.#handled.size >= handledCountMax) this.#handled.clear();
    this.#handled.add(key);
    return true;
  }

  async #takeTurn(currentPath: Uint8Array): Promise<void> {
    const filesTotal = Number(this.#old.manifest.root.entries);
    const bytesDone = this.#session.counts.newBytes;
    const done = { filesDone: this.#entriesDone, filesTotal, bytesDone };
    this.#onProgress?.({ phase: 'trees', ...done, currentPath });
    await this.#session.tick();
    await this.#turns.next();
  }
}

/** A blob of an entry. */
interface Blob {
  id: BlobId;
  type: BlobType;
  path: Uint8Array;
}

/** The directory that all others are in has no name of its own. */
function nameOf(path: Uint8Array): Uint8Array {
  return path.length === 0 ? slash : path;
}
