/**
 * Two directories side by side, page by page: the entries of both by their names, except for pages
 * that both have, which are passed over without being read. Pages end where names say so
 * (`page-builder.ts`), so that of two versions of a large directory the pages around a change differ,
 * and no others: reading takes as long as what differs is large.
 *
 * Of two pages the one that begins earlier is opened; of equal begin, the higher one. A page is passed
 * over only when it comes next on both sides, and both parents say the same of it.
 */

import { compareBytes, equalBytes } from '../util/bytes.ts';
import type { LoadBlob } from './blob-access.ts';
import type { DirectoryEntry, DirectoryRoot } from './node.ts';
import { type ExpectedPage, expectChild, loadPage } from './tree-reader.ts';

/** Entries of one name; one of them may be undefined. */
export interface EntryPair {
  before: DirectoryEntry | undefined;
  after: DirectoryEntry | undefined;
}

export interface DirectoryPair {
  /** Undefined where there is none; then all entries of the other one are given. */
  before: DirectoryRoot | undefined;
  after: DirectoryRoot | undefined;
}

/**
 * Pairs in the order of their names, in batches. Both entries of a pair may be the same: they stand on
 * pages that differ in something else. Memory is one page per level and side.
 * @throws Malformed
 */
export async function* readDifferences(
  { before, after }: DirectoryPair,
  load: LoadBlob,
): AsyncGenerator<EntryPair[], void, undefined> {
  const [a, b] = [new Side(before, load), new Side(after, load)];
  for (;;) {
    const pairs = takePairs(a, b);
    if (pairs.length > 0) yield pairs;
    if (a.isAtEnd && b.isAtEnd) return;
    if (isSamePage(a.page, b.page)) {
      a.skip();
      b.skip();
    } else {
      const [opensA, opensB] = pagesToOpen(a, b);
      if (opensA) await a.open();
      if (opensB) await b.open();
    }
  }
}

/** What can be told before another page is read. */
function takePairs(a: Side, b: Side): EntryPair[] {
  const pairs: EntryPair[] = [];
  for (let pair = takePair(a, b); pair !== undefined; pair = takePair(a, b)) pairs.push(pair);
  return pairs;
}

function takePair(a: Side, b: Side): EntryPair | undefined {
  const [before, after] = [a.entry, b.entry];
  if (before !== undefined && after !== undefined) {
    const order = compareBytes(before.name, after.name);
    return {
      before: order <= 0 ? a.take() : undefined,
      after: order >= 0 ? b.take() : undefined,
    };
  }
  if (before !== undefined && isBelowPage(before, b)) return { before: a.take(), after };
  if (after !== undefined && isBelowPage(after, a)) return { before, after: b.take() };
  return undefined;
}

/** Whether an entry comes before all that is still to be read of the other side. */
function isBelowPage(entry: DirectoryEntry, { page }: Side): boolean {
  if (page === undefined) return true;
  return page.firstName !== undefined && compareBytes(entry.name, page.firstName) < 0;
}

function isSamePage(a: ExpectedPage | undefined, b: ExpectedPage | undefined): boolean {
  return (
    a !== undefined &&
    b !== undefined &&
    a.height === b.height &&
    a.entries === b.entries &&
    a.bytes === b.bytes &&
    equalBytes(a.id, b.id)
  );
}

/** At least one. A side whose next entry is known waits for the other. */
function pagesToOpen(a: Side, b: Side): [boolean, boolean] {
  if (a.page === undefined) return [false, true];
  if (b.page === undefined) return [true, false];
  if (a.page.height !== b.page.height) {
    const isHigher = a.page.height > b.page.height;
    return [isHigher, !isHigher];
  }
  const order = compareBegin(a.page.firstName, b.page.firstName);
  return [order <= 0, order >= 0];
}

/** A root has no first name yet, and begins before all others. */
function compareBegin(a: Uint8Array | undefined, b: Uint8Array | undefined): number {
  if (a !== undefined && b !== undefined) return compareBytes(a, b);
  return Number(a !== undefined) - Number(b !== undefined);
}

/** One directory, read as far as needed. */
class Side {
  readonly #load: LoadBlob;
  /** Pages not read yet, the next one last. */
  readonly #pages: ExpectedPage[];
  #entries: readonly DirectoryEntry[] = [];
  #position = 0;

  constructor(root: DirectoryRoot | undefined, load: LoadBlob) {
    this.#load = load;
    this.#pages = root === undefined ? [] : [root];
  }

  /** What comes next, where it has been read. */
  get entry(): DirectoryEntry | undefined {
    return this.#entries[this.#position];
  }

  /** What comes next, where it has not. */
  get page(): ExpectedPage | undefined {
    return this.entry === undefined ? this.#pages.at(-1) : undefined;
  }

  get isAtEnd(): boolean {
    return this.entry === undefined && this.#pages.length === 0;
  }

  take(): DirectoryEntry {
    const entry = this.#entries[this.#position] as DirectoryEntry;
    this.#position += 1;
    return entry;
  }

  skip(): void {
    this.#pages.pop();
  }

  async open(): Promise<void> {
    const expected = this.#pages.pop() as ExpectedPage;
    const page = await loadPage(expected, this.#load);
    if (page.kind === 'leaf') {
      this.#entries = page.entries;
      this.#position = 0;
      return;
    }
    for (let i = page.children.length - 1; i >= 0; i--) {
      this.#pages.push(expectChild(page.children, i, expected));
    }
  }
}
