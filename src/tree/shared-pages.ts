/**
 * Several directories at once, each page read once, whichever of them have it: versions of one
 * directory share most of their pages. What is checked of a page is what the first one that has it
 * says; the totals that all of them say of it are equal.
 */
import { blobKey } from '../id.ts';
import { demand } from '../util/byte-reader.ts';
import type { LoadBlob } from './blob-access.ts';
import { type DirectoryEntry, type DirectoryRoot, PAGE_HEIGHT_MAX } from './node.ts';
import { type ExpectedPage, expectChild, loadPage } from './tree-reader.ts';

/** The entries on one leaf page, and whose they are. */
export interface SharedEntries<Owner> {
  entries: DirectoryEntry[];
  owners: Owner[];
}

interface SharedPage<Owner> {
  readonly expected: ExpectedPage;
  readonly owners: Set<Owner>;
}

/** Pages of one height, by what is said of them. */
type Level<Owner> = Map<string, SharedPage<Owner>>;

/**
 * All entries of all directories; those of one directory that no other has may come before or after
 * those that it shares.
 * @param owners each with the root of its directory
 * @throws Malformed
 */
export async function* readSharedPages<Owner extends { readonly part: DirectoryRoot }>(
  owners: readonly Owner[],
  load: LoadBlob,
): AsyncGenerator<SharedEntries<Owner>, void, undefined> {
  const levels: Level<Owner>[] = [];
  for (const owner of owners) addPage(levels, owner.part, [owner]);
  for (let height = levels.length - 1; height >= 0; height--) {
    for (const { expected, owners: having } of levels[height]?.values() ?? []) {
      const page = await loadPage(expected, load);
      if (page.kind === 'leaf') {
        yield { entries: page.entries, owners: [...having] };
        continue;
      }
      for (let i = 0; i < page.children.length; i++) {
        addPage(levels, expectChild(page.children, i, expected), having);
      }
    }
  }
}

function addPage<Owner>(
  levels: Level<Owner>[],
  expected: ExpectedPage,
  owners: Iterable<Owner>,
): void {
  const { id, height, entries, bytes } = expected;
  demand(height <= PAGE_HEIGHT_MAX, 'page height too large');
  while (levels.length <= height) levels.push(new Map());
  const level = levels[height] as Level<Owner>;
  const key = `${blobKey(id)}${entries}:${bytes}`;
  const known = level.get(key);
  if (known === undefined) level.set(key, { expected, owners: new Set(owners) });
  else for (const owner of owners) known.owners.add(owner);
}
