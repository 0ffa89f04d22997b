/**
 * Extended attributes of a node: `varint n | name n | varint m | value m`, repeated, names strictly
 * ascending by bytes. Up to 1,024 bytes of this stand in the node itself; what is longer is a blob
 * of its own, named by the node.
 */
import { ByteReader } from '../util/byte-reader.ts';
import { compareBytes } from '../util/bytes.ts';
import { ByteWriter } from './byte-writer.ts';
import { assertFaultless, type Fault, refuseFault } from './fault.ts';
import { readPiece, varintSize } from './varint.ts';

export const ATTRIBUTE_NAME_SIZE_MAX = 1024;
/** Longest encoding that stands in the node; anything longer goes to a blob. */
export const INLINE_ATTRIBUTES_SIZE_MAX = 1024;
export const ATTRIBUTES_SIZE_MAX: number = 2 ** 20;

export type Attribute = readonly [name: Uint8Array, value: Uint8Array];

/** Bytes of the encoding, by which a writer chooses between node and blob. */
export function attributesSize(attributes: readonly Attribute[]): number {
  let size = 0;
  for (const [name, value] of attributes) size += pieceSize(name) + pieceSize(value);
  return size;
}

/** What is wrong with the names, if anything. */
export function attributesFault(attributes: readonly Attribute[]): Fault {
  let last: Uint8Array | undefined;
  for (const [name] of attributes) {
    if (name.length < 1 || name.length > ATTRIBUTE_NAME_SIZE_MAX) return 'attribute name length';
    if (name.includes(0)) return 'attribute name holds a zero byte';
    if (last !== undefined && compareBytes(last, name) >= 0) return 'attribute names not ascending';
    last = name;
  }
  return undefined;
}

export function writeAttributes(writer: ByteWriter, attributes: readonly Attribute[]): void {
  for (const [name, value] of attributes) {
    writer.piece(name);
    writer.piece(value);
  }
}

/** The attributes in the next `size` bytes, as views; the names are not judged. */
export function readAttributes(reader: ByteReader, size: number): Attribute[] {
  const own = new ByteReader(reader.take(size));
  const attributes: Attribute[] = [];
  while (own.left > 0) attributes.push([readPiece(own), readPiece(own)]);
  return attributes;
}

/** Plaintext of the blob for attributes that are too long for a node. */
export function encodeAttributeBlob(attributes: readonly Attribute[]): Uint8Array {
  assertFaultless(attributesFault(attributes) ?? blobSizeFault(attributesSize(attributes)));
  const writer = new ByteWriter();
  writeAttributes(writer, attributes);
  return writer.copy();
}

/**
 * Inverse of `encodeAttributeBlob`; names and values are views.
 * @throws Malformed
 */
export function decodeAttributeBlob(bytes: Uint8Array): Attribute[] {
  refuseFault(blobSizeFault(bytes.length));
  const attributes = readAttributes(new ByteReader(bytes), bytes.length);
  refuseFault(attributesFault(attributes));
  return attributes;
}

function blobSizeFault(size: number): Fault {
  const isRight = size > INLINE_ATTRIBUTES_SIZE_MAX && size <= ATTRIBUTES_SIZE_MAX;
  return isRight ? undefined : 'attribute blob length';
}

function pieceSize(bytes: Uint8Array): number {
  return varintSize(bytes.length) + bytes.length;
}
