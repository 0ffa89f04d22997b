/**
 * A tree without what is lost of it. Directories in which nothing is lost are kept by their id; those
 * above a loss are written anew, with the entries that are left.
 *
 * Rule CLOSURE (i): every blob that the new tree needs is asked for, and what is readable and does not
 * count as present is stored again.
 */
import { BLOB_TYPE, type BlobType } from '../../blob/blob-type.ts';
import { VarveError, VersionError } from '../../errors.ts';
import { type BlobId, blobKey } from '../../id.ts';
import { isPresent, locate } from '../../index/presence.ts';
import { pageEnds } from '../../repository/page-ends.ts';
import type { ReadAccess } from '../../repository/read-access.ts';
import type { Repository } from '../../repository/repository.ts';
import type { Session } from '../../repository/session.ts';
import type { SnapshotRoot } from '../../snapshot/manifest.ts';
import { decodeAttributeBlob } from '../../tree/attributes.ts';
import { readChunks } from '../../tree/chunk-list.ts';
import type { DirectoryEntry, DirectoryRoot, Node } from '../../tree/node.ts';
import { DirectoryBuilder } from '../../tree/page-builder.ts';
import { readDirectory } from '../../tree/tree-reader.ts';
import { Malformed } from '../../util/byte-reader.ts';
import { concatBytes } from '../../util/bytes.ts';
import { printable } from '../../util/printable.ts';
import type { Turns } from '../../util/turns.ts';

const SLASH = Uint8Array.of(0x2f);

/** What a lost entry is called in the errors of a manifest. */
export const LOSS_CODE = {
  /** The entry is left out; of a directory, what cannot be read of it. */
  entry: 'damaged',
  /** It is there without its extended attributes. */
  attributes: 'attributes_damaged',
} as const;

export interface RewriteOptions {
  repository: Repository;
  /** Over the index of the session; it stays as it is. */
  access: ReadAccess;
  /** Undefined where nothing is to be stored. */
  session: Session | undefined;
  turns: Turns;
  /** Told of everything that is lost. */
  onLoss: (path: Uint8Array, code: string) => void;
}

export class TreeRewriter {
  readonly #options: RewriteOptions;
  readonly #isPageEnd: (name: Uint8Array) => boolean;
  /** Directories that were looked at, by what their parent says of them: whether all is there. */
  readonly #known = new Map<string, boolean>();
  /** Attribute blobs likewise. */
  readonly #attributes = new Map<string, boolean>();

  constructor(options: RewriteOptions) {
    this.#options = options;
    this.#isPageEnd = pageEnds(options.repository.keys);
  }

  /**
   * The root of what is left; that which it was when nothing is lost.
   * @throws VersionError where an entry has fields of a later version, which cannot be kept.
   */
  async rewrite(root: SnapshotRoot): Promise<SnapshotRoot> {
    const path = new Uint8Array(0);
    if (await this.#isWhole(path, root)) return root;
    const builder = this.#newBuilder();
    await this.#fill(builder, path, root);
    return await builder.finishRoot();
  }

  async #directory(path: Uint8Array, root: DirectoryRoot): Promise<DirectoryRoot | undefined> {
    if (await this.#isWhole(path, root)) return root;
    const builder = this.#newBuilder();
    await this.#fill(builder, path, root);
    return await builder.finish();
  }

  async #fill(builder: DirectoryBuilder, path: Uint8Array, root: DirectoryRoot): Promise<void> {
    const onBadPage = (error: unknown): void => {
      if (!isUnusable(error)) throw error;
      this.#options.onLoss(path.length === 0 ? SLASH : path, LOSS_CODE.entry);
    };
    for await (const entries of this.#read(root, onBadPage)) {
      for (const entry of entries) {
        const left = await this.#rewriteEntry(concatBytes(path, SLASH, entry.name), entry);
        // The page that the name is a view of is let go before the directory is finished.
        if (left !== undefined) await builder.add({ ...left, name: left.name.slice() });
      }
    }
  }

