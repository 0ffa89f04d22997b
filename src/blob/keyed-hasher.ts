/**
 * Keyed BLAKE3 over bulk data. The native hasher does 5.6 GB/s on 64 KiB chunks when it is kept and
 * reset; where its binary is missing the portable one takes over, 100 times slower and otherwise
 * the same. The portable one is also the oracle of the tests.
 */
import { createRequire } from 'node:module';
import type { Blake3Hasher } from '@napi-rs/blake-hash';
import { blake3 } from '@noble/hashes/blake3.js';
import { bufferOf, fromHex } from '../util/bytes.ts';

/** Digest of the whole message, 32 new bytes. */
export type KeyedHasher = (message: Uint8Array) => Uint8Array;

const native = loadNative();

function loadNative(): typeof Blake3Hasher | undefined {
  try {
    const module = createRequire(import.meta.url)('@napi-rs/blake-hash');
    return (module as { Blake3Hasher: typeof Blake3Hasher }).Blake3Hasher;
  } catch {
    return undefined;
  }
}

/** The fastest hasher there is for this key (32 bytes). Not to be shared between threads. */
export function createKeyedHasher(key: Uint8Array): KeyedHasher {
  if (native === undefined) return createPortableHasher(key);
  const hasher = native.newKeyed(bufferOf(key));
  return (message) => {
    hasher.reset();
    // As text: a buffer made by native code costs 0.5 µs more, most of it to collect it.
    return fromHex(hasher.update(message).digest('hex'));
  };
}

export function createPortableHasher(key: Uint8Array): KeyedHasher {
  return (message) => blake3(message, { key });
}
