/**
 * Reading fields from bytes that come from outside. A reader never passes the end: whatever does
 * not fit throws `Malformed`, which the codec that knows the object turns into `CorruptionError`.
 */
import { viewOf } from './bytes.ts';

/** What a decoder found wrong, without knowing which object it was in. */
export class Malformed extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'Malformed';
  }
}

/** States what the format demands of the bytes being decoded. */
export function demand(isTrue: boolean, message: string): asserts isTrue {
  if (!isTrue) throw new Malformed(message);
}

export class ByteReader {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  offset = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.#view = viewOf(bytes);
  }

  get left(): number {
    return this.bytes.length - this.offset;
  }

  /** The next `size` bytes as a view of the same memory. */
  take(size: number): Uint8Array {
    const at = this.#advance(size);
    return this.bytes.subarray(at, at + size);
  }

  rest(): Uint8Array {
    return this.take(this.left);
  }

  u8(): number {
    return this.#view.getUint8(this.#advance(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#advance(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4), true);
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#advance(8), true);
  }

  i64(): bigint {
    return this.#view.getBigInt64(this.#advance(8), true);
  }

  /** A u64 that must be exact as a number (at most 2^53 - 1). */
  size(): number {
    const value = this.u64();
    demand(value <= BigInt(Number.MAX_SAFE_INTEGER), 'size beyond 2^53');
    return Number(value);
  }

  /** `size` reserved bytes, which must be zero. */
  zeros(size: number): void {
    const bytes = this.take(size);
    for (let i = 0; i < size; i++) demand(bytes[i] === 0, 'reserved field set');
  }

  end(): void {
    demand(this.left === 0, 'bytes after the end');
  }

  #advance(size: number): number {
    demand(size <= this.left, 'value passes the end');
    const at = this.offset;
    this.offset += size;
    return at;
  }
}
