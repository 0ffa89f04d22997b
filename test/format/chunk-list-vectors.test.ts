/** Golden vectors of chunk lists: bytes, cutting, and trees of lists that must be refused. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import test from 'node:test';
import type { BlobId } from '../../src/id.ts';
import {
  decodeChunkList,
  type ListChild,
  ListWriter,
  readChunks,
} from '../../src/tree/chunk-list.ts';
import { ChunkListBuilder } from '../../src/tree/chunk-list-builder.ts';
import type { ListContent } from '../../src/tree/content.ts';
import { Malformed } from '../../src/util/byte-reader.ts';
import { toHex } from '../../src/util/bytes.ts';
import { expandHex, keyedHash, type MemoryBlobs, memoryBlobs } from '../helpers/tree-blobs.ts';
import {
  chunkListOf,
  type ListDescription,
  listContentOf,
  treeVectors,
} from '../helpers/tree-vectors.ts';

/** Child j of the list that the vectors describe. */
function generatedChild(j: number): ListChild {
  if (j % 50 === 17) return { id: undefined, length: BigInt(65536 * (1 + (j % 7))) };
  const digest = createHash('sha256').update(`child ${j}`).digest();
  return { id: new Uint8Array(digest) as BlobId, length: BigInt(32768 + ((j * 7919) % 98304)) };
}

async function collectChunks(content: ListContent, memory: MemoryBlobs): Promise<ListChild[]> {
  const chunks: ListChild[] = [];
  for await (const batch of readChunks(content, memory.load)) chunks.push(...batch);
  return chunks;
}

function describeLevels(content: ListContent, memory: MemoryBlobs): ListDescription[][] {
  const levels: ListDescription[][] = [];
  let ids = [content.id];
  for (let height = content.height; height >= 0; height--) {
    const lists = ids.map((id) => memory.blobs.get(toHex(id)) as Uint8Array);
    levels.unshift(lists.map(describeList));
    if (height > 0) {
      ids = lists.flatMap((list) => decodeChunkList(list).children.map(({ id }) => id as BlobId));
    }
  }
  return levels;
}

function describeList(bytes: Uint8Array): ListDescription {
  const { children, length } = decodeChunkList(bytes);
  return {
    count: children.length,
    length: String(length),
    raw_len: bytes.length,
    id: toHex(keyedHash('id list', bytes)),
  };
}

for (const vector of treeVectors.lists) {
  test(`a list decodes and encodes as its vector: ${vector.case}`, () => {
    const bytes = expandHex(vector.list);
    const list = decodeChunkList(bytes);

    assert.deepEqual(list, chunkListOf(vector));
    assert.equal(toHex(keyedHash('id list', bytes)), vector.id);
    const writer = new ListWriter(list.height);
    for (const child of list.children) writer.add(child);
    assert.deepEqual(writer.take(), bytes);
  });
}

test('ChunkListBuilder cuts as the vectors, and readChunks() gives the chunks back', async () => {
  const memory = memoryBlobs();
  const children = Array.from({ length: 10_000 }, (_, j) => generatedChild(j));
  const builder = new ChunkListBuilder(memory.storeList);
  for (const { id, length } of children) {
    if (id === undefined) builder.addHole(length);
    else await builder.add(id, Number(length));
  }
  const content = await builder.finish();

  assert.deepEqual(content, listContentOf(treeVectors.list_cutting.content));
  assert.deepEqual(describeLevels(content, memory), treeVectors.list_cutting.levels);
  assert.deepEqual(await collectChunks(content, memory), children);
});

for (const vector of treeVectors.refused.chunk_tree) {
  test(`readChunks() refuses lists: ${vector.case}`, async () => {
    const memory = memoryBlobs();
    for (const list of Object.values(vector.blobs)) memory.storeList(expandHex(list));

    await assert.rejects(collectChunks(listContentOf(vector.content), memory), Malformed);
  });
}
