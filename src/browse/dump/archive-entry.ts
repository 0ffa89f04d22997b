/** What goes into an archive: the entries of a tree in its order, under the names they have there. */
import type { ReadAccess } from '../../repository/read-access.ts';
import type { Attribute } from '../../tree/attributes.ts';
import type { DirectoryEntry, DirectoryRoot, Node } from '../../tree/node.ts';
import { concatBytes, encodeUtf8, toHex } from '../../util/bytes.ts';

/** Why an entry is not in an archive. */
export type SkipReason = 'special_file' | 'later_version';

export interface ArchiveEntry {
  /** Relative; of a directory it ends with a slash. Raw bytes. */
  name: Uint8Array;
  node: Node;
  /** All extended attributes, wherever they are stored. */
  attributes: readonly Attribute[];
  /** Of a hard link the name of an entry before, of which it is another name. */
  linkedTo: Uint8Array | undefined;
}

export interface ArchivePlace {
  /** Undefined for `/`, which has no metadata. */
  node: Node | undefined;
  directory: DirectoryRoot | undefined;
}

type OnSkipped = (name: Uint8Array, reason: SkipReason) => void;

const SLASH = Uint8Array.of(0x2f);
const NOTHING = new Uint8Array(0);
/** Hard-linked files that are remembered; further names of others are files of their own. */
const linkedCountMax = 2 ** 20;

/**
 * What is in a directory goes to the top of the archive, and its own metadata to `./`; a single file
 * goes there under its name.
 * @throws CorruptionError, NotFoundError, StorageError
 */
export async function* archiveEntries(
  access: ReadAccess,
  { node, directory }: ArchivePlace,
  onSkipped: OnSkipped,
): AsyncGenerator<ArchiveEntry, void, undefined> {
  const walk = new ArchiveWalk(access, onSkipped);
  if (node !== undefined && node.type !== 'd') yield await walk.describe(node, node.name);
  else {
    if (node !== undefined) yield await walk.describe(node, encodeUtf8('./'));
    if (directory !== undefined) walk.enter(directory, new Uint8Array(0));
    yield* walk.rest();
  }
}

/** A directory on the way down, with the name that what is in it begins with. */
interface Level {
  readonly prefix: Uint8Array;
  readonly batches: AsyncGenerator<DirectoryEntry[], void, undefined>;
  batch: readonly DirectoryEntry[];
  position: number;
}

class ArchiveWalk {
  readonly #access: ReadAccess;
  readonly #onSkipped: OnSkipped;
  readonly #levels: Level[] = [];
  /** Link group to the name that came first. */
  readonly #linked = new Map<string, Uint8Array>();

  constructor(access: ReadAccess, onSkipped: OnSkipped) {
    this.#access = access;
    this.#onSkipped = onSkipped;
  }

  enter(directory: DirectoryRoot, prefix: Uint8Array): void {
    const batches = this.#access.directory(directory);
    this.#levels.push({ prefix, batches, batch: [], position: 0 });
  }

  async *rest(): AsyncGenerator<ArchiveEntry, void, undefined> {
    for (let level = this.#levels.at(-1); level !== undefined; level = this.#levels.at(-1)) {
      if (level.position === level.batch.length) {
        await this.#readOn(level);
        continue;
      }
      const entry = level.batch[level.position] as DirectoryEntry;
      level.position += 1;
      const isDirectory = entry.type === 'd';
      const name = concatBytes(level.prefix, entry.name, isDirectory ? SLASH : NOTHING);
      if (entry.type === 'refused') this.#onSkipped(name, 'later_version');
      else yield await this.describe(entry, name);
      if (isDirectory && entry.directory !== undefined) this.enter(entry.directory, name);
    }
  }

  async #readOn(level: Level): Promise<void> {
    const next = await level.batches.next();
    if (next.done === true) this.#levels.pop();
    level.batch = next.done === true ? [] : next.value;
    level.position = 0;
  }

  async describe(node: Node, name: Uint8Array): Promise<ArchiveEntry> {
    const { attributes, attributeBlob } = node;
    const stored = attributeBlob === undefined ? [] : await this.#access.attributes(attributeBlob);
    return { name, node, attributes: attributes ?? stored, linkedTo: this.#link(node, name) };
  }

  /** Two names of one file have one group and one content. */
  #link(node: Node, name: Uint8Array): Uint8Array | undefined {
    const { linkGroup, type, content } = node;
    if (linkGroup === undefined) return undefined;
    const id = content === undefined || content.kind === 'empty' ? '' : toHex(content.id);
    const key = `${toHex(linkGroup)} ${type} ${id}`;
    const first = this.#linked.get(key);
    if (first === undefined && this.#linked.size < linkedCountMax) this.#linked.set(key, name);
    return first;
  }
}
