/**
 * From the walk's events to trees: what has not changed since the parent snapshot is taken from there,
 * files are handed to the workers, and nodes come back into the order of the walk.
 *
 * Invariants:
 * - Items leave the queue in the order in which the walk met them; one that is still being read holds
 *   up those behind it. The queue is bounded.
 * - While a directory has matched the parent's entry by entry, nothing of it is queued. At the first
 *   difference it is opened: what matched so far is read again from the parent and queued. A directory
 *   that matches to its end is one node, whatever lies below it.
 */
import type { SourceError } from '../errors.ts';
import type { BlobId } from '../id.ts';
import { ChunkListBuilder } from '../tree/chunk-list-builder.ts';
import { contentLength } from '../tree/content.ts';
import type { DirectoryRoot, Node } from '../tree/node.ts';
import type { AccountNames } from '../walk/account-names.ts';
import type { SourceDirectory, SourceEntry } from '../walk/source-entry.ts';
import { sourceError } from '../walk/source-error.ts';
import type { SourceExtras } from '../walk/source-extras.ts';
import { openSourceFile } from '../walk/source-file.ts';
import type { SourceFs } from '../walk/source-fs.ts';
import { inodeMetadata } from '../walk/source-metadata.ts';
import type { WalkEvent } from '../walk/walk.ts';
import {
  type AssemblyContext,
  FileAssembly,
  type FilePart,
  type SavedFile,
} from './file-assembly.ts';
import { makeNode } from './make-node.ts';
import { type NodeExtras, storeExtras } from './node-extras.ts';
import { OldVersion } from './old-version.ts';
import { ParentDirectory, type ParentOptions } from './parent-tree.ts';
import type { SavePool } from './save-pool.ts';
import type { TreeSaver } from './save-tree.ts';
import { batchFileCountMax, type Slices } from './slices.ts';

/** What became of an entry, measured against the parent snapshot. */
export type EntryAction = 'new' | 'changed' | 'unchanged';

export interface EntrySaverOptions {
  readonly pool: SavePool;
  readonly tree: TreeSaver;
  readonly fs: SourceFs;
  readonly write: ConstructorParameters<typeof ChunkListBuilder>[0];
  readonly writeAttributes: (attributes: Uint8Array) => Promise<BlobId>;
  readonly slices: Slices;
  /** Whether new chunks may become deltas against what the parent snapshot has. */
  readonly hasDeltas: boolean;
  readonly accounts: AccountNames;
  /** Root of the parent snapshot, and how to read it. */
  readonly parent: { readonly root: DirectoryRoot; readonly options: ParentOptions } | undefined;
  /** Told of every entry that is in the tree now; `/` is none. */
  readonly onSaved: (entry: SourceEntry, action: EntryAction, size: number) => void;
  /** Told of bytes as they have been read and kept. */
  readonly onRead: (size: number) => void;
  readonly onError: (error: SourceError) => void;
}

/** Items waiting behind one that is not ready. */
const queueLengthMax = 8192;
/** Hard-linked files whose content is remembered, so that the next name need not be read. */
const linkedCountMax = 100_000;

/** A directory of the walk. */
interface Level {
  readonly entry: SourceEntry;
  readonly parent: ParentDirectory | undefined;
  /** What the parent snapshot says of the directory itself; `/` has no node. */
  readonly node: Node | undefined;
  /** Whether the directory itself is as that node says, and what it refers to is there. */
  readonly isUnchanged: boolean;
  /** Attributes and flags of the directory. */
  readonly extras: NodeExtras | undefined;
  /** Entries that matched the parent's, all of them so far, while the level is not open. */
  matched: number;
  isOpen: boolean;
}

type EnterEvent = WalkEvent & { readonly kind: 'enter' };

type Item =
  | {
      readonly kind: 'enter';
      readonly entry: SourceEntry;
      readonly extras: NodeExtras | undefined;
    }
  | { readonly kind: 'leave' }
  | PendingNode;

/** A node, or a file on its way to become one. */
interface PendingNode {
  readonly kind: 'node';
  node: Node | undefined;
  isSettled: boolean;
}

