/**
 * The one AES-256-GCM wrapper. Every key is used for one object only and every nonce is
 * `domain u32 || counter u64` within it, so a nonce cannot repeat under a key. Tags are always 16
 * bytes: Node would accept shorter ones, which makes forging easy. No plaintext leaves `openAead`
 * before its tag was checked.
 */
import { createCipheriv, createDecipheriv } from 'node:crypto';
import { demand } from '../util/byte-reader.ts';
import { concatBytes, plainBytes, viewOf } from '../util/bytes.ts';

export const TAG_SIZE = 16;

/** Nonce domains, docs/repository-format.md section 3. */
export const NONCE_DOMAIN = { frame: 0, directory: 1, objectPart: 2 } as const;

export interface Nonce {
  domain: number;
  counter: number;
}

function encodeNonce(nonce: Nonce): Uint8Array {
  const bytes = new Uint8Array(12);
  const view = viewOf(bytes);
  view.setUint32(0, nonce.domain, true);
  view.setBigUint64(4, BigInt(nonce.counter), true);
  return bytes;
}

/** Ciphertext followed by its tag: `plaintext.length + 16` bytes. */
export function sealAead(
  key: Uint8Array,
  nonce: Nonce,
  options: { aad: Uint8Array; plaintext: Uint8Array },
): Uint8Array {
  return concatBytes(...sealAeadParts(key, nonce, options));
}

/** The same in two parts, for whoever puts it somewhere: bulk data need not be joined before. */
export function sealAeadParts(
  key: Uint8Array,
  nonce: Nonce,
  options: { aad: Uint8Array; plaintext: Uint8Array },
): [ciphertext: Uint8Array, tag: Uint8Array] {
  const cipher = createCipheriv('aes-256-gcm', key, encodeNonce(nonce), { authTagLength: 16 });
  cipher.setAAD(options.aad);
  const ciphertext = cipher.update(options.plaintext);
  // Of this mode it is empty, and must be called for.
  cipher.final();
  return [ciphertext, cipher.getAuthTag()];
}

/**
 * The plaintext of what `sealAead` made with the same key, nonce and associated data.
 * @throws Malformed when the tag does not match.
 */
export function openAead(
  key: Uint8Array,
  nonce: Nonce,
  options: { aad: Uint8Array; sealed: Uint8Array },
): Uint8Array {
  const { sealed } = options;
  demand(sealed.length >= TAG_SIZE, 'shorter than its authentication tag');
  const decipher = createDecipheriv('aes-256-gcm', key, encodeNonce(nonce), { authTagLength: 16 });
  decipher.setAAD(options.aad);
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_SIZE));
  const plaintext = decipher.update(sealed.subarray(0, sealed.length - TAG_SIZE));
  try {
    decipher.final();
  } catch {
    demand(false, 'authentication tag does not match');
  }
  return plainBytes(plaintext);
}
