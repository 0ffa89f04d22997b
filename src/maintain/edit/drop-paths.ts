/**
 * A tree without what fits a pattern. Directories in which nothing fits keep their pages, and are not
 * even read where the patterns say so; those above something that goes are written anew. What a
 * directory loses depends on its path and its root page alone, and is found out once for all trees.
 */
import { BLOB_TYPE } from '../../blob/blob-type.ts';
import { VersionError } from '../../errors.ts';
import { blobKey } from '../../id.ts';
import { pageEnds } from '../../repository/page-ends.ts';
import type { ReadAccess } from '../../repository/read-access.ts';
import type { Repository } from '../../repository/repository.ts';
import type { Session } from '../../repository/session.ts';
import type { DirectoryEntry, DirectoryRoot, Node } from '../../tree/node.ts';
import { DirectoryBuilder } from '../../tree/page-builder.ts';
import { bufferOf, concatBytes } from '../../util/bytes.ts';
import { printable } from '../../util/printable.ts';
import { Turns } from '../../util/turns.ts';
import type { PatternList } from '../../walk/pattern-list.ts';

/** What goes. */
export interface DroppedCounts {
  files: number;
  directories: number;
  others: number;
  /** Of files, as often as they occur. */
  bytes: bigint;
}

export interface DropContext {
  access: ReadAccess;
  /** Where new pages go; undefined where nothing is to be stored. */
  session: Session | undefined;
}

const SLASH = Uint8Array.of(0x2f);
/** Directories remembered, each with some 200 bytes and its path; beyond that some are read again. */
const knownCountMax = 2 ** 17;

export class PathDropper {
  readonly #repository: Repository;
  readonly #patterns: PatternList;
  readonly #turns: Turns;
  readonly #isPageEnd: (name: Uint8Array) => boolean;
  /** By path and root page. */
  readonly #known = new Map<string, DroppedCounts>();

  constructor(
    repository: Repository,
    { patterns, signal }: { patterns: PatternList; signal: AbortSignal | undefined },
  ) {
    this.#repository = repository;
    this.#patterns = patterns;
    this.#turns = new Turns(repository.clock, signal);
    this.#isPageEnd = pageEnds(repository.keys);
  }

  /** What a tree loses. @throws CorruptionError, NotFoundError, StorageError */
  async count(access: ReadAccess, root: DirectoryRoot): Promise<DroppedCounts> {
    return await this.#countDrops(access, new Uint8Array(0), root);
  }

  /**
   * The tree without; the root that it had where nothing goes.
   * @throws VersionError where an entry beside one that goes has fields of a later version.
   */
  async drop(context: DropContext, root: DirectoryRoot): Promise<DirectoryRoot> {
    if (isNothing(await this.count(context.access, root))) return root;
    const builder = this.#newBuilder(context);
    await this.#fill(builder, context, { path: new Uint8Array(0), root });
    return await builder.finishRoot();
  }

  async #countDrops(
    access: ReadAccess,
    path: Uint8Array,
    root: DirectoryRoot,
  ): Promise<DroppedCounts> {
    const counts = noEntries();
    if (root.entries === 0n || !this.#patterns.mayFitBelow({ path })) return counts;
    const key = `${blobKey(root.id)}${root.height} ${bufferOf(path).toString('latin1')}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const fits = this.#testIn(path);
    for await (const entries of access.directory(root)) {
      for (const entry of entries) {
        const { directory, name } = entry;
        if (fits(entry)) await this.#countEntry(access, counts, entry);
        else if (directory !== undefined) {
          const below = await this.#countDrops(access, concatBytes(path, SLASH, name), directory);
          addCounts(counts, below);
        }
      }
      if (this.#turns.isOver) await this.#turns.next();
    }
    if (this.#known.size >= knownCountMax) this.#known.clear();
    this.#known.set(key, counts);
    return counts;
  }

  /** With everything in it. */
  async #countEntry(
    access: ReadAccess,
    counts: DroppedCounts,
    { type, size, directory }: DirectoryEntry,
  ): Promise<void> {
    if (type === 'f') counts.files += 1;
    else if (type === 'd') counts.directories += 1;
    else counts.others += 1;
    counts.bytes += size ?? 0n;
    if (directory === undefined) return;
    for await (const entries of access.directory(directory)) {
      for (const entry of entries) await this.#countEntry(access, counts, entry);
      if (this.#turns.isOver) await this.#turns.next();
    }
  }

  async #fill(
    builder: DirectoryBuilder,
    context: DropContext,
    { path, root }: { path: Uint8Array; root: DirectoryRoot },
  ): Promise<void> {
    const fits = this.#testIn(path);
    for await (const entries of context.access.directory(root)) {
      for (const entry of entries) {
        if (fits(entry)) continue;
        const node = demandKnown(concatBytes(path, SLASH, entry.name), entry);
        const kept = await this.#dropBelow(context, path, node);
        // The page that the name is a view of is let go before the directory is finished.
        await builder.add({ ...kept, name: kept.name.slice() });
      }
    }
  }

  async #dropBelow(context: DropContext, parent: Uint8Array, node: Node): Promise<Node> {
    const { directory } = node;
    if (directory === undefined) return node;
    const path = concatBytes(parent, SLASH, node.name);
    if (isNothing(await this.#countDrops(context.access, path, directory))) return node;
    const builder = this.#newBuilder(context);
    await this.#fill(builder, context, { path, root: directory });
    return { ...node, directory: await builder.finish() };
  }

  #testIn(path: Uint8Array): (entry: DirectoryEntry) => boolean {
    const test = this.#patterns.testIn({ path });
    return ({ name, type }) => {
      const verdict = test(bufferOf(name).toString('latin1'));
      return verdict === 'all' || verdict === (type === 'd' ? 'directories' : 'others');
    };
  }

  #newBuilder({ session }: DropContext): DirectoryBuilder {
    const type = BLOB_TYPE.treePage;
    return new DirectoryBuilder({
      isPageEnd: this.#isPageEnd,
      store: async (page) =>
        (await session?.write(type, page)) ?? this.#repository.identify(type, page),
    });
  }
}

export function isNothing({ files, directories, others }: DroppedCounts): boolean {
  return files + directories + others === 0;
}

function noEntries(): DroppedCounts {
  return { files: 0, directories: 0, others: 0, bytes: 0n };
}

function addCounts(sum: DroppedCounts, added: DroppedCounts): void {
  sum.files += added.files;
  sum.directories += added.directories;
  sum.others += added.others;
  sum.bytes += added.bytes;
}

/** A critical field of a later version cannot be written again. */
function demandKnown(path: Uint8Array, entry: DirectoryEntry): Node {
  if (entry.type !== 'refused') return entry;
  const what = `entry "${printable(path)}"`;
  throw new VersionError(what, `field ${entry.tag}`, 'none of later versions');
}
