/**
 * Unsigned LEB128 integers, the form of every length inside a tree page: seven bits per byte,
 * lowest first, the top bit set on all bytes but the last. Only the shortest form is accepted, so
 * that a page has one encoding. The format allows values up to 2^63 - 1 (nine bytes).
 */
import { type ByteReader, demand } from '../util/byte-reader.ts';

const byteCountMax = 9;

/** Bytes that `value` (a safe integer) takes. */
export function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest > 127; rest = Math.floor(rest / 128)) size++;
  return size;
}

/**
 * Any varint of the format.
 * @throws Malformed when it is cut short, too long or not in shortest form.
 */
export function readVarint(reader: ByteReader): bigint {
  let value = 0n;
  for (let i = 0; i < byteCountMax; i++) {
    const byte = reader.u8();
    value |= BigInt(byte & 127) << BigInt(7 * i);
    if (byte < 128) {
      demand(i === 0 || byte !== 0, 'varint is not in shortest form');
      return value;
    }
  }
  demand(false, 'varint longer than nine bytes');
}

/**
 * The length of something that follows. Nearly all are below 128, and those cost one comparison.
 * @throws Malformed as `readVarint`, and when fewer bytes are left.
 */
export function readLength(reader: ByteReader): number {
  const first = reader.bytes[reader.offset];
  if (first !== undefined && first < 128) {
    reader.offset++;
    demand(first <= reader.left, 'value passes the end');
    return first;
  }
  const length = readVarint(reader);
  demand(length <= BigInt(reader.left), 'value passes the end');
  return Number(length);
}

/** The bytes of `varint length || bytes`, as a view. */
export function readPiece(reader: ByteReader): Uint8Array {
  return reader.take(readLength(reader));
}
