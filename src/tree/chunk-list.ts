/**
 * A chunk list: the chunks of a file in order, or lists of them one height down.
 *
 *     kind u8 = 2 | height u8 | 0 u16 | count u32 | count x (child id 32 | length u64)
 *
 * At height 0 a child is a data blob, or a hole when its id is zero; above, it is a list, and its
 * length the sum of what is below. `chunk-list-builder.ts` writes lists; here they are decoded, and
 * read from the root down. Nothing a list claims is believed: height, length and number of chunks
 * must be what the parent gave.
 */
import type { BlobId } from '../id.ts';
import { assert } from '../util/assert.ts';
import { ByteReader, demand } from '../util/byte-reader.ts';
import { isZero } from '../util/bytes.ts';
import { BLOB_SIZE_MAX, ID_SIZE, type LoadBlob } from './blob-access.ts';
import { ByteWriter } from './byte-writer.ts';
import { type Content, FILE_SIZE_MAX, LIST_HEIGHT_MAX } from './content.ts';

export const LIST_COUNT_MAX = 4096;

const listKind = 2;
const headerSize = 8;
const childSize = ID_SIZE + 8;
const countOffset = 4;
const holeId = new Uint8Array(ID_SIZE);

/** A chunk of a file, or a list of chunks. */
export interface ListChild {
  /** Undefined for a hole. */
  id: BlobId | undefined;
  length: bigint;
}

export interface ChunkList {
  height: number;
  children: ListChild[];
  /** Sum of the children's lengths. */
  length: bigint;
}

/**
 * One list by itself; ids are views of `list`.
 * @throws Malformed
 */
export function decodeChunkList(list: Uint8Array): ChunkList {
  const reader = new ByteReader(list);
  demand(reader.u8() === listKind, 'list kind');
  const height = reader.u8();
  demand(height <= LIST_HEIGHT_MAX, 'list height too large');
  reader.zeros(2);
  const count = reader.u32();
  demand(count >= 1 && count <= LIST_COUNT_MAX, 'list count');
  demand(reader.left === count * childSize, 'list size');
  const children: ListChild[] = [];
  let length = 0n;
  for (let i = 0; i < count; i++) {
    const child = readChild(reader, height);
    length += child.length;
    children.push(child);
  }
  demand(length <= FILE_SIZE_MAX, 'list length too large');
  return { height, children, length };
}

function readChild(reader: ByteReader, height: number): ListChild {
  const id = reader.take(ID_SIZE) as BlobId;
  const length = reader.u64();
  demand(length >= 1n, 'child without length');
  const isHole = isZero(id);
  demand(height === 0 || !isHole, 'hole above height 0');
  demand(height > 0 || isHole || length <= BLOB_SIZE_MAX, 'data child too large');
  return { id: isHole ? undefined : id, length };
}

/**
 * All chunks of a file in order, one array per list of height 0 (a step of an async generator per
 * chunk would cost more than decoding it). A file of one blob is one chunk, an empty file none.
 * Memory is one list per height.
 * @param isWanted Asked before a list is read; one that is not wanted is left out with all below it.
 * @throws Malformed
 */
export async function* readChunks(
  content: Content,
  load: LoadBlob,
  isWanted: (list: BlobId) => boolean = () => true,
): AsyncGenerator<ListChild[], void, undefined> {
  if (content.kind === 'blob') yield [{ id: content.id, length: content.length }];
  if (content.kind !== 'list') return;
  let chunks = 0n;
  let isWhole = true;
  const isEntered = (list: BlobId): boolean => {
    const isRead = isWanted(list);
    isWhole &&= isRead;
    return isRead;
  };
  for await (const batch of readBelow(content, content.height, { load, isEntered })) {
    chunks += BigInt(batch.length);
    demand(chunks <= content.chunks, 'chunk count does not match');
    yield batch;
  }
  demand(!isWhole || chunks === content.chunks, 'chunk count does not match');
}

async function* readBelow(
  parent: ListChild,
  height: number,
  hooks: { load: LoadBlob; isEntered: (list: BlobId) => boolean },
): AsyncGenerator<ListChild[], void, undefined> {
  assert(parent.id !== undefined, 'a hole has no list');
  if (!hooks.isEntered(parent.id)) return;
  const list = decodeChunkList(await hooks.load(parent.id));
  demand(list.height === height, 'list height does not match');
  demand(list.length === parent.length, 'list length does not match');
  if (height === 0) {
    yield list.children;
    return;
  }
  for (const child of list.children) yield* readBelow(child, height - 1, hooks);
}

/** Encodes one list after another, all of one height, in the same memory. */
export class ListWriter {
  readonly #height: number;
  readonly #writer = new ByteWriter();

  constructor(height: number) {
    this.#height = height;
    this.#begin();
  }

  get count(): number {
    return (this.#writer.size - headerSize) / childSize;
  }

  add({ id, length }: ListChild): void {
    this.#writer.fixed(id ?? holeId, ID_SIZE);
    this.#writer.u64(length);
  }

  /** The list in new memory; the next one begins. */
  take(): Uint8Array {
    this.#writer.replaceU32(countOffset, this.count);
    const list = this.#writer.copy();
    this.#begin();
    return list;
  }

  #begin(): void {
    this.#writer.clear();
    this.#writer.u8(listKind);
    this.#writer.u8(this.#height);
    this.#writer.u16(0);
    this.#writer.u32(0);
  }
}
