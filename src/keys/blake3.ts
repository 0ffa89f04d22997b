/**
 * BLAKE3 in the two modes of the format: keyed hash `KH` and key derivation `DK`
 * (docs/repository-format.md section 1). This is the portable implementation: keys, MACs and
 * commitments are short. Blobs are hashed in bulk by `blob/keyed-hasher.ts`.
 */
import { blake3 } from '@noble/hashes/blake3.js';
import { concatBytes, fromAscii } from '../util/bytes.ts';

/** Every derivation of the format carries this prefix, so that no other program shares its keys. */
const CONTEXT_PREFIX = 'varve 2026-11-20 format 1 ';

/** `KH(key, m)`: 32 bytes. */
export function keyedHash(key: Uint8Array, ...message: Uint8Array[]): Uint8Array {
  return blake3(concatBytes(...message), { key });
}

/** `DK(C(purpose), material)`: 32 bytes. */
export function deriveKey(purpose: string, ...material: Uint8Array[]): Uint8Array {
  return blake3(concatBytes(...material), { context: fromAscii(CONTEXT_PREFIX + purpose) });
}
