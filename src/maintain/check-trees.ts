/**
 * The trees of all live snapshots: every page and chunk list is read and obeys the format, every
 * chunk has a readable copy of the recorded length. A page that was found good is not read again for
 * other snapshots; one with damage below is walked again, so that every snapshot and path hurt by it
 * is named.
 */
import { BLOB_TYPE, BLOB_TYPE_NAMES, type BlobType } from '../blob/blob-type.ts';
import { CorruptionError, NotFoundError, VarveError } from '../errors.ts';
import { type BlobId, blobKey, type SessionId } from '../id.ts';
import { isPresent, locate } from '../index/presence.ts';
import type { ReadAccess } from '../repository/read-access.ts';
import type { Snapshot } from '../snapshot/selection.ts';
import type { DirectoryEntry, DirectoryRoot, Node } from '../tree/node.ts';
import { concatBytes, toHex } from '../util/bytes.ts';
import { printable } from '../util/printable.ts';
import type { FindingKind, Findings } from './finding.ts';

const SLASH = Uint8Array.of(0x2f);

export interface TreeCheckOptions {
  access: ReadAccess;
  findings: Findings;
  /** Blobs with a copy that is known to be of no use. */
  isSuspect: (id: BlobId) => boolean;
  /** Called for every entry: progress, cancel, and a turn for others. */
  onEntry: (path: Uint8Array) => Promise<void>;
}

export class TreeChecker {
  readonly #options: TreeCheckOptions;
  /** Directories found good, by the id of their root page. */
  readonly #goodDirectories = new Set<string>();
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
    if (this.#goodDirectories.has(key)) return true;
    let isGood = true;
    const onBadPage = (error: VarveError, id: BlobId): void => {
      this.#reportUnreadable(error, { id, type: BLOB_TYPE.treePage, path });
      isGood = false;
    };
    for await (const entries of this.#options.access.directory(root, onBadPage)) {
      for (const entry of entries) {
        if (!(await this.#checkEntry(path, entry))) isGood = false;
      }
    }
    if (isGood) this.#goodDirectories.add(key);
    return isGood;
  }

  async #checkEntry(parent: Uint8Array, entry: DirectoryEntry): Promise<boolean> {
    const path = concatBytes(parent, SLASH, entry.name);
    await this.#options.onEntry(path);
    if (entry.type === 'refused') {
      const message = `${printable(path)} has field ${entry.tag} of a later version`;
      this.#report('node-refused', { object: printable(path), message, path });
      return false;
    }
    if (entry.type === 'd') {
      return entry.directory === undefined || (await this.#checkDirectory(path, entry.directory));
    }
    return entry.type !== 'f' || (await this.#checkFile(path, entry));
  }

  async #checkFile(path: Uint8Array, { content }: Node): Promise<boolean> {
    if (content === undefined || content.kind === 'empty') return true;
    let isGood = true;
    try {
      for await (const chunks of this.#options.access.chunks(content)) {
        for (const { id, length } of chunks) {
          if (id !== undefined && !(await this.#checkChunk(path, id, Number(length)))) {
            isGood = false;
          }
        }
      }
    } catch (error) {
      this.#reportUnreadable(error, { id: content.id, type: BLOB_TYPE.chunkList, path });
      return false;
    }
    return isGood;
  }

  async #checkChunk(path: Uint8Array, id: BlobId, length: number): Promise<boolean> {
    const { access, isSuspect } = this.#options;
    if (isSuspect(id) || !isPresent(access.sync.index, id)) {
      // The index alone does not vouch for it: read it, by whatever copy is left.
      try {
        await access.read(id, BLOB_TYPE.data);
      } catch (error) {
        this.#reportUnreadable(error, { id, type: BLOB_TYPE.data, path });
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

  #reportUnreadable(error: unknown, blob: { id: BlobId; type: BlobType; path: Uint8Array }): void {
    if (!(error instanceof VarveError)) throw error;
    const object = toHex(blob.id);
    const message = `${BLOB_TYPE_NAMES[blob.type]} ${object}: ${error.message}`;
    this.#report(kindOf(error), { object, message, path: blob.path });
  }

  #report(kind: FindingKind, found: { object: string; message: string; path: Uint8Array }): void {
    const { path, ...finding } = { ...found, path: found.path.length === 0 ? SLASH : found.path };
    const snapshot = this.#snapshot as SessionId;
    this.#options.findings.add({ kind, ...finding }, { snapshot, path });
  }
}

function kindOf(error: VarveError): FindingKind {
  if (error instanceof NotFoundError) return 'blob-missing';
  const isMalformed =
    error instanceof CorruptionError && error.expected === 'what the format allows';
  return isMalformed ? 'tree-malformed' : 'blob-unreadable';
}
