/**
 * Nodes into trees: one open directory builder per level, closed from the leaves up. An entry that
 * cannot be stored costs that entry alone; it is reported and left out.
 */
import { BLOB_TYPE, type BlobType } from '../blob/blob-type.ts';
import type { SourceError } from '../errors.ts';
import type { BlobId } from '../id.ts';
import type { DirectoryRoot, Node } from '../tree/node.ts';
import { DirectoryBuilder } from '../tree/page-builder.ts';
import { assert } from '../util/assert.ts';
import { childOf, type SourceEntry } from '../walk/source-entry.ts';
import { sourceError } from '../walk/source-error.ts';
import { makeNode } from './make-node.ts';
import type { NodeExtras } from './node-extras.ts';

export interface TreeSaverOptions {
  write: (type: BlobType, plaintext: Uint8Array) => Promise<BlobId>;
  /** Whether the keyed hash of a name lets a page end at it. */
  isPageEnd: (name: Uint8Array) => boolean;
  /** An entry that could not become part of its directory. */
  onError: (error: SourceError) => void;
}

/** An open directory. */
interface Level {
  readonly entry: SourceEntry;
  readonly extras: NodeExtras | undefined;
  readonly builder: DirectoryBuilder;
}

export class TreeSaver {
  readonly #options: TreeSaverOptions;
  readonly #levels: Level[] = [];
  readonly #spare: DirectoryBuilder[] = [];
  #root: DirectoryRoot | undefined;

  constructor(options: TreeSaverOptions) {
    this.#options = options;
  }

  /** The root of the whole tree, once `/` has been left. */
  get root(): DirectoryRoot {
    assert(this.#root !== undefined, 'the walk has not ended');
    return this.#root;
  }

  enter(entry: SourceEntry, extras: NodeExtras | undefined): void {
    this.#levels.push({ entry, extras, builder: this.#spare.pop() ?? this.#newBuilder() });
  }

  /** Adds a node to the open directory; a promise that comes back must be awaited. */
  add(node: Node): Promise<void> | undefined {
    const { entry, builder } = this.#levels.at(-1) as Level;
    try {
      return builder.add(node);
    } catch (cause) {
      // Sparse files can make a directory larger than the 2^64 bytes that its totals can say.
      if (!(cause instanceof RangeError)) throw cause;
      const path = childOf(entry, node.name);
      this.#options.onError(sourceError({ path, operation: 'save', reason: 'unsupported', cause }));
      return undefined;
    }
  }

  async leave(): Promise<void> {
    const { entry, extras, builder } = this.#levels.pop() as Level;
    if (this.#levels.length === 0) {
      this.#root = await builder.finishRoot();
      return;
    }
    const directory = await builder.finish();
    this.#spare.push(builder);
    await this.add(makeNode(entry.metadata, { directory, extras }));
  }

  #newBuilder(): DirectoryBuilder {
    const { write, isPageEnd } = this.#options;
    return new DirectoryBuilder({ isPageEnd, store: (page) => write(BLOB_TYPE.treePage, page) });
  }
}
