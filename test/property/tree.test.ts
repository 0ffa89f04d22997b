/** Properties of whole directories: what is built is read back, and changes stay local. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import test from 'node:test';
import fc from 'fast-check';
import type { BlobId } from '../../src/id.ts';
import type { DirectoryRoot, Node } from '../../src/tree/node.ts';
import { countEntry, decodePage, PageWriter } from '../../src/tree/page.ts';
import { DirectoryBuilder } from '../../src/tree/page-builder.ts';
import { findEntry } from '../../src/tree/tree-reader.ts';
import { Malformed } from '../../src/util/byte-reader.ts';
import { fromAscii, fromHex, leadingU32, toHex } from '../../src/util/bytes.ts';
import { seededRandom, testSeed } from '../helpers/seeded-random.ts';
import { directoryArbitrary } from '../helpers/tree-arbitraries.ts';
import {
  buildDirectory,
  collectEntries,
  type MemoryBlobs,
  memoryBlobs,
} from '../helpers/tree-blobs.ts';

/** A directory of `count` entries with much unknown data in each, so that few make many pages. */
function largeNodes(count: number, nodeSize: number): Node[] {
  const random = seededRandom(count);
  return Array.from({ length: count }, (_, i) => ({
    name: fromAscii(`entry ${String(i).padStart(6, '0')} ${toHex(random.bytes(4))}`),
    type: 'p',
    unknown: [[0x40, random.bytes(random.below(nodeSize))]],
  }));
}

/** Ends a page at about one name in `1 / rate`, so that small directories have many pages. */
function eagerBlobs(rate: number): MemoryBlobs {
  const memory = memoryBlobs();
  const isPageEnd = (name: Uint8Array): boolean =>
    leadingU32(createHash('sha256').update(name).digest()) < rate * 2 ** 32;
  return { ...memory, sink: { ...memory.sink, isPageEnd } };
}

async function build(nodes: Iterable<Node>, memory: MemoryBlobs): Promise<DirectoryRoot> {
  const root = await buildDirectory(nodes, memory.sink);
  assert.ok(root !== undefined);
  return root;
}

test('a directory is read back as it was built, with exact totals', async () => {
  const property = fc.asyncProperty(directoryArbitrary(60), async (nodes) => {
    const memory = memoryBlobs();
    const root = await build(nodes, memory);

    assert.deepEqual(await collectEntries(root, memory.load), nodes);
    let [entries, bytes] = [0n, 0n];
    for (const node of nodes) {
      entries += countEntry(node).entries;
      bytes += countEntry(node).bytes;
    }
    assert.deepEqual([root.entries, root.bytes], [entries, bytes]);
  });
  await fc.assert(property, { seed: testSeed, numRuns: 100 });
});

test('a directory of several levels is read back, and every name of it found', async () => {
  const memory = eagerBlobs(1);
  const nodes = largeNodes(3000, 1200);
  // Names of 1,000 bytes fill inner pages, so that the levels above them are met too.
  for (const node of nodes) node.name = Buffer.concat([node.name, Buffer.alloc(1000 - 22, 0x78)]);
  const root = await build(nodes, memory);

  assert.ok(root.height >= 2, `height ${root.height}`);
  const entries = await collectEntries(root, memory.load);
  assert.equal(entries.length, nodes.length);
  assert.ok(entries.every(({ name }, i) => toHex(name) === toHex(nodes[i]?.name as Uint8Array)));
  for (let i = 0; i < nodes.length; i += 97) {
    const { name } = nodes[i] as Node;
    assert.deepEqual((await findEntry(root, name, memory.load))?.name, new Uint8Array(name));
    const absent = Buffer.concat([name, fromAscii('!')]);
    assert.equal(await findEntry(root, absent, memory.load), undefined);
  }
  assert.equal(await findEntry(root, fromAscii('a'), memory.load), undefined);
  assert.equal(await findEntry(root, fromAscii('z'), memory.load), undefined);
});

test('findEntry() loads one page per level', async () => {
  const memory = eagerBlobs(1);
  const nodes = largeNodes(300, 4000);
  const root = await build(nodes, memory);
  const loaded: BlobId[] = [];

  await findEntry(root, (nodes[150] as Node).name, (id) => {
    loaded.push(id);
    return memory.load(id);
  });

  assert.ok(root.height >= 1);
  assert.equal(loaded.length, root.height + 1);
});

test('changing, removing or adding one entry rewrites few pages', async () => {
  const nodes = largeNodes(4000, 400);
  const memory = eagerBlobs(1 / 256);
  await build(nodes, memory);
  const pageCount = memory.blobs.size;
  assert.ok(pageCount >= 8, `${pageCount} pages`);
  const random = seededRandom(1);

  for (let round = 0; round < 6; round++) {
    const at = 1 + random.below(nodes.length - 1);
    const extra = { ...(nodes[at - 1] as Node) };
    extra.name = Buffer.concat([extra.name, fromAscii('+')]);
    const variants = [
      nodes.map((node, i) => (i === at ? { ...node, mode: 0o600 } : node)),
      nodes.filter((_, i) => i !== at),
      nodes.toSpliced(at, 0, extra),
    ];
    for (const variant of variants) {
      const known = memory.blobs.size;
      await build(variant, memory);
      assert.ok(memory.blobs.size - known <= 4, `${memory.blobs.size - known} new pages`);
    }
  }
});

