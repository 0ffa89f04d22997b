/** Properties of chunk lists: what is built is read back, and insertions stay local. */
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import type { BlobId } from '../../src/id.ts';
import {
  decodeChunkList,
  type ListChild,
  ListWriter,
  readChunks,
} from '../../src/tree/chunk-list.ts';
import { ChunkListBuilder } from '../../src/tree/chunk-list-builder.ts';
import { type Content, contentLength } from '../../src/tree/content.ts';
import { Malformed } from '../../src/util/byte-reader.ts';
import { seededRandom, testSeed } from '../helpers/seeded-random.ts';
import { type MemoryBlobs, memoryBlobs } from '../helpers/tree-blobs.ts';

const idArbitrary = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => bytes.with(31, 1) as BlobId);

const chunkArbitrary: fc.Arbitrary<ListChild> = fc.oneof(
  fc.record({ id: idArbitrary, length: fc.bigInt({ min: 1n, max: 2n ** 24n }) }),
  fc.record({ id: fc.constant(undefined), length: fc.bigInt({ min: 1n, max: 2n ** 40n }) }),
);

async function build(builder: ChunkListBuilder, chunks: readonly ListChild[]): Promise<Content> {
  for (const { id, length } of chunks) {
    if (id === undefined) builder.addHole(length);
    else await builder.add(id, Number(length));
  }
  return builder.finish();
}

async function collectChunks(content: Content, memory: MemoryBlobs): Promise<ListChild[]> {
  const chunks: ListChild[] = [];
  for await (const batch of readChunks(content, memory.load)) chunks.push(...batch);
  return chunks;
}

function joinHoles(chunks: readonly ListChild[]): ListChild[] {
  const joined: ListChild[] = [];
  for (const { id, length } of chunks) {
    const last = joined.at(-1);
    if (last !== undefined && last.id === undefined && id === undefined) last.length += length;
    else joined.push({ id, length });
  }
  return joined;
}

function randomChunks(count: number, salt: number): ListChild[] {
  const random = seededRandom(salt);
  return Array.from({ length: count }, () => ({
    id: random.bytes(32) as BlobId,
    length: BigInt(1 + random.below(100_000)),
  }));
}

test('chunks and holes are read back, neighbouring holes joined, in the plainest content', async () => {
  const memory = memoryBlobs();
  const builder = new ChunkListBuilder(memory.storeList);
  const chunksArbitrary = fc.array(chunkArbitrary, { maxLength: 6 });
  const property = fc.asyncProperty(chunksArbitrary, async (chunks) => {
    const content = await build(builder, chunks);

    const joined = joinHoles(chunks);
    assert.deepEqual(await collectChunks(content, memory), joined);
    assert.equal(
      contentLength(content),
      chunks.reduce((sum, { length }) => sum + length, 0n),
    );
    const isBlob = joined.length === 1 && joined[0]?.id !== undefined;
    const kind = joined.length === 0 ? 'empty' : isBlob ? 'blob' : 'list';
    assert.equal(content.kind, kind);
    if (content.kind === 'list') assert.equal(content.chunks, BigInt(joined.length));
  });
  await fc.assert(property, { seed: testSeed, numRuns: 500 });
});

test('a file of one blob stores no list, and its content keeps no borrowed id', async () => {
  const memory = memoryBlobs();
  const builder = new ChunkListBuilder(memory.storeList);
  const id = new Uint8Array(32).fill(7) as BlobId;
  await builder.add(id, 5);
  id.fill(0);

  const content = await builder.finish();

  assert.deepEqual(content, { kind: 'blob', id: new Uint8Array(32).fill(7), length: 5n });
  assert.equal(memory.blobs.size, 0);
});

test('holes alone fill lists of 4,096 when data stands between them', async () => {
  const memory = memoryBlobs();
  const id = new Uint8Array(32).fill(7) as BlobId;
  const chunks = Array.from({ length: 5000 }, (_, i): ListChild => {
    return i % 2 === 0 ? { id: undefined, length: 1n } : { id, length: 1n };
  });

  const content = await build(new ChunkListBuilder(memory.storeList), chunks);

  const counts = [...memory.blobs.values()].map((list) => decodeChunkList(list).children.length);
  assert.deepEqual(counts, [4096, 904, 2]);
  assert.deepEqual(await collectChunks(content, memory), chunks);
});

test('lists fall into step again after an insertion', async () => {
  const memory = memoryBlobs();
  const chunks = randomChunks(40_000, 1);
  const builder = new ChunkListBuilder(memory.storeList);
  await build(builder, chunks);
  const known = memory.blobs.size;
  assert.ok(known >= 10, `${known} lists`);

  const inserted = chunks.toSpliced(20_000, 0, ...randomChunks(3, 2));
  const content = await build(builder, inserted);

  assert.ok(memory.blobs.size - known <= 4, `${memory.blobs.size - known} new lists`);
  assert.deepEqual(await collectChunks(content, memory), inserted);
});

test('decoding any list bytes gives Malformed or a list of the same bytes', () => {
  const writer = new ListWriter(0);
  const listArbitrary = fc.array(chunkArbitrary, { minLength: 1, maxLength: 5 });
  const changeArbitrary = fc.tuple(fc.nat(), fc.nat(255), fc.boolean());
  const property = fc.property(listArbitrary, changeArbitrary, (chunks, [at, value, isCut]) => {
    for (const chunk of chunks) writer.add(chunk);
    const list = writer.take();
    const changed = list
      .with(at % list.length, value)
      .slice(0, isCut ? at % list.length : undefined);
    let decoded: ReturnType<typeof decodeChunkList>;
    try {
      decoded = decodeChunkList(changed);
    } catch (error) {
      assert.ok(error instanceof Malformed, String(error));
      return;
    }
    const again = new ListWriter(decoded.height);
    for (const child of decoded.children) again.add(child);
    assert.deepEqual(again.take(), changed);
  });
  fc.assert(property, { seed: testSeed, numRuns: 2000 });
});

test('ChunkListBuilder refuses lengths that no blob has and calls while it stores', async () => {
  const memory = memoryBlobs();
  const builder = new ChunkListBuilder(memory.storeList);
  const id = new Uint8Array(32).fill(7) as BlobId;

  assert.throws(() => builder.add(id, 0), assert.AssertionError);
  assert.throws(() => builder.add(id, 2 ** 24 + 1), assert.AssertionError);
  assert.throws(() => builder.addHole(0n), assert.AssertionError);
  for (let i = 0; i < 2; i++) void builder.add(id, 1);
  builder.addHole(1n);
  const finished = builder.finish();
  assert.throws(() => builder.add(id, 1), assert.AssertionError);
  assert.equal((await finished).kind, 'list');
});