  /** What is left of an entry. */
  async #rewriteEntry(path: Uint8Array, entry: DirectoryEntry): Promise<Node | undefined> {
    const { turns, onLoss } = this.#options;
    if (turns.isOver) await turns.next();
    const node = demandKnown(path, entry);
    if (!(await this.#hasContent(node))) {
      onLoss(path, LOSS_CODE.entry);
      return undefined;
    }
    const { directory, attributeBlob } = node;
    let left = node;
    if (directory !== undefined)
      left = { ...left, directory: await this.#directory(path, directory) };
    if (attributeBlob !== undefined && !(await this.#hasAttributes(attributeBlob))) {
      onLoss(path, LOSS_CODE.attributes);
      left = { ...left, attributeBlob: undefined };
    }
    return left;
  }

  /** Whether nothing is lost of a directory, down to the last chunk. */
  async #isWhole(path: Uint8Array, root: DirectoryRoot): Promise<boolean> {
    const key = `${blobKey(root.id)}${root.height}:${root.entries}:${root.bytes}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    let isWhole = true;
    const onBadPage = (error: unknown): void => {
      if (!isUnusable(error)) throw error;
      isWhole = false;
    };
    for await (const entries of this.#read(root, onBadPage)) {
      for (const entry of entries) {
        if (!(await this.#isWholeEntry(concatBytes(path, SLASH, entry.name), entry))) {
          isWhole = false;
        }
      }
    }
    this.#known.set(key, isWhole);
    return isWhole;
  }

  async #isWholeEntry(path: Uint8Array, entry: DirectoryEntry): Promise<boolean> {
    const { turns } = this.#options;
    if (turns.isOver) await turns.next();
    const node = demandKnown(path, entry);
    const { directory, attributeBlob } = node;
    if (attributeBlob !== undefined && !(await this.#hasAttributes(attributeBlob))) return false;
    if (directory !== undefined) return await this.#isWhole(path, directory);
    return await this.#hasContent(node);
  }

  async #hasContent({ content }: Node): Promise<boolean> {
    if (content === undefined) return true;
    try {
      for await (const chunks of readChunks(content, (id) => this.#load(id, BLOB_TYPE.chunkList))) {
        for (const { id, length } of chunks) {
          if (id !== undefined && !(await this.#hasChunk(id, Number(length)))) return false;
        }
      }
      return true;
    } catch (error) {
      if (isUnusable(error)) return false;
      throw error;
    }
  }

  async #hasChunk(id: BlobId, length: number): Promise<boolean> {
    const { index } = this.#options.access.sync;
    if (!isPresent(index, id)) return (await this.#load(id, BLOB_TYPE.data)).length === length;
    return locate(index, id).every(({ blob }) => blob.rawSize === length);
  }

  async #hasAttributes(id: BlobId): Promise<boolean> {
    const key = blobKey(id);
    const known = this.#attributes.get(key);
    if (known !== undefined) return known;
    let isThere = true;
    try {
      decodeAttributeBlob(await this.#load(id, BLOB_TYPE.attributes));
    } catch (error) {
      if (!isUnusable(error)) throw error;
      isThere = false;
    }
    this.#attributes.set(key, isThere);
    return isThere;
  }

  #read(
    root: DirectoryRoot,
    onBadPage: (error: unknown) => void,
  ): AsyncGenerator<DirectoryEntry[], void, undefined> {
    return readDirectory(root, (id) => this.#load(id, BLOB_TYPE.treePage), onBadPage);
  }

  /** Reads a blob, which counts as present from then on. */
  async #load(id: BlobId, type: BlobType): Promise<Uint8Array> {
    const { access, session } = this.#options;
    const plaintext = await access.read(id, type);
    if (session !== undefined && !session.isPresent(id)) await session.write(type, plaintext);
    return plaintext;
  }

  #newBuilder(): DirectoryBuilder {
    const { repository, session } = this.#options;
    const type = BLOB_TYPE.treePage;
    return new DirectoryBuilder({
      isPageEnd: this.#isPageEnd,
      store: async (page) => (await session?.write(type, page)) ?? repository.identify(type, page),
    });
  }
}

/** A critical field of a later version cannot be written again. */
function demandKnown(path: Uint8Array, entry: DirectoryEntry): Node {
  if (entry.type !== 'refused') return entry;
  throw new VersionError(
    `entry "${printable(path)}"`,
    `field ${entry.tag}`,
    'none of later versions',
  );
}

function isUnusable(error: unknown): boolean {
  if (error instanceof Malformed) return true;
  return error instanceof VarveError && (error.code === 'CORRUPT' || error.code === 'NOT_FOUND');
}
