/** Golden vectors of page cutting: where pages end, and that a change rewrites few of them. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import test from 'node:test';
import type { BlobId } from '../../src/id.ts';
import { Levels } from '../../src/tree/levels.ts';
import { type DirectoryRoot, type Node, PAGE_HEIGHT_MAX } from '../../src/tree/node.ts';
import { type ChildPage, decodePage } from '../../src/tree/page.ts';
import { DirectoryBuilder, PageLevel } from '../../src/tree/page-builder.ts';
import { fromAscii, toHex } from '../../src/util/bytes.ts';
import { buildDirectory, type MemoryBlobs, memoryBlobs } from '../helpers/tree-blobs.ts';
import { type PageDescription, rootOf, treeVectors } from '../helpers/tree-vectors.ts';

const vectors = treeVectors.page_cutting;

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function idOfText(text: string): BlobId {
  return new Uint8Array(sha256(text)) as BlobId;
}

/** Entry i of the directory that the vectors describe. */
function generatedNode(i: number): Node {
  const size = BigInt(1 + ((i * 7919) % 100_000));
  const digits = sha256(String(i))
    .toString('hex')
    .slice(0, i % 40);
  return {
    name: fromAscii(`n${String(i).padStart(5, '0')}-${digits}`),
    type: 'f',
    mode: 0o644,
    owner: { uid: 1000, gid: 1000 },
    size,
    mtime: { seconds: 1_700_000_000n + BigInt(i), nanoseconds: i * 1000 },
    inode: BigInt(1000 + i),
    content: { kind: 'blob', id: idOfText(`blob ${i}`), length: size },
  };
}

const nodes = Array.from({ length: 3000 }, (_, i) => generatedNode(i));

/** The pages of each level from `lowest` up, as the vectors describe them. */
function describeLevels(
  root: { id: BlobId; height: number },
  memory: MemoryBlobs,
  lowest = 0,
): PageDescription[][] {
  const levels: PageDescription[][] = [];
  let ids = [root.id];
  for (let height = root.height; height >= lowest; height--) {
    const pages = ids.map((id) => ({ id, page: pageOf(id, memory) }));
    levels.unshift(pages.map(({ id, page }) => describePage(id, page)));
    ids = pages.flatMap(({ page }) => childIds(page));
  }
  return levels;
}

function pageOf(id: BlobId, memory: MemoryBlobs): Uint8Array {
  const page = memory.blobs.get(toHex(id));
  assert.ok(page !== undefined);
  return page;
}

function childIds(bytes: Uint8Array): BlobId[] {
  const page = decodePage(bytes);
  return page.kind === 'inner' ? page.children.map(({ id }) => id) : [];
}

function describePage(id: BlobId, bytes: Uint8Array): PageDescription {
  const page = decodePage(bytes);
  const names =
    page.kind === 'leaf'
      ? page.entries.map(({ name }) => name)
      : page.children.map(({ firstName }) => firstName);
  return {
    first: toHex(names[0] as Uint8Array),
    last: toHex(names.at(-1) as Uint8Array),
    count: names.length,
    raw_len: bytes.length,
    entries: String(page.totals.entries),
    bytes: String(page.totals.bytes),
    id: toHex(id),
  };
}

/** Builds the changed directory and gives the pages per level that the unchanged one has not. */
async function buildChanged(
  changed: Node[],
): Promise<{ root: DirectoryRoot | undefined; newPages: string[][] }> {
  const memory = memoryBlobs();
  await buildDirectory(nodes, memory.sink);
  const known = new Set(memory.blobs.keys());
  const root = await buildDirectory(changed, memory.sink);
  assert.ok(root !== undefined);
  const levels = describeLevels(root, memory);
  const newPages = levels.map((pages) => pages.map(({ id }) => id).filter((id) => !known.has(id)));
  return { root, newPages };
}

