/**
 * What differs between a snapshot and the live tree it was taken of, by the walk that takes snapshots,
 * with the same excludes. A file is read only when its times or its inode say that it may have
 * changed and its size does not: its bytes are then cut where the snapshot's chunks end, and each
 * piece is told by its id, so that nothing but trees is read of the repository.
 *
 * What cannot be read of the live tree is told, and neither gone nor changed. Extended attributes and
 * flags are not compared.
 */
import { SourceError } from '../errors.ts';
import type { ReadAccess } from '../repository/read-access.ts';
import type { Repository } from '../repository/repository.ts';
import type { ListChild } from '../tree/chunk-list.ts';
import { contentLength } from '../tree/content.ts';
import type { DirectoryEntry, DirectoryRoot, Node } from '../tree/node.ts';
import { bufferOf, concatBytes, isZero } from '../util/bytes.ts';
import { Turns } from '../util/turns.ts';
import { readAccountNames } from '../walk/account-names.ts';
import { type ExcludeOptions, excludeHash } from '../walk/excludes.ts';
import { planSources } from '../walk/plan-sources.ts';
import type { SourceEntry } from '../walk/source-entry.ts';
import { openSourceFile, type SourceFile } from '../walk/source-file.ts';
import { nodeSourceFs, type SourceFs } from '../walk/source-fs.ts';
import { type WalkEvent, walk } from '../walk/walk.ts';
import { startAheadThread } from '../walk/walk-ahead.ts';
import { demandKnown, differingMetadata, hasSameContent, isSameTime } from './compare-nodes.ts';
import {
  type Difference,
  findPlace,
  listOneSide,
  pathOf,
  type TreePlace,
} from './compare-trees.ts';

export interface CompareLiveOptions extends TreePlace {
  /** As the snapshot was taken with. */
  excludes?: ExcludeOptions | undefined;
  fs?: SourceFs | undefined;
  /** Told of every entry of the live tree that cannot be read. */
  onError?: ((error: SourceError) => void) | undefined;
  signal?: AbortSignal | undefined;
}

const SLASH = Uint8Array.of(0x2f);
/** Bytes of a file in memory at a time; no chunk is longer. */
const pieceSizeMax = 2 ** 24;

/**
 * The live tree is what comes after. Differences come in the order of paths, except that what is gone
 * from a directory comes where its name would have been.
 * @throws NotFoundError when the path is not in the snapshot, CorruptionError, StorageError
 * @throws VersionError where an entry of the snapshot has fields of a later version
 * @throws RangeError on excludes that make no sense
 */
export async function* compareLive(
  repository: Repository,
  access: ReadAccess,
  options: CompareLiveOptions,
): AsyncGenerator<Difference, void, undefined> {
  const { snapshot, names, excludes, fs = nodeSourceFs } = options;
  const { manifest } = snapshot;
  if (manifest.excludeHash !== '' && manifest.excludeHash !== excludeHash(excludes)) {
    repository.onNotice('The snapshot was taken with other excludes');
  }
  const start = await findPlace(access, { snapshot, names });
  const comparison = new LiveComparison(repository, access, { ...options, fs, start });
  const sources = names.length === 0 ? manifest.roots : [pathOf(names)];
  const plan = planSources(sources, '/');
  const naming = { accounts: readAccountNames(), linkGroup: () => new Uint8Array(8) };
  const thread = repository.jobs > 0 && fs === nodeSourceFs ? startAheadThread() : undefined;
  const ahead = thread?.begin(plan, excludes);
  try {
    for (const event of walk(plan, { fs, ...naming, excludes, ahead })) {
      yield* comparison.take(event);
      await comparison.takeTurn();
    }
    yield* comparison.finish();
  } finally {
    ahead?.stop();
    await thread?.close();
  }
}

interface LiveComparisonOptions extends CompareLiveOptions {
  fs: SourceFs;
  start: Awaited<ReturnType<typeof findPlace>>;
}

/** A directory of the walk, and what the snapshot has in it. */
interface Level {
  readonly path: Uint8Array;
  readonly directory: OrderedEntries;
}