test('a reused DirectoryBuilder gives the same roots as new ones', async () => {
  const memory = memoryBlobs();
  const builder = new DirectoryBuilder(memory.sink);
  for (const count of [3, 0, 700, 1, 2]) {
    const nodes = largeNodes(count, 2000);
    for (const node of nodes) await builder.add(node);

    assert.deepEqual(await builder.finish(), await buildDirectory(nodes, memory.sink));
  }
});

test('DirectoryBuilder refuses names out of order and calls while it stores', async () => {
  const [a, b] = largeNodes(2, 10) as [Node, Node];
  const memory = memoryBlobs();
  const builder = new DirectoryBuilder(memory.sink);
  void builder.add(b);

  assert.throws(() => builder.add(a), assert.AssertionError);
  assert.throws(() => builder.add(b), assert.AssertionError);
  const finished = builder.finish();
  assert.throws(() => builder.add(a), assert.AssertionError);
  await finished;
});

test('DirectoryBuilder refuses totals beyond 2^64 - 1 and goes on without that node', async () => {
  const content = { kind: 'list', id: new Uint8Array(32).fill(1) as BlobId, height: 0 } as const;
  const length = 2n ** 63n - 1n;
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map(
    (text): Node => ({
      name: fromAscii(text),
      type: 'f',
      size: length,
      content: { ...content, length, chunks: 1n },
    }),
  ) as [Node, Node, Node, Node];
  const memory = memoryBlobs();
  const builder = new DirectoryBuilder(memory.sink);
  await builder.add(a);
  await builder.add(b);

  assert.throws(() => builder.add(c), RangeError);
  await builder.add({ ...d, size: 1n, content: { ...content, length: 1n, chunks: 1n } });

  const root = await builder.finish();
  assert.ok(root !== undefined);
  assert.deepEqual([root.entries, root.bytes], [3n, 2n ** 64n - 1n]);
  assert.equal((await collectEntries(root, memory.load)).length, 3);
});

test('readDirectory() refuses any page exchanged for another of the same directory', async () => {
  const memory = eagerBlobs(1);
  const root = await build(largeNodes(40, 40_000), memory);
  const ids = [...memory.blobs.keys()];
  assert.ok(ids.length > 3);

  for (const id of ids) {
    const own = memory.blobs.get(id) as Uint8Array;
    for (const other of ids) {
      if (other === id) continue;
      memory.blobs.set(id, memory.blobs.get(other) as Uint8Array);
      await assert.rejects(collectEntries(root, memory.load), Malformed);
    }
    memory.blobs.set(id, own);
  }
});

test('readDirectory() refuses a last name that passes the next page, deep in the tree', async () => {
  const memory = memoryBlobs();
  const store = (page: PageWriter): BlobId => memory.sink.store(page.take()) as BlobId;
  const leaf = (...names: string[]): { firstName: Uint8Array; id: BlobId; entries: bigint } => {
    const page = new PageWriter('leaf');
    for (const name of names) page.addNode({ name: fromAscii(name), type: 'p' });
    return {
      firstName: fromAscii(names[0] as string),
      id: store(page),
      entries: BigInt(names.length),
    };
  };
  const inner = (...children: ReturnType<typeof leaf>[]): ReturnType<typeof leaf> => {
    const page = new PageWriter('inner');
    for (const child of children) page.addChild({ ...child, bytes: 0n });
    const entries = children.reduce((sum, child) => sum + child.entries, 0n);
    return {
      firstName: (children[0] as ReturnType<typeof leaf>).firstName,
      id: store(page),
      entries,
    };
  };
  const rootOver = (last: string): DirectoryRoot => {
    const { id, entries } = inner(inner(leaf('a'), leaf('b', last)), inner(leaf('m', 'n')));
    return { id, height: 2, entries, bytes: 0n };
  };

  assert.equal((await collectEntries(rootOver('l'), memory.load)).length, 5);
  await assert.rejects(collectEntries(rootOver('m'), memory.load), Malformed);
  await assert.rejects(collectEntries(rootOver('x'), memory.load), Malformed);
});

test('pages come to the sink in memory of their own', async () => {
  const memory = memoryBlobs();
  await build(largeNodes(500, 2000), memory);

  for (const [id, page] of memory.blobs) {
    assert.equal(page.byteLength, page.buffer.byteLength);
    decodePage(page);
    assert.deepEqual(memory.sink.store(page), fromHex(id));
  }
});
