/**
 * The 64 bytes in front of every pack, index segment and sealed record
 * (docs/repository-format.md section 5):
 *
 *   magic 8 | major u8 | kind u8 | flags u16 | key generation u32 | salt 32 | mac 16
 *
 * The mac covers the repository id, the storage name of objects with a chosen name, and all before
 * it: an object that was renamed, moved to another repository or given another kind is refused, and
 * the object commits to its key.
 */
import { timingSafeEqual } from 'node:crypto';
import { VersionError } from '../errors.ts';
import { keyedHash } from '../keys/blake3.ts';
import type { GenerationKeys, RepositoryKeys } from '../keys/key-hierarchy.ts';
import { ByteReader, demand } from '../util/byte-reader.ts';
import { concatBytes, encodeU32, equalBytes, fromAscii, fromHex } from '../util/bytes.ts';

export const HEADER_SIZE = 64;
export const FORMAT_MAJOR = 1;
export const OBJECT_NAME_LENGTH_MAX = 255;

const OBJECT_MAGIC = fromHex('895652560d0a1a0a');
const MAC_SIZE = 16;

export interface ObjectHeader {
  kind: number;
  generation: GenerationKeys;
  /** 32 bytes. */
  salt: Uint8Array;
}

function headerMac(keys: RepositoryKeys, header: ObjectHeader, covered: Uint8Array, name: string) {
  assertName(name);
  const nameLength = Uint8Array.of(name.length & 255, name.length >> 8);
  const mac = keyedHash(
    header.generation.headerMac,
    keys.repositoryId,
    nameLength,
    fromAscii(name),
    covered,
  );
  return mac.subarray(0, MAC_SIZE);
}

function assertName(name: string): void {
  if (name.length > OBJECT_NAME_LENGTH_MAX) throw new RangeError('Object name too long');
}

/** `name` is the whole storage name for objects with a chosen name, empty for hash-named ones. */
export function encodeHeader(keys: RepositoryKeys, header: ObjectHeader, name: string): Uint8Array {
  const covered = concatBytes(
    OBJECT_MAGIC,
    Uint8Array.of(FORMAT_MAJOR, header.kind, 0, 0),
    encodeU32(header.generation.number),
    header.salt,
  );
  return concatBytes(covered, headerMac(keys, header, covered, name));
}

/**
 * The header of `object` (its first 64 bytes; more may follow).
 * @throws Malformed when it is not the header of an object of one of `kinds` with this name.
 * @throws VersionError for a later format.
 */
export function decodeHeader(
  keys: RepositoryKeys,
  object: Uint8Array,
  expected: { kinds: readonly number[]; name: string },
): ObjectHeader {
  demand(object.length >= HEADER_SIZE, 'shorter than an object header');
  const reader = new ByteReader(object.subarray(0, HEADER_SIZE));
  demand(equalBytes(reader.take(8), OBJECT_MAGIC), 'magic');
  const major = reader.u8();
  if (major > FORMAT_MAJOR) {
    throw new VersionError('an object', `format ${major}`, `format ${FORMAT_MAJOR}`);
  }
  demand(major === FORMAT_MAJOR, 'format version');
  const kind = reader.u8();
  demand(expected.kinds.includes(kind), `object kind ${kind}`);
  demand(reader.u16() === 0, 'flags');
  const number = reader.u32();
  const generation = keys.generations.get(number);
  demand(generation !== undefined, `key generation ${number} is not in the key ring`);
  const header = { kind, generation, salt: reader.take(32) };
  const covered = object.subarray(0, HEADER_SIZE - MAC_SIZE);
  const mac = headerMac(keys, header, covered, expected.name);
  demand(timingSafeEqual(mac, reader.take(MAC_SIZE)), 'header authentication');
  return header;
}
