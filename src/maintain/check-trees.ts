/**
 * The trees of all live snapshots: every page, chunk list and attribute blob is read and obeys the
 * format, every chunk has a readable copy of the recorded length. What was found good is not read
 * again for other snapshots; a page with damage below is walked again, so that every snapshot and
 * path hurt by it is named.
 */
import { BLOB_TYPE, BLOB_TYPE_NAMES } from '../blob/blob-type.ts';
import { CorruptionError, NotFoundError, VarveError } from '../errors.ts';
import { type BlobId, blobKey, type SessionId } from '../id.ts';
import type { LocalIndex } from '../index/local-index.ts';
import { isPresent, locate } from '../index/presence.ts';
import type { ReadAccess } from '../repository/read-access.ts';
import type { Snapshot } from '../snapshot/selection.ts';
import type { DirectoryEntry, DirectoryRoot, Node } from '../tree/node.ts';
import { concatBytes, toHex } from '../util/bytes.ts';
import { printable } from '../util/printable.ts';
import type { FindingKind, Findings } from './finding.ts';
import { KnownChunks } from './known-chunks.ts';
import type { Losses } from './losses.ts';

const SLASH = Uint8Array.of(0x2f);

type LostBlob = Parameters<Losses['add']>[0];

export interface TreeCheckOptions {
  access: ReadAccess;
  findings: Findings;
  /** Blobs with a copy that is known to be of no use. */
  isSuspect: (id: BlobId) => boolean;
  /** Told of entries that were looked at, or found below a directory known to be good. */
  onEntries: (entries: { count: number; isRepeated: boolean }) => void;
  /** Told of every blob that cannot be read, each time that it is met. */
  onLost: (blob: LostBlob) => void;
  /** Progress, cancel, and a turn for others: `take` it when it is over. */
  turn: { readonly isOver: boolean; take(path: Uint8Array): Promise<void> };
}

/** Directories remembered, each with about 100 bytes; beyond that some are walked again. */
const goodDirectoriesMax = 2 ** 19;
/** Attribute blobs remembered, likewise. */
const goodAttributesMax = 2 ** 16;

export class TreeChecker {
  readonly #options: TreeCheckOptions;
  /** Directories found good, by the id of their root page. */
  readonly #goodDirectories = new Set<string>();
  /** Attribute blobs found good: many entries share one. */
  readonly #goodAttributes = new Set<string>();
  #known: { index: LocalIndex; chunks: KnownChunks } | undefined;
  #snapshot: SessionId | undefined;

  constructor(options: TreeCheckOptions) {
    this.#options = options;
  }

  async check(snapshot: Snapshot): Promise<void> {
    this.#snapshot = snapshot.id;
    await this.#checkDirectory(new Uint8Array(0), snapshot.manifest.root);
  }

