/**
 * Sealed objects: header, then parts of at most 1 MiB, each `u32 length || ciphertext` with the
 * length as associated data (docs/repository-format.md section 5). The nonce of the last part says
 * that it is the last, so truncation at a part boundary, swapped and repeated parts all fail.
 *
 *   joined plaintext = compression u8 (0 none, 1 zstd) | length u64 | payload
 */
import { NONCE_DOMAIN, openAead, sealAead, TAG_SIZE } from '../keys/aead.ts';
import { deriveObjectKey, KEY_CLASS, type RepositoryKeys } from '../keys/key-hierarchy.ts';
import type { SaltSource } from '../keys/salt-source.ts';
import { assert } from '../util/assert.ts';
import { ByteReader, demand } from '../util/byte-reader.ts';
import { concatBytes, encodeU32, encodeU64, viewOf } from '../util/bytes.ts';
import { ZstdCodec } from '../util/zstd.ts';
import { decodeHeader, encodeHeader, HEADER_SIZE, type ObjectHeader } from './header.ts';
import { OBJECT_KIND, type ObjectKind, RECORD_SIZE_MAX, SEGMENT_SIZE_MAX } from './object-kind.ts';

export const OBJECT_PART_SIZE_MAX: number = 2 ** 20;

const COMPRESSION_NONE = 0;
const COMPRESSION_ZSTD = 1;
const ZSTD_LEVEL = 3;
/** Below this a zstd frame saves less than it is worth. */
const COMPRESS_FROM_SIZE = 512;

const zstd = new ZstdCodec();

interface ObjectIdentity {
  kind: ObjectKind;
  /** Storage name, empty for hash-named kinds. */
  name: string;
}

/** Seals `payload`, compressed when that makes it smaller. */
export function sealObject(
  keys: RepositoryKeys,
  identity: ObjectIdentity,
  options: { payload: Uint8Array; salt: Uint8Array | SaltSource },
): Uint8Array {
  const { payload } = options;
  assert(payload.length <= payloadSizeMax(identity.kind), 'payload of a sealed object');
  const salt = typeof options.salt === 'function' ? options.salt(payload) : options.salt;
  const packed =
    payload.length >= COMPRESS_FROM_SIZE ? zstd.compress(payload, ZSTD_LEVEL) : payload;
  const isCompressed = packed.length < payload.length;
  const plaintext = concatBytes(
    Uint8Array.of(isCompressed ? COMPRESSION_ZSTD : COMPRESSION_NONE),
    encodeU64(payload.length),
    isCompressed ? packed : payload,
  );
  return sealParts(keys, identity, { salt, plaintext, partSizeMax: OBJECT_PART_SIZE_MAX });
}

/** The layer below compression; apart so that vectors can fix parts of any size. */
export function sealParts(
  keys: RepositoryKeys,
  identity: ObjectIdentity,
  options: { salt: Uint8Array; plaintext: Uint8Array; partSizeMax: number },
): Uint8Array {
  const { salt, plaintext, partSizeMax } = options;
  const header = { kind: identity.kind, generation: keys.current, salt };
  const key = objectKey(keys, header);
  const pieces = [encodeHeader(keys, header, identity.name)];
  const partCount = Math.ceil(plaintext.length / partSizeMax);
  for (let i = 0; i < partCount; i++) {
    const part = plaintext.subarray(i * partSizeMax, (i + 1) * partSizeMax);
    const length = encodeU32(part.length + TAG_SIZE);
    const nonce = partNonce(i, i === partCount - 1);
    pieces.push(length, sealAead(key, nonce, { aad: length, plaintext: part }));
  }
  return concatBytes(...pieces);
}

/**
 * Opens a sealed object of one of `kinds`.
 * @returns its payload and the kind found.
 * @throws Malformed when any byte is not as sealed.
 * @throws VersionError for a later format.
 */
export function openObject(
  keys: RepositoryKeys,
  object: Uint8Array,
  expected: { kinds: readonly ObjectKind[]; name: string },
): { kind: number; payload: Uint8Array } {
  const header = decodeHeader(keys, object, expected);
  const sizeMax = payloadSizeMax(header.kind);
  const plaintext = openParts(objectKey(keys, header), object, sizeMax);
  const reader = new ByteReader(plaintext);
  const compression = reader.u8();
  const length = reader.size();
  demand(length <= sizeMax, 'payload too large');
  if (compression === COMPRESSION_ZSTD) {
    return { kind: header.kind, payload: zstd.decompress(reader.rest(), length) };
  }
  demand(compression === COMPRESSION_NONE, 'compression');
  demand(reader.left === length, 'payload length');
  return { kind: header.kind, payload: reader.rest() };
}

function payloadSizeMax(kind: number): number {
  return kind === OBJECT_KIND.segment ? SEGMENT_SIZE_MAX : RECORD_SIZE_MAX;
}

function openParts(key: Uint8Array, object: Uint8Array, sizeMax: number): Uint8Array {
  const reader = new ByteReader(object);
  reader.take(HEADER_SIZE);
  const parts: Uint8Array[] = [];
  let size = 0;
  do {
    const aad = reader.take(4);
    const length = viewOf(aad).getUint32(0, true);
    demand(length > TAG_SIZE && length <= OBJECT_PART_SIZE_MAX + TAG_SIZE, 'part length');
    const sealed = reader.take(length);
    const part = openAead(key, partNonce(parts.length, reader.left === 0), { aad, sealed });
    size += part.length;
    demand(size <= sizeMax + 9, 'object too large');
    parts.push(part);
  } while (reader.left > 0);
  return concatBytes(...parts);
}

function partNonce(position: number, isLast: boolean): { domain: number; counter: number } {
  return { domain: NONCE_DOMAIN.objectPart, counter: 2 * position + (isLast ? 1 : 0) };
}

function objectKey(keys: RepositoryKeys, header: ObjectHeader): Uint8Array {
  return deriveObjectKey(keys.repositoryId, header.generation, {
    class: KEY_CLASS.control,
    label: 'object',
    kind: header.kind,
    salt: header.salt,
  });
}
