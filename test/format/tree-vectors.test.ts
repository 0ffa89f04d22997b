/** Golden vectors of varints, nodes, attribute blobs and tree pages. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { decodeAttributeBlob, encodeAttributeBlob } from '../../src/tree/attributes.ts';
import { ByteWriter } from '../../src/tree/byte-writer.ts';
import { decodeChunkList } from '../../src/tree/chunk-list.ts';
import { type DirectoryRoot, PAGE_HEIGHT_MAX } from '../../src/tree/node.ts';
import { countEntry, decodePage } from '../../src/tree/page.ts';
import { readVarint } from '../../src/tree/varint.ts';
import { ByteReader, Malformed } from '../../src/util/byte-reader.ts';
import { toHex } from '../../src/util/bytes.ts';
import {
  collectEntries,
  decodeNode,
  encodeNode,
  encodePage,
  expandHex,
  keyedHash,
  type MemoryBlobs,
  memoryBlobs,
} from '../helpers/tree-blobs.ts';
import {
  attributeOf,
  childPageOf,
  entryOf,
  idOf,
  rootOf,
  treeVectors,
} from '../helpers/tree-vectors.ts';

function decodeVarint(bytes: Uint8Array): bigint {
  const reader = new ByteReader(bytes);
  const value = readVarint(reader);
  reader.end();
  return value;
}

/** The blobs of a tree vector, all under the ids that their bytes have. */
function blobsOf(json: Record<string, string>): MemoryBlobs {
  const memory = memoryBlobs();
  for (const [id, page] of Object.entries(json)) {
    assert.equal(toHex(keyedHash('id tree', expandHex(page))), id);
    memory.blobs.set(id, expandHex(page));
  }
  return memory;
}

/** Reads a directory and all directories below it. */
async function readWhole(root: DirectoryRoot, memory: MemoryBlobs): Promise<string[]> {
  const names: string[] = [];
  for (const entry of await collectEntries(root, memory.load)) {
    names.push(Buffer.from(entry.name).toString());
    if (entry.directory !== undefined) names.push(...(await readWhole(entry.directory, memory)));
  }
  return names;
}

test('readVarint() gives the values of the vectors', () => {
  for (const { value, bytes } of treeVectors.varints) {
    assert.equal(decodeVarint(expandHex(bytes)), BigInt(value));
  }
});

test('ByteWriter.varint() gives the bytes of the vectors that are safe integers', () => {
  for (const { value, bytes } of treeVectors.varints) {
    if (!Number.isSafeInteger(Number(value)) && BigInt(value) !== 2n ** 53n) continue;

    const writer = new ByteWriter();
    writer.varint(Number(value));

    assert.equal(toHex(writer.copy()), bytes);
  }
});

for (const vector of treeVectors.nodes) {
  test(`a node decodes, encodes and counts as its vector: ${vector.case}`, () => {
    const bytes = expandHex(vector.node);
    const node = decodeNode(bytes);

    assert.deepEqual(node, entryOf(vector.decoded));
    assert.ok(node.type !== 'refused');
    assert.deepEqual(encodeNode(node), bytes);
    const totals = { entries: BigInt(vector.entries), bytes: BigInt(vector.bytes) };
    assert.deepEqual(countEntry(node), totals);
  });
}

test('an attribute blob decodes and encodes as its vector', () => {
  const { bytes, id, attributes } = treeVectors.attribute_blob;
  const decoded = decodeAttributeBlob(expandHex(bytes));

  assert.deepEqual(decoded, attributes.map(attributeOf));
  assert.deepEqual(encodeAttributeBlob(decoded), expandHex(bytes));
  assert.equal(toHex(keyedHash('id xattr', expandHex(bytes))), id);
});

for (const vector of treeVectors.pages) {
  test(`a page decodes and encodes as its vector: ${vector.case}`, () => {
    const bytes = expandHex(vector.page);
    const page = decodePage(bytes);

    const totals = { entries: BigInt(vector.entries), bytes: BigInt(vector.bytes) };
    const expected =
      vector.kind === 0
        ? { kind: 'leaf', entries: vector.decoded.map(entryOf), totals }
        : { kind: 'inner', children: vector.decoded.map(childPageOf), totals };
    assert.deepEqual(page, expected);
    assert.equal(toHex(keyedHash('id tree', bytes)), vector.id);
    const hasRefused = vector.decoded.some((entry) => entry.refused_tag !== undefined);
    assert.deepEqual(encodePage(page), hasRefused ? undefined : bytes);
  });
}

test('readDirectory() reads an inner page over two leaves', async () => {
  const vector = treeVectors.trees[0];
  assert.ok(vector !== undefined);

  const names = await readWhole(rootOf(vector.root), blobsOf(vector.blobs));

  assert.deepEqual(names, ['a', 'b', 'c', 'd']);
});

test('readDirectory() reads nested directories', async () => {
  const vector = treeVectors.trees[1];
  assert.ok(vector !== undefined);

  const names = await readWhole(rootOf(vector.root), blobsOf(vector.blobs));

  assert.deepEqual(names, ['home', 'alice', 'a', 'b', 'c', 'l', 'bob', 'x', 'y']);
});

test('readDirectory() takes the empty leaf as root of an empty snapshot only', async () => {
  const vector = treeVectors.pages[0];
  assert.ok(vector !== undefined);
  const memory = blobsOf({ [vector.id]: vector.page });
  const root = { id: idOf(vector.id), height: 0, entries: 0n, bytes: 0n };

  assert.deepEqual(await collectEntries(root, memory.load), []);
  await assert.rejects(collectEntries({ ...root, entries: 1n }, memory.load), Malformed);
  await assert.rejects(collectEntries({ ...root, height: 1 }, memory.load), Malformed);
});

const decoders = {
  varint: decodeVarint,
  node: decodeNode,
  attribute_blob: decodeAttributeBlob,
  page: decodePage,
  list: decodeChunkList,
};

for (const [what, decode] of Object.entries(decoders)) {
  const cases = treeVectors.refused[what as keyof typeof decoders];
  for (const vector of cases) {
    test(`${what} is refused: ${vector.case}`, () => {
      assert.throws(() => decode(expandHex(vector.bytes)), Malformed);
    });
  }
}

for (const vector of treeVectors.refused.tree) {
  test(`readDirectory() refuses a tree: ${vector.case}`, async () => {
    const memory = blobsOf(vector.blobs);

    await assert.rejects(collectEntries(rootOf(vector.root), memory.load), Malformed);
  });
}

test('readDirectory() refuses a root that is higher than the format allows', async () => {
  const id = idOf('11'.repeat(32));
  const root = { id, height: PAGE_HEIGHT_MAX + 1, entries: 1n, bytes: 0n };
  const load = (): Promise<Uint8Array> => assert.fail('nothing is loaded');

  await assert.rejects(collectEntries(root, load), Malformed);
});
