/**
 * Writing one directory: nodes come in order of their names, pages go to the sink as they fill, the
 * levels above grow along. Where a page ends depends on the names around it only, so that a change
 * of one entry rewrites one leaf and the pages above it, wherever it lies in the directory.
 *
 * A builder is empty again after `finish`, and may be used for the next directory with the memory of
 * the last.
 */
import type { BlobId } from '../id.ts';
import { assert } from '../util/assert.ts';
import { compareBytes } from '../util/bytes.ts';
import type { StoreBlob } from './blob-access.ts';
import { type Level, Levels } from './levels.ts';
import { type DirectoryRoot, type Node, PAGE_HEIGHT_MAX } from './node.ts';
import { type ChildPage, countEntry, PageWriter, TOTAL_MAX, type Totals } from './page.ts';

/** From this size on a name may end the page. */
export const PAGE_CUT_MIN: number = 2 ** 14;
/** At this size the page ends. */
export const PAGE_CUT_MAX: number = 2 ** 18;

/** Where pages go, and the key that says where they end. */
export interface PageSink {
  /** Whether the keyed hash of the name lets a page end here; asked only when it can matter. */
  isPageEnd(name: Uint8Array): boolean;
  readonly store: StoreBlob;
}

export class DirectoryBuilder {
  readonly #sink: PageSink;
  readonly #leaves: PageLevel;
  readonly #levels: Levels<ChildPage>;
  #entries = 0n;
  #bytes = 0n;
  #lastName: Uint8Array | undefined;

  constructor(sink: PageSink) {
    this.#sink = sink;
    this.#leaves = new PageLevel('leaf', sink);
    this.#levels = new Levels({
      openLevel: (height) => (height === 0 ? this.#leaves : new PageLevel('inner', sink)),
      store: (page) => sink.store(page),
      heightMax: PAGE_HEIGHT_MAX,
    });
  }

  /**
   * Appends a node, whose name must be above the last one; the bytes of the name are borrowed until
   * `finish`. When the node fills a page a promise comes back, to be awaited before the next call.
   * @throws RangeError when the totals would pass 2^64 - 1; the node is then not added.
   */
  add(node: Node): Promise<void> | undefined {
    assert(!this.#levels.isStoring, 'add() while a page is being stored');
    const last = this.#lastName;
    assert(last === undefined || compareBytes(last, node.name) < 0, 'names not ascending');
    const own = countEntry(node);
    this.#count(own);
    this.#lastName = node.name;
    return this.#leaves.addNode(node, own) ? this.#levels.endLowest() : undefined;
  }

  /** Stores what is open: the root, or undefined for an empty directory, which has no page. */
  async finish(): Promise<DirectoryRoot | undefined> {
    assert(!this.#levels.isStoring, 'finish() while a page is being stored');
    const end = await this.#levels.finish();
    this.#entries = 0n;
    this.#bytes = 0n;
    this.#lastName = undefined;
    if (end === undefined) return undefined;
    const { id, entries, bytes } = end.root;
    return { id, height: end.height, entries, bytes };
  }

  /** As `finish`, for the root of a snapshot: when empty, it still has a page. */
  async finishRoot(): Promise<DirectoryRoot> {
    const root = await this.finish();
    if (root !== undefined) return root;
    const id = await this.#sink.store(new PageWriter('leaf').take());
    return { id, height: 0, entries: 0n, bytes: 0n };
  }

  /** Files with holes can state any size, so that this can happen to honest sources. */
  #count(added: Totals): void {
    const entries = this.#entries + added.entries;
    const bytes = this.#bytes + added.bytes;
    if (entries > TOTAL_MAX || bytes > TOTAL_MAX)
      throw new RangeError('Directory totals pass 2^64 - 1');
    this.#entries = entries;
    this.#bytes = bytes;
  }
}

/** The pages of one level with the totals of the open one. */
export class PageLevel implements Level<ChildPage> {
  readonly #sink: PageSink;
  readonly #page: PageWriter;
  #firstName: Uint8Array | undefined;
  #entries = 0n;
  #bytes = 0n;

  constructor(kind: 'leaf' | 'inner', sink: PageSink) {
    this.#sink = sink;
    this.#page = new PageWriter(kind);
  }

  get count(): number {
    return this.#page.count;
  }

  addNode(node: Node, own: Totals): boolean {
    this.#page.addNode(node);
    return this.#endsWith(node.name, own);
  }

  addChild(child: ChildPage): boolean {
    this.#page.addChild(child);
    return this.#endsWith(child.firstName, child);
  }

  take(): { blob: Uint8Array; refer: (id: BlobId) => ChildPage } {
    assert(this.#firstName !== undefined, 'page without entries');
    const counted = { firstName: this.#firstName, entries: this.#entries, bytes: this.#bytes };
    this.#firstName = undefined;
    this.#entries = 0n;
    this.#bytes = 0n;
    return { blob: this.#page.take(), refer: (id) => ({ ...counted, id }) };
  }

  #endsWith(name: Uint8Array, { entries, bytes }: Totals): boolean {
    this.#firstName ??= name;
    this.#entries += entries;
    this.#bytes += bytes;
    const { size } = this.#page;
    return size >= PAGE_CUT_MAX || (size >= PAGE_CUT_MIN && this.#sink.isPageEnd(name));
  }
}
