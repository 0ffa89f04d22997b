/**
 * Reading one directory, from its root page down. Nothing a page claims is believed: each child must
 * have the height, first name, name range and totals that its parent gave it, so that a reader of
 * the whole directory has checked all of its totals, and a reader of one path all that it met.
 *
 * Nodes come in batches, one array per leaf page: a step of an async generator costs about 200 ns, a
 * quarter of what decoding a node costs, and nothing once it is spread over the nodes of a page.
 * Memory is one page per level. Pages are asked for one after another, and `load` answers for their
 * ids: it gives bytes whose keyed hash was checked, or throws.
 */
import type { BlobId } from '../id.ts';
import { demand } from '../util/byte-reader.ts';
import { compareBytes, equalBytes } from '../util/bytes.ts';
import type { LoadBlob } from './blob-access.ts';
import { type DirectoryEntry, type DirectoryRoot, PAGE_HEIGHT_MAX } from './node.ts';
import { type ChildPage, decodePage, type InnerPage, type LeafPage, type Totals } from './page.ts';

/** A page not read yet, with all that its parents say of it. */
export interface ExpectedPage extends Totals {
  id: BlobId;
  height: number;
  /** Undefined for a root page. */
  firstName?: Uint8Array;
  /** All names are below this one; undefined for the last page of a level. */
  nameEnd?: Uint8Array | undefined;
}

/** Told of a page that cannot be used. Unless it throws, reading goes on behind that page. */
export type OnBadPage = (error: unknown, id: BlobId) => void;

/** Asked before a page is read, once; a page that is not wanted is left out with all below it. */
export type IsWantedPage = (page: { readonly id: BlobId } & Totals) => boolean;

interface PageHooks {
  load: LoadBlob;
  onBadPage: OnBadPage;
  isWanted: IsWantedPage;
}

/**
 * All entries of a directory in order of their names, one array per leaf page. A root of no entries
 * is that of an empty snapshot.
 * @param onBadPage throws what it is given unless the caller says otherwise.
 * @throws Malformed
 */
export async function* readDirectory(
  root: DirectoryRoot,
  load: LoadBlob,
  onBadPage: OnBadPage = rethrow,
): AsyncGenerator<DirectoryEntry[], void, undefined> {
  yield* readBelow(root, { load, onBadPage, isWanted: () => true });
}

/**
 * The same without what is not wanted: for who has been at some of its pages before.
 * @throws Malformed
 */
export async function* readWantedPages(
  root: DirectoryRoot,
  load: LoadBlob,
  isWanted: IsWantedPage,
): AsyncGenerator<DirectoryEntry[], void, undefined> {
  yield* readBelow(root, { load, onBadPage: rethrow, isWanted });
}

function rethrow(error: unknown): never {
  throw error;
}

/**
 * The entry of that name, or undefined when the directory has none. Reads one page per level.
 * @throws Malformed
 */
export async function findEntry(
  root: DirectoryRoot,
  name: Uint8Array,
  load: LoadBlob,
): Promise<DirectoryEntry | undefined> {
  let expected: ExpectedPage = root;
  for (;;) {
    const page = await loadPage(expected, load);
    if (page.kind === 'leaf') return page.entries.find((entry) => equalBytes(entry.name, name));
    const i = page.children.findLastIndex((child) => compareBytes(child.firstName, name) <= 0);
    if (i < 0) return undefined;
    expected = expectChild(page.children, i, expected);
  }
}

async function* readBelow(
  expected: ExpectedPage,
  hooks: PageHooks,
): AsyncGenerator<DirectoryEntry[], void, undefined> {
  if (!hooks.isWanted(expected)) return;
  let page: LeafPage | InnerPage;
  try {
    page = await loadPage(expected, hooks.load);
  } catch (error) {
    hooks.onBadPage(error, expected.id);
    return;
  }
  if (page.kind === 'leaf') {
    yield page.entries;
    return;
  }
  for (let i = 0; i < page.children.length; i++) {
    yield* readBelow(expectChild(page.children, i, expected), hooks);
  }
}

/** What the parent says of its `i`th child. */
export function expectChild(
  children: readonly ChildPage[],
  i: number,
  parent: ExpectedPage,
): ExpectedPage {
  const nameEnd = children[i + 1]?.firstName ?? parent.nameEnd;
  return { ...(children[i] as ChildPage), height: parent.height - 1, nameEnd };
}

/** A page that is what its parents say. @throws Malformed */
export async function loadPage(
  expected: ExpectedPage,
  load: LoadBlob,
): Promise<LeafPage | InnerPage> {
  demand(expected.height <= PAGE_HEIGHT_MAX, 'page height too large');
  const page = decodePage(await load(expected.id));
  demand((page.kind === 'leaf') === (expected.height === 0), 'height does not match the page kind');
  const { entries, bytes } = page.totals;
  demand(entries === expected.entries && bytes === expected.bytes, 'totals do not match');
  const [first, last] = outerNames(page);
  const { firstName, nameEnd } = expected;
  if (first === undefined || last === undefined) return page; // totals of 0 agree: an empty snapshot
  demand(firstName === undefined || equalBytes(first, firstName), 'first name does not match');
  demand(nameEnd === undefined || compareBytes(last, nameEnd) < 0, 'pages overlap');
  return page;
}

/** First and last name in a page; of an inner page, as far as it knows them. */
function outerNames(page: LeafPage | InnerPage): (Uint8Array | undefined)[] {
  return page.kind === 'leaf'
    ? [page.entries[0]?.name, page.entries.at(-1)?.name]
    : [page.children[0]?.firstName, page.children.at(-1)?.firstName];
}