class LiveComparison {
  readonly #access: ReadAccess;
  readonly #options: LiveComparisonOptions;
  readonly #turns: Turns;
  readonly #levels: Level[] = [];
  /** Directories entered on the way to what is compared. */
  #depth = 0;
  #hasBegun = false;
  /** For pieces of files; none before a file is read. */
  #memory: Uint8Array | undefined;
  /** Live paths that could not be read, as latin1 text. */
  readonly #unreadable = new Set<string>();

  constructor(repository: Repository, access: ReadAccess, options: LiveComparisonOptions) {
    this.#access = access;
    this.#options = options;
    this.#turns = new Turns(repository.clock, options.signal);
  }

  async takeTurn(): Promise<void> {
    if (this.#turns.isOver) await this.#turns.next();
  }

  async *take(event: WalkEvent): AsyncGenerator<Difference, void, undefined> {
    if (event.kind === 'error') this.#noteError(event.error);
    else if (event.kind === 'leave') yield* this.#leave();
    else if (event.kind === 'enter' && this.#depth < this.#options.names.length) this.#depth += 1;
    else if (!this.#hasBegun) yield* this.#begin(event.entry);
    else yield* this.#compare(event.entry);
  }

  /** What was to be compared may be gone as a whole. */
  async *finish(): AsyncGenerator<Difference, void, undefined> {
    const { start, names } = this.#options;
    const path = pathOf(names);
    if (!this.#hasBegun && start.node !== undefined && !this.#isUnreadable(path)) {
      yield* this.#tellGone(start.node, path);
    }
  }

  async *#begin(entry: SourceEntry): AsyncGenerator<Difference, void, undefined> {
    const { start, names } = this.#options;
    this.#hasBegun = true;
    const path = pathOf(names);
    if (start.node !== undefined) yield* this.#comparePair(entry, start.node, path);
    else this.#enter(start.directory, path);
  }

  async *#compare(entry: SourceEntry): AsyncGenerator<Difference, void, undefined> {
    const level = this.#levels.at(-1) as Level;
    const path = concatBytes(level.path, SLASH, Buffer.from(entry.name, 'latin1'));
    let before: Node | undefined;
    for (;;) {
      const next = await level.directory.peek();
      const name = next && bufferOf(next.name).toString('latin1');
      if (next === undefined || (name as string) > entry.name) break;
      level.directory.skip();
      const nextPath = concatBytes(level.path, SLASH, next.name);
      const node = demandKnown(next, nextPath);
      if (name === entry.name) {
        before = node;
        break;
      }
      if (!this.#isUnreadable(nextPath)) yield* this.#tellGone(node, nextPath);
    }
    if (before !== undefined) yield* this.#comparePair(entry, before, path);
    else yield this.#tellNew(entry, path);
  }

  #tellNew(entry: SourceEntry, path: Uint8Array): Difference {
    if (entry.type === 'd') this.#enter(undefined, path);
    return { kind: 'added', path, before: undefined, after: entry.metadata, metadata: [] };
  }

  async *#tellGone(before: Node, path: Uint8Array): AsyncGenerator<Difference, void, undefined> {
    yield { kind: 'removed', path, before, after: undefined, metadata: [] };
    const { directory } = before;
    if (directory === undefined) return;
    yield* listOneSide(this.#access, { kind: 'removed', directory, path }, this.#options.signal);
  }

  async *#comparePair(
    entry: SourceEntry,
    before: Node,
    path: Uint8Array,
  ): AsyncGenerator<Difference, void, undefined> {
    const { directory } = before;
    if (entry.type === 'd') this.#enter(directory, path);
    if (entry.type === before.type && isUntouched(entry, before)) return;
    const { metadata: after } = entry;
    const metadata = differingLiveMetadata(before, after);
    if (entry.type !== before.type) {
      yield { kind: 'type', path, before, after, metadata };
      if (directory === undefined || entry.type === 'd') return;
      yield* listOneSide(this.#access, { kind: 'removed', directory, path }, this.#options.signal);
      return;
    }
    const isSame = await this.#hasSameContent(entry, before);
    if (isSame === undefined || (isSame && metadata.length === 0)) return;
    yield { kind: isSame ? 'metadata' : 'content', path, before, after, metadata };
  }

  #enter(directory: DirectoryRoot | undefined, path: Uint8Array): void {
    this.#levels.push({ path, directory: new OrderedEntries(this.#access, directory) });
  }