  /** True when everything below is good. */
  async #checkDirectory(path: Uint8Array, root: DirectoryRoot): Promise<boolean> {
    const key = `${blobKey(root.id)}${root.height}:${root.entries}:${root.bytes}`;
    if (this.#goodDirectories.has(key)) {
      this.#options.onEntries({ count: Number(root.entries), isRepeated: true });
      return true;
    }
    let isGood = true;
    const onBadPage = (error: VarveError, id: BlobId): void => {
      this.#reportUnreadable(error, { id, type: BLOB_TYPE.treePage, path });
      isGood = false;
    };
    const { access, onEntries, turn } = this.#options;
    for await (const entries of access.directory(root, onBadPage)) {
      onEntries({ count: entries.length, isRepeated: false });
      // Most of a page needs no more than a look, and is let go before the directories in it.
      const rest = entries.filter((entry) => !this.#isPlainlyGood(entry));
      entries.length = 0;
      for (const entry of rest) {
        if (!(await this.#checkEntry(path, entry))) isGood = false;
      }
      if (turn.isOver) await turn.take(path);
    }
    if (!isGood) return false;
    if (this.#goodDirectories.size >= goodDirectoriesMax) this.#goodDirectories.clear();
    this.#goodDirectories.add(key);
    return true;
  }

  /** True for entries that have nothing to read below them and nothing wrong with them. */
  #isPlainlyGood(entry: DirectoryEntry): boolean {
    if (entry.type === 'refused' || entry.directory !== undefined) return false;
    const { content, attributeBlob } = entry;
    if (attributeBlob !== undefined && !this.#goodAttributes.has(blobKey(attributeBlob))) {
      return false;
    }
    if (content === undefined || content.kind === 'empty') return true;
    return content.kind === 'blob' && this.#isKnownGood(content.id, content.length);
  }

  #isKnownGood(id: BlobId, length: bigint): boolean {
    const { access, isSuspect } = this.#options;
    const { index } = access.sync;
    // Another one takes its place when reading a blob made it necessary.
    if (this.#known?.index !== index) this.#known = { index, chunks: new KnownChunks(index) };
    return !isSuspect(id) && this.#known.chunks.isGood(id, Number(length));
  }

  async #checkEntry(parent: Uint8Array, entry: DirectoryEntry): Promise<boolean> {
    const { turn } = this.#options;
    const path = concatBytes(parent, SLASH, entry.name);
    if (turn.isOver) await turn.take(path);
    if (entry.type === 'refused') {
      const message = `${printable(path)} has field ${entry.tag} of a later version`;
      this.#report('node-refused', { object: printable(path), message, path });
      return false;
    }
    const { attributeBlob, directory } = entry;
    const isGood =
      attributeBlob === undefined || (await this.#checkAttributes(path, attributeBlob));
    if (directory !== undefined) return (await this.#checkDirectory(path, directory)) && isGood;
    return (entry.type !== 'f' || (await this.#checkFile(path, entry))) && isGood;
  }

  async #checkAttributes(path: Uint8Array, id: BlobId): Promise<boolean> {
    const key = blobKey(id);
    if (this.#goodAttributes.has(key)) return true;
    try {
      await this.#options.access.attributes(id);
    } catch (error) {
      this.#reportUnreadable(error, { id, type: BLOB_TYPE.attributes, path });
      return false;
    }
    if (this.#goodAttributes.size >= goodAttributesMax) this.#goodAttributes.clear();
    this.#goodAttributes.add(key);
    return true;
  }

  async #checkFile(path: Uint8Array, { content }: Node): Promise<boolean> {
    if (content === undefined || content.kind === 'empty') return true;
    let isGood = true;
    try {
      for await (const chunks of this.#options.access.chunks(content)) {
        for (const { id, length } of chunks) {
          if (id === undefined || this.#isKnownGood(id, length)) continue;
          const chunk = { id, type: BLOB_TYPE.data, path, content };
          if (!(await this.#checkChunk(chunk, Number(length)))) isGood = false;
        }
      }
    } catch (error) {
      const { id } = content;
      this.#reportUnreadable(error, { id, type: BLOB_TYPE.chunkList, path, content });
      return false;
    }
    return isGood;
  }

  /** What is wrong with a chunk that is not known to be good. */
  async #checkChunk(chunk: LostBlob, length: number): Promise<boolean> {
    const { id, path } = chunk;
    const { access, isSuspect } = this.#options;
    if (isSuspect(id) || !isPresent(access.sync.index, id)) {
      // The index alone does not vouch for it: read it, by whatever copy is left.
      try {
        await access.read(id, BLOB_TYPE.data);
      } catch (error) {
        this.#reportUnreadable(error, chunk);
        return false;
      }
    }
    const wrong = locate(access.sync.index, id).find(({ blob }) => blob.rawSize !== length);
    if (wrong === undefined) return true;
    const object = toHex(id);
    const message = `data chunk ${object} has ${wrong.blob.rawSize} bytes, expected ${length}`;
    this.#report('chunk-length-mismatch', { object, message, path });
    return false;
  }

  #reportUnreadable(error: unknown, blob: LostBlob): void {
    if (!(error instanceof VarveError)) throw error;
    const object = toHex(blob.id);
    const message = `${BLOB_TYPE_NAMES[blob.type]} ${object}: ${error.message}`;
    const kind = kindOf(error);
    const isPage = blob.type === BLOB_TYPE.treePage || blob.type === BLOB_TYPE.attributes;
    // Times and the like are in them, so that they do not follow from the files.
    const heal = isPage && kind !== 'tree-malformed' ? 'varve repair packs --from REPO' : undefined;
    if (kind !== 'tree-malformed') this.#options.onLost(blob);
    this.#report(kind, { object, message, path: blob.path, heal });
  }

  #report(
    kind: FindingKind,
    found: { object: string; message: string; path: Uint8Array; heal?: string | undefined },
  ): void {
    const { object, message, heal } = found;
    const path = found.path.length === 0 ? SLASH : found.path;
    const snapshot = this.#snapshot as SessionId;
    this.#options.findings.add({ kind, object, message, heal }, { snapshot, path });
  }
}

function kindOf(error: VarveError): FindingKind {
  if (error instanceof NotFoundError) return 'blob-missing';
  const isMalformed =
    error instanceof CorruptionError && error.expected === 'what the format allows';
  return isMalformed ? 'tree-malformed' : 'blob-unreadable';
}
