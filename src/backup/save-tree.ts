/**
 * The walk's events into trees: one open directory builder per level, closed from the leaves up. An
 * entry that cannot be saved costs that entry alone; it is reported and left out.
 */
import { BLOB_TYPE } from '../blob/blob-type.ts';
import { SourceError } from '../errors.ts';
import type { Session } from '../repository/session.ts';
import type { DirectoryRoot, Node, NodeType } from '../tree/node.ts';
import { DirectoryBuilder } from '../tree/page-builder.ts';
import { assert } from '../util/assert.ts';
import type { SourceEntry } from '../walk/source-entry.ts';
import { sourceError } from '../walk/source-error.ts';
import type { WalkEvent } from '../walk/walk.ts';
import type { FileSaver } from './save-file.ts';

export interface TreeSaverOptions {
  session: Session;
  files: FileSaver;
  /** Whether the keyed hash of a name lets a page end at it. */
  isPageEnd: (name: Uint8Array) => boolean;
  /** Told of every entry that is in the tree now; `/` is none. */
  onSaved: (type: NodeType) => void;
  onError: (error: SourceError) => void;
}

export class TreeSaver {
  readonly #options: TreeSaverOptions;
  /** From `/` down to the directory being walked; builders above are waiting, spare ones below. */
  readonly #builders: DirectoryBuilder[] = [];
  #depth = 0;
  #root: DirectoryRoot | undefined;

  constructor(options: TreeSaverOptions) {
    this.#options = options;
  }

  /** The root of the whole tree, once the walk has left `/`. */
  get root(): DirectoryRoot {
    assert(this.#root !== undefined, 'the walk has not ended');
    return this.#root;
  }

  async take(event: WalkEvent): Promise<void> {
    if (event.kind === 'error') this.#options.onError(event.error);
    else if (event.kind === 'enter') this.#enter();
    else if (event.kind === 'leave') await this.#leave(event.entry);
    else await this.#save(event.entry);
  }

  #enter(): void {
    if (this.#builders.length === this.#depth) this.#builders.push(this.#newBuilder());
    this.#depth += 1;
  }

  async #leave(entry: SourceEntry): Promise<void> {
    this.#depth -= 1;
    const builder = this.#builders[this.#depth] as DirectoryBuilder;
    if (this.#depth === 0) {
      this.#root = await builder.finishRoot();
      return;
    }
    const directory = await builder.finish();
    await this.#add(entry, { ...entry.metadata, directory });
  }

  async #save(entry: SourceEntry): Promise<void> {
    const node = entry.metadata.type === 'f' ? await this.#saveFile(entry) : entry.metadata;
    if (node !== undefined) await this.#add(entry, node);
  }

  async #saveFile(entry: SourceEntry): Promise<Node | undefined> {
    const { files, onError } = this.#options;
    try {
      const { content, metadata, isChanged } = await files.save(entry);
      if (isChanged) {
        const reason = 'file_changed';
        onError(sourceError({ path: entry.path, operation: 'read', reason }));
      }
      const size = content.kind === 'empty' ? 0n : content.length;
      return { ...entry.metadata, ...metadata, content, size };
    } catch (error) {
      if (!(error instanceof SourceError)) throw error;
      onError(error);
      return undefined;
    }
  }

  async #add(entry: SourceEntry, node: Node): Promise<void> {
    const { onSaved, onError } = this.#options;
    try {
      await (this.#builders[this.#depth - 1] as DirectoryBuilder).add(node);
    } catch (cause) {
      // Sparse files can make a directory larger than the 2^64 bytes that its totals can say.
      if (!(cause instanceof RangeError)) throw cause;
      const reason = 'unsupported';
      onError(sourceError({ path: entry.path, operation: 'save', reason, cause }));
      return;
    }
    onSaved(node.type);
  }

  #newBuilder(): DirectoryBuilder {
    const { session, isPageEnd } = this.#options;
    return new DirectoryBuilder({
      isPageEnd,
      store: (page) => session.write(BLOB_TYPE.treePage, page),
    });
  }
}