export class EntrySaver {
  readonly #options: EntrySaverOptions;
  readonly #levels: Level[] = [];
  #queue: Item[] = [];
  #queueStart = 0;
  #batch: FilePart[] = [];
  #batchSize = 0;
  readonly #spareLists: ChunkListBuilder[] = [];
  readonly #linked = new Map<string, Node>();
  readonly #context: AssemblyContext;
  #root: DirectoryRoot | undefined;

  constructor(options: EntrySaverOptions) {
    const { pool, slices, fs, write, parent, hasDeltas } = options;
    const reader = hasDeltas ? parent?.options.reader : undefined;
    this.#options = options;
    this.#context = {
      slices,
      takeList: () => this.#spareLists.pop() ?? new ChunkListBuilder(write),
      giveList: (list) => this.#spareLists.push(list),
      readFirst: (part) => pool.submitFirst(part),
      onFailure: (error) => pool.fail(error),
      open: ({ path: displayPath, identity }, path) =>
        openSourceFile({ fs, path, displayPath, identity }),
      openOld: reader && ((content) => new OldVersion(content, reader)),
    };
  }

  /** A promise that comes back must be awaited. Most entries are unchanged, and then there is none. */
  take(event: WalkEvent): Promise<void> | undefined {
    if (event.kind === 'error') {
      this.#options.onError(event.error);
      return undefined;
    }
    if (event.kind === 'entry') return this.#save(event.entry);
    return event.kind === 'enter' ? this.#enter(event) : this.#leave();
  }

  /** Waits for everything that was taken; gives the root of the tree. */
  async finish(): Promise<DirectoryRoot> {
    await this.#submitBatch();
    for (await this.#drain(); this.#queueLength > 0; await this.#drain()) {
      if (this.#isHeldUp) await this.#options.pool.changed();
    }
    return this.#root ?? this.#options.tree.root;
  }

  async #enter({ entry, directory: listed, isUnreadable }: EnterEvent): Promise<void> {
    const { parent } = this.#options;
    const above = this.#levels.at(-1);
    const node = above === undefined ? undefined : await above.parent?.find(entry.name);
    const isKnown = above === undefined ? parent !== undefined : node?.type === 'd';
    const root = above === undefined ? parent?.root : node?.directory;
    const directory =
      isKnown && parent !== undefined ? new ParentDirectory(root, parent.options) : undefined;
    let isUnchanged = node !== undefined && entry.isUnchangedFrom(node);
    let extras: NodeExtras | undefined = node;
    if (isUnchanged && node?.attributeBlob !== undefined) {
      isUnchanged = (await above?.parent?.hasBlobsOf(node)) === true;
    }
    if (!isUnchanged && above !== undefined) {
      // Of what cannot be opened the walk has told.
      extras = isUnreadable ? undefined : await this.#readExtras(entry, listed);
    }
    const level = {
      entry,
      parent: directory,
      node,
      isUnchanged,
      extras,
      matched: 0,
      isOpen: false,
    };
    this.#levels.push(level);
    if (directory === undefined) await this.#open(level);
  }

  /** Those of anything but a file; of a directory while it is open. */
  #readExtras(
    entry: SourceEntry,
    listed?: SourceDirectory,
  ): NodeExtras | undefined | Promise<NodeExtras> {
    const found = listed === undefined ? entry.readExtras(this.#options.fs) : listed.readExtras();
    return this.#storeExtras(entry, found);
  }

  /** Stores what does not fit into a node, and reports what could not be read. */
  #storeExtras(
    { path }: SourceEntry,
    extras: SourceExtras | undefined,
  ): NodeExtras | undefined | Promise<NodeExtras> {
    if (extras === undefined) return undefined;
    const { onError, writeAttributes } = this.#options;
    if (extras.failure !== undefined) onError(sourceError({ path, ...extras.failure }));
    return storeExtras(extras, writeAttributes);
  }

  async #leave(): Promise<void> {
    const level = this.#levels.pop() as Level;
    const { entry, parent, node, extras } = level;
    const isSame = !level.isOpen && (await parent?.isMatched()) === true;
    const above = this.#levels.at(-1);
    if (above === undefined) {
      if (isSame) this.#root = parent?.root;
      else await this.#close(level);
      return;
    }
    const isUnchanged = isSame && level.isUnchanged;
    this.#options.onSaved(entry, actionOf(node, isUnchanged), 0);
    if (isUnchanged && node !== undefined) {
      await this.#addUnchanged(above, node);
      return;
    }
    if (!isSame) return await this.#close(level);
    await this.#addChanged(above, makeNode(entry.metadata, { directory: parent?.root, extras }));
  }

  async #close(level: Level): Promise<void> {
    this.#levels.push(level);
    await this.#open(level);
    this.#levels.pop();
    await this.#push({ kind: 'leave' });
  }

  #save(entry: SourceEntry): Promise<void> | undefined {
    const level = this.#levels.at(-1) as Level;
    const found = level.parent?.find(entry.name);
    if (!(found instanceof Promise)) return this.#compare(level, entry, found);
    return found.then((node) => this.#compare(level, entry, node));
  }

  #compare(level: Level, entry: SourceEntry, node: Node | undefined): Promise<void> | undefined {
    if (node === undefined || !entry.isUnchangedFrom(node)) {
      return this.#saveAnew(level, entry, node);
    }
    const isThere = level.parent?.hasBlobsOf(node) ?? false;
    if (isThere === true) return this.#reuse(level, entry, node);
    if (isThere === false) return this.#saveAnew(level, entry, node);
    return isThere.then((is) =>
      is ? this.#reuse(level, entry, node) : this.#saveAnew(level, entry, node),
    );
  }

  #reuse(level: Level, entry: SourceEntry, node: Node): Promise<void> | undefined {
    const size = node.content === undefined ? 0 : Number(contentLength(node.content));
    this.#options.onSaved(entry, 'unchanged', size);
    return this.#addUnchanged(level, node);
  }

  async #saveAnew(level: Level, entry: SourceEntry, node: Node | undefined): Promise<void> {
    if (entry.type === 'f') return await this.#saveFile(level, entry, node);
    const extras = await this.#readExtras(entry);
    this.#options.onSaved(entry, actionOf(node, false), 0);
    await this.#addChanged(level, makeNode(entry.metadata, { extras }));
  }

  #addUnchanged(level: Level, node: Node): Promise<void> | undefined {
    if (!level.isOpen && level.parent?.isWhole === true) {
      level.matched += 1;
      return undefined;
    }
    // Something before this entry is gone: the level has to be written anew.
    return this.#addChanged(level, node);
  }

  async #addChanged(level: Level, node: Node): Promise<void> {
    await this.#open(level);
    await this.#push({ kind: 'node', node, isSettled: true });
  }

  /** Queues what a directory, and those above it, have matched so far. */
  async #open(level: Level): Promise<void> {
    if (level.isOpen) return;
    for (const each of this.#levels) {
      if (each.isOpen) continue;
      each.isOpen = true;
      await this.#push({ kind: 'enter', entry: each.entry, extras: each.extras });
      for await (const node of each.parent?.first(each.matched) ?? []) {
        await this.#push({ kind: 'node', node, isSettled: true });
      }
    }
  }

  async #saveFile(level: Level, entry: SourceEntry, previous: Node | undefined): Promise<void> {
    await this.#open(level);
    const linked = this.#findLinked(entry);
    if (linked !== undefined) {
      const { content, size } = linked;
      this.#options.onSaved(entry, actionOf(previous, false), Number(size));
      await this.#push({
        kind: 'node',
        node: makeNode(entry.metadata, { content, size, extras: linked }),
        isSettled: true,
      });
      return;
    }
    if (entry.size > Number.MAX_SAFE_INTEGER) {
      const { path } = entry;
      return this.#options.onError(sourceError({ path, operation: 'save', reason: 'unsupported' }));
    }
    const pending: PendingNode = { kind: 'node', node: undefined, isSettled: false };
    const file = new FileAssembly(
      { entry, previous: previous?.content },
      this.#context,
      (outcome) => {
        if ('content' in outcome) this.#settle(pending, entry, { saved: outcome, previous });
        else this.#settleFailed(pending, outcome);
      },
    );
    await this.#push(pending);
    for (const part of file.parts()) await this.#submit(part);
  }

  #settle(
    pending: PendingNode,
    entry: SourceEntry,
    { saved, previous }: { saved: SavedFile; previous: Node | undefined },
  ): void {
    const { onError, onRead, onSaved, accounts, pool } = this.#options;
    const { content, size, bytesRead, stat, isChanged } = saved;
    const { path } = entry;
    if (isChanged) onError(sourceError({ path, operation: 'read', reason: 'file_changed' }));
    onRead(bytesRead);
    onSaved(entry, actionOf(previous, false), size);
    const renewed = stat === undefined ? undefined : inodeMetadata(stat, accounts);
    const finish = (extras: NodeExtras | undefined): void => {
      pending.node = makeNode(entry.metadata, { content, size: BigInt(size), extras }, renewed);
      pending.isSettled = true;
      if (!isChanged) this.#rememberLinked(entry, pending.node);
      pool.wake();
    };
    const extras = this.#storeExtras(entry, saved.extras);
    if (!(extras instanceof Promise)) finish(extras);
    else extras.then(finish).catch((error: unknown) => pool.fail(error));
  }

  #settleFailed(pending: PendingNode, error: SourceError): void {
    pending.isSettled = true;
    this.#options.onError(error);
    this.#options.pool.wake();
  }

  async #submit(part: FilePart): Promise<void> {
    const { slices } = this.#options;
    const isWhole = part.isWhole && part.length <= slices.size + 1;
    if (!isWhole) {
      await this.#submitBatch();
      await this.#hand([part]);
      return;
    }
    const size = this.#batchSize + part.length;
    if (size > slices.size) await this.#submitBatch();
    this.#batch.push(part);
    this.#batchSize += part.length;
    if (this.#batch.length === batchFileCountMax) await this.#submitBatch();
  }

  async #submitBatch(): Promise<void> {
    if (this.#batch.length === 0) return;
    const batch = this.#batch;
    this.#batch = [];
    this.#batchSize = 0;
    await this.#hand(batch);
  }

  async #hand(batch: readonly FilePart[]): Promise<void> {
    await this.#options.pool.submit(batch);
    await this.#drain();
  }

  async #push(item: Item): Promise<void> {
    this.#queue.push(item);
    if (this.#queueLength < queueLengthMax) return;
    await this.#drain();
    while (this.#queueLength >= queueLengthMax) {
      // The batch may hold the very file that the queue waits for.
      await this.#submitBatch();
      if (this.#isHeldUp) await this.#options.pool.changed();
      await this.#drain();
    }
  }

  /** The front of the queue waits for a worker. To be asked right before waiting for one. */
  get #isHeldUp(): boolean {
    const item = this.#queue[this.#queueStart];
    return item?.kind === 'node' && !item.isSettled;
  }

  get #queueLength(): number {
    return this.#queue.length - this.#queueStart;
  }

  /** Moves into the tree whatever is ready at the front of the queue. */
  async #drain(): Promise<void> {
    const { tree } = this.#options;
    while (this.#queueLength > 0) {
      const item = this.#queue[this.#queueStart] as Item;
      if (item.kind === 'node' && !item.isSettled) break;
      this.#queueStart += 1;
      if (item.kind === 'enter') tree.enter(item.entry, item.extras);
      else if (item.kind === 'leave') await tree.leave();
      else if (item.node !== undefined) {
        const stored = tree.add(item.node);
        if (stored !== undefined) await stored;
      }
    }
    this.#queue = this.#queue.slice(this.#queueStart);
    this.#queueStart = 0;
  }

  /** The content of another name of this very file, unless the file was touched since. */
  #findLinked(entry: SourceEntry): Node | undefined {
    if (entry.metadata.linkGroup === undefined) return undefined;
    const node = this.#linked.get(linkKey(entry));
    return node !== undefined && entry.isUnchangedFrom(node) ? node : undefined;
  }

  #rememberLinked(entry: SourceEntry, node: Node): void {
    const isLinked = entry.metadata.linkGroup !== undefined;
    if (isLinked && this.#linked.size < linkedCountMax) this.#linked.set(linkKey(entry), node);
  }
}

function linkKey({ identity }: SourceEntry): string {
  return `${identity.device}:${identity.inode}`;
}

function actionOf(previous: Node | undefined, isUnchanged: boolean): EntryAction {
  if (isUnchanged) return 'unchanged';
  return previous === undefined ? 'new' : 'changed';
}
