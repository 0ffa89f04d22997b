/**
 * Byte strings: comparing, joining, hexadecimal text and little-endian integers over `Uint8Array`.
 * Bounds are the caller's affair here; `byte-reader.ts` reads what comes from outside.
 */

/** A view of the same memory, so that `DataView` methods can be used on any byte view. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A `Buffer` over the same memory, for Node calls that want one. Nothing is copied. */
export function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * A plain `Uint8Array` over the memory of a `Buffer`, for what Node hands out: `slice` of a `Buffer`
 * does not copy, and a signature that says `Uint8Array` should mean one.
 */
export function plainBytes(buffer: Uint8Array): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

export function toHex(bytes: Uint8Array): string {
  return bufferOf(bytes).toString('hex');
}

/** Inverse of `toHex` for text that is known to be hexadecimal of even length. */
export function fromHex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'hex'));
}

export function isHex(text: string, digitCount: number): boolean {
  return text.length === digitCount && /^[0-9a-f]*$/.test(text);
}

/** ASCII text as bytes; the caller knows that it is ASCII. */
export function fromAscii(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'latin1'));
}

/** One character for each byte; the inverse of `fromAscii` for any bytes. */
export function toLatin1(bytes: Uint8Array): string {
  return bufferOf(bytes).toString('latin1');
}

/** Order by unsigned bytes, a prefix first; the order of names in tree pages. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b);
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

export function isZero(bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i++) if (bytes[i] !== 0) return false;
  return true;
}

/** One new byte string holding all parts in order. */
export function concatBytes(...parts: Uint8Array[]): Uint8Array {
  let size = 0;
  for (const part of parts) size += part.length;
  const joined = new Uint8Array(size);
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}

export function encodeU32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, value, true);
  return bytes;
}

export function encodeU64(value: number | bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  viewOf(bytes).setBigUint64(0, BigInt(value), true);
  return bytes;
}

/** First four bytes as a little-endian number, by which hashes decide where a page or list ends. */
export function leadingU32(bytes: Uint8Array): number {
  return viewOf(bytes).getUint32(0, true);
}

/** Text when the bytes are valid UTF-8, otherwise undefined. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

export function encodeUtf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