  async *#leave(): AsyncGenerator<Difference, void, undefined> {
    const level = this.#levels.pop();
    // Above what is compared nothing is.
    if (level === undefined || this.#isUnreadable(level.path)) return;
    for (let next = await level.directory.peek(); next; next = await level.directory.peek()) {
      level.directory.skip();
      const path = concatBytes(level.path, SLASH, next.name);
      if (!this.#isUnreadable(path)) yield* this.#tellGone(demandKnown(next, path), path);
    }
  }

  /** Undefined where the file cannot be read. */
  async #hasSameContent(entry: SourceEntry, before: Node): Promise<boolean | undefined> {
    const { content } = before;
    if (content === undefined) return hasSameContent(before, entry.metadata);
    if (BigInt(entry.size) !== contentLength(content)) return false;
    if (content.kind === 'empty') return true;
    const held = entry.hold();
    let file: SourceFile | undefined;
    try {
      const { fs } = this.#options;
      const { path } = held;
      file = openSourceFile({ fs, path, displayPath: entry.path, identity: entry.identity });
      return await this.#readsAs(file, content);
    } catch (error) {
      if (!(error instanceof SourceError)) throw error;
      this.#noteError(error);
      return undefined;
    } finally {
      file?.close();
      held.release();
    }
  }

  async #readsAs(file: SourceFile, content: NonNullable<Node['content']>): Promise<boolean> {
    this.#memory ??= new Uint8Array(pieceSizeMax);
    for await (const chunks of this.#access.chunks(content)) {
      for (const chunk of chunks) {
        if (!(await this.#readsAsChunk(file, chunk, this.#memory))) return false;
      }
    }
    return true;
  }

  /** A hole may be longer than the memory. */
  async #readsAsChunk(
    file: SourceFile,
    { id, length }: ListChild,
    memory: Uint8Array,
  ): Promise<boolean> {
    for (let left = Number(length); left > 0; left -= memory.length) {
      const piece = memory.subarray(0, Math.min(left, memory.length));
      if (file.read(piece) < piece.length) return false;
      if (!(id === undefined ? isZero(piece) : this.#access.isChunk(id, piece))) return false;
      await this.takeTurn();
    }
    return true;
  }

  #noteError(error: SourceError): void {
    // What is not there is gone, and told as that.
    if (error.reason === 'missing' || error.reason === 'vanished') return;
    this.#unreadable.add(bufferOf(error.path).toString('latin1'));
    this.#options.onError?.(error);
  }

  #isUnreadable(path: Uint8Array): boolean {
    const text = bufferOf(path).toString('latin1');
    return this.#unreadable.has(text === '' ? '/' : text);
  }
}

/** No program can write to a file, or change anything of it, and keep its time of change. */
function isUntouched(entry: SourceEntry, before: Node): boolean {
  return (
    entry.inode === before.inode &&
    isSameTime(entry.ctime, before.ctime) &&
    isSameTime(entry.mtime, before.mtime) &&
    (before.size === undefined || BigInt(entry.size) === before.size)
  );
}

function differingLiveMetadata(before: Node, after: Node): Difference['metadata'] {
  return differingMetadata(before, after).filter(
    (field) => field !== 'attributes' && field !== 'flags',
  );
}

/** The entries of a directory of the snapshot, one after another. */
class OrderedEntries {
  readonly #batches: AsyncGenerator<DirectoryEntry[], void, undefined> | undefined;
  #batch: readonly DirectoryEntry[] = [];
  #position = 0;

  constructor(access: ReadAccess, root: DirectoryRoot | undefined) {
    this.#batches = root && access.directory(root);
  }

  /** The next one, again and again until it is skipped; undefined at the end. */
  async peek(): Promise<DirectoryEntry | undefined> {
    while (this.#position === this.#batch.length) {
      const next = await this.#batches?.next();
      if (next === undefined || next.done === true) return undefined;
      this.#batch = next.value;
      this.#position = 0;
    }
    return this.#batch[this.#position];
  }

  skip(): void {
    this.#position += 1;
  }
}
