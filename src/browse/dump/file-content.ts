/**
 * The bytes of a file, chunk by chunk: each is checked by its id, and its length by the list that
 * names it, so that what comes out is what was saved, or an error. Memory is a few chunks.
 */
import { CorruptionError } from '../../errors.ts';
import type { BlobId } from '../../id.ts';
import type { ReadAccess } from '../../repository/read-access.ts';
import type { Content } from '../../tree/content.ts';
import { toHex } from '../../util/bytes.ts';

/** Bytes of a hole that are given at a time. */
const zerosSize = 2 ** 20;

/**
 * Pieces, of at least one byte, that must not be changed.
 * @throws CorruptionError, NotFoundError, StorageError
 */
export async function* readContent(
  access: ReadAccess,
  content: Content,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunks of access.chunks(content)) {
    for (const { id, length } of chunks) {
      if (id === undefined) yield* zeros(length);
      else yield await readChunk(access, id, length);
    }
  }
}

async function readChunk(access: ReadAccess, id: BlobId, length: bigint): Promise<Uint8Array> {
  const bytes = await access.readChunk(id);
  if (BigInt(bytes.length) === length) return bytes;
  const object = { kind: 'data chunk', which: toHex(id) };
  throw new CorruptionError({ ...object, found: `${bytes.length} bytes`, expected: `${length}` });
}

function* zeros(length: bigint): Generator<Uint8Array, void, undefined> {
  const piece = new Uint8Array(Number(length < BigInt(zerosSize) ? length : BigInt(zerosSize)));
  for (let left = length; left > 0n; left -= BigInt(piece.length)) {
    yield left < BigInt(piece.length) ? piece.subarray(0, Number(left)) : piece;
  }
}