test('DirectoryBuilder cuts the generated directory as the vectors', async () => {
  const memory = memoryBlobs();
  const root = await buildDirectory(nodes, memory.sink);

  assert.deepEqual(root, rootOf(vectors.directory.root));
  assert.deepEqual(describeLevels(root, memory), vectors.directory.levels);
});

test('DirectoryBuilder rewrites one leaf and the root when a mode changes', async () => {
  const changed = nodes.map((node, i) => (i === 1500 ? { ...node, mode: 0o600 } : node));
  const { root, newPages } = await buildChanged(changed);

  assert.deepEqual(root, rootOf(vectors.mode_of_entry_1500_is_0600.root));
  assert.deepEqual(newPages, vectors.mode_of_entry_1500_is_0600.new_pages);
});

test('DirectoryBuilder rewrites one leaf and the root when an entry is removed', async () => {
  const { root, newPages } = await buildChanged(nodes.filter((_, i) => i !== 1500));

  assert.deepEqual(root, rootOf(vectors.entry_1500_removed.root));
  assert.deepEqual(newPages, vectors.entry_1500_removed.new_pages);
});

test('DirectoryBuilder ends a page at its largest size', async () => {
  const links = Array.from({ length: 40 }, (_, i): Node => {
    const name = fromAscii(`l${String(i).padStart(2, '0')}`);
    return { name, type: 'l', target: new Uint8Array(20_000 + i).fill(0x74) };
  });
  const memory = memoryBlobs();
  const root = await buildDirectory(links, memory.sink);

  assert.ok(root !== undefined);
  assert.deepEqual(describeLevels(root, memory), vectors.size_limit.levels);
});

test('inner levels over given pages are cut as the vectors', async () => {
  const memory = memoryBlobs();
  let given: ChildPage | undefined;
  const lowest = {
    count: 0,
    addChild: (): boolean => assert.fail('nothing lies below'),
    take: (): { blob: Uint8Array; refer: () => ChildPage } => ({
      blob: new Uint8Array(),
      refer: () => given as ChildPage,
    }),
  };
  const levels = new Levels<ChildPage>({
    openLevel: (height) => (height === 0 ? lowest : new PageLevel('inner', memory.sink)),
    store: memory.sink.store,
    heightMax: PAGE_HEIGHT_MAX,
  });

  for (let k = 0; k < 3000; k++) {
    const firstName = fromAscii(`m${String(k).padStart(6, '0')}`);
    const totals = { entries: BigInt(500 + k), bytes: BigInt(k * 1000) };
    given = { firstName, id: idOfText(`page ${k}`), ...totals };
    await levels.endLowest();
  }
  const end = await levels.finish();

  assert.ok(end !== undefined);
  const root = { id: end.root.id, height: end.height };
  assert.deepEqual(describeLevels(root, memory, 1), vectors.inner.levels);
});

test('DirectoryBuilder asks for page ends only between the two sizes', async () => {
  const asked: string[] = [];
  const memory = memoryBlobs();
  const isPageEnd = (name: Uint8Array): boolean => {
    asked.push(toHex(name));
    return false;
  };
  await buildDirectory(nodes, { ...memory.sink, isPageEnd });

  const sizes = [...memory.blobs.values()].map((page) => page.length);
  assert.ok(asked.length > 0 && asked.length < nodes.length);
  assert.ok(!asked.includes(toHex(nodes[0]?.name as Uint8Array)));
  assert.ok((sizes[0] as number) >= 2 ** 18 && (sizes[0] as number) < 2 ** 18 + 200);
});

test('DirectoryBuilder gives no root for an empty directory, and the empty leaf for a snapshot', async () => {
  const memory = memoryBlobs();
  const builder = new DirectoryBuilder(memory.sink);

  assert.equal(await builder.finish(), undefined);
  const root = await builder.finishRoot();

  const vector = treeVectors.pages[0];
  assert.equal(toHex(root.id), vector?.id);
  assert.deepEqual(
    { ...root, id: undefined },
    { id: undefined, height: 0, entries: 0n, bytes: 0n },
  );
});
