/**
 * Content of a file, field 12 of its node: nothing, one blob, or a list of chunks.
 *
 *     00 | 02 id 32, length u64 | 03 id 32, height u8, length u64, chunks u64
 */
import type { BlobId } from '../id.ts';
import { type ByteReader, demand } from '../util/byte-reader.ts';
import { isZero } from '../util/bytes.ts';
import { BLOB_SIZE_MAX, ID_SIZE } from './blob-access.ts';
import type { ByteWriter } from './byte-writer.ts';
import type { Fault } from './fault.ts';

export const LIST_HEIGHT_MAX = 7;
/** Largest size of a file. */
export const FILE_SIZE_MAX: bigint = 2n ** 63n - 1n;

const emptyKind = 0;
const blobKind = 2;
const listKind = 3;

export type Content = { kind: 'empty' } | BlobContent | ListContent;

export interface BlobContent {
  kind: 'blob';
  id: BlobId;
  length: bigint;
}

export interface ListContent {
  kind: 'list';
  /** The root list. */
  id: BlobId;
  height: number;
  length: bigint;
  /** Data blobs and holes in the lists of height 0. */
  chunks: bigint;
}

export function contentLength(content: Content): bigint {
  return content.kind === 'empty' ? 0n : content.length;
}

/** What is wrong with the values, if anything. */
export function contentFault(content: Content): Fault {
  if (content.kind === 'empty') return undefined;
  if (isZero(content.id)) return 'content id is zero';
  if (content.kind === 'blob') {
    const isInRange = content.length >= 1n && content.length <= BLOB_SIZE_MAX;
    return isInRange ? undefined : 'blob length';
  }
  if (content.height > LIST_HEIGHT_MAX) return 'list height too large';
  return content.chunks >= 1n && content.chunks <= content.length ? undefined : 'chunk count';
}

export function writeContent(writer: ByteWriter, content: Content): void {
  if (content.kind === 'empty') {
    writer.u8(emptyKind);
    return;
  }
  const isBlob = content.kind === 'blob';
  writer.u8(isBlob ? blobKind : listKind);
  writer.fixed(content.id, ID_SIZE);
  if (!isBlob) writer.u8(content.height);
  writer.u64(content.length);
  if (!isBlob) writer.u64(content.chunks);
}

/** The content in the next `size` bytes; the values are not judged. */
export function readContent(reader: ByteReader, size: number): Content {
  demand(size >= 1, 'content kind');
  const end = reader.offset + size;
  const content = readKind(reader);
  demand(reader.offset === end, 'content size');
  return content;
}

function readKind(reader: ByteReader): Content {
  const kind = reader.u8();
  if (kind === emptyKind) return { kind: 'empty' };
  demand(kind === blobKind || kind === listKind, 'content kind');
  const id = reader.take(ID_SIZE) as BlobId;
  if (kind === blobKind) return { kind: 'blob', id, length: reader.u64() };
  const height = reader.u8();
  return { kind: 'list', id, height, length: reader.u64(), chunks: reader.u64() };
}
