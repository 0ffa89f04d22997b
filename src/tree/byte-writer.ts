/**
 * Writing fields into one growing buffer that is used again and again: a directory of any size
 * costs no allocation per entry. Integers are little-endian; a value that does not fit its field is
 * a programmer error, never cut silently.
 */
import { assert } from '../util/assert.ts';
import { viewOf } from '../util/bytes.ts';
import { varintSize } from './varint.ts';

const capacityMin = 1024;

export class ByteWriter {
  #bytes = new Uint8Array(capacityMin);
  #view = viewOf(this.#bytes);
  #size = 0;

  /** Bytes written since the last `clear`. */
  get size(): number {
    return this.#size;
  }

  /** Forgets what was written and keeps the memory. */
  clear(): void {
    this.#size = 0;
  }

  /** What was written, in new memory. */
  copy(): Uint8Array {
    return this.#bytes.slice(0, this.#size);
  }

  u8(value: number): void {
    assert((value & 0xff) === value, 'value does not fit a u8');
    const at = this.#advance(1);
    this.#bytes[at] = value;
  }

  u16(value: number): void {
    assert((value & 0xffff) === value, 'value does not fit a u16');
    const at = this.#advance(2);
    this.#view.setUint16(at, value, true);
  }

  u32(value: number): void {
    assert(value >>> 0 === value, 'value does not fit a u32');
    const at = this.#advance(4);
    this.#view.setUint32(at, value, true);
  }

  u64(value: bigint): void {
    assert(BigInt.asUintN(64, value) === value, 'value does not fit a u64');
    const at = this.#advance(8);
    this.#view.setBigUint64(at, value, true);
  }

  i64(value: bigint): void {
    assert(BigInt.asIntN(64, value) === value, 'value does not fit an i64');
    const at = this.#advance(8);
    this.#view.setBigInt64(at, value, true);
  }

  /** A safe integer as varint. */
  varint(value: number): void {
    let at = this.#advance(varintSize(value));
    let rest = value;
    for (; rest > 127; rest = Math.floor(rest / 128)) this.#bytes[at++] = (rest % 128) | 128;
    this.#bytes[at] = rest;
  }

  bytes(part: Uint8Array): void {
    const at = this.#advance(part.length);
    this.#bytes.set(part, at);
  }

  /** Bytes of a field that always has `size` bytes. */
  fixed(part: Uint8Array, size: number): void {
    assert(part.length === size, 'bytes do not fit their field');
    this.bytes(part);
  }

  /** `varint length || part`. */
  piece(part: Uint8Array): void {
    this.varint(part.length);
    this.bytes(part);
  }

  /** Puts `varint length` before everything written since the size was `start`. */
  prefixLength(start: number): void {
    const end = this.#size;
    this.#advance(varintSize(end - start));
    this.#bytes.copyWithin(start + (this.#size - end), start, end);
    this.#size = start;
    this.varint(end - start);
    this.#size += end - start;
  }

  /** Overwrites a u32 written before. */
  replaceU32(offset: number, value: number): void {
    assert(offset + 4 <= this.#size, 'nothing to replace there');
    this.#view.setUint32(offset, value, true);
  }

  /** Makes room, so that it comes before any use of the memory, which it may replace. */
  #advance(size: number): number {
    const at = this.#size;
    this.#size += size;
    if (this.#size > this.#bytes.length) this.#grow();
    return at;
  }

  #grow(): void {
    const grown = new Uint8Array(Math.max(2 * this.#bytes.length, this.#size));
    grown.set(this.#bytes);
    this.#bytes = grown;
    this.#view = viewOf(grown);
  }
}
