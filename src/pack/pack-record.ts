/** What an index segment and the local index keep of a pack: enough to read any frame of it. */
import type { PackName } from '../id.ts';
import { TAG_SIZE } from '../keys/aead.ts';
import { OBJECT_KIND, type PackKind } from '../record/object-kind.ts';
import { demand } from '../util/byte-reader.ts';
import { fromAscii } from '../util/bytes.ts';
import { padme } from '../util/padme.ts';
import { BlobTable } from './blob-table.ts';
import { framesOf, type PackDirectory, parseDirectory } from './directory.ts';

/** Largest pack file in bytes. */
export const PACK_SIZE_MAX: number = 2 ** 30;
export const TRAILER_SIZE = 96;
export const TRAILER_MAGIC: Uint8Array = fromAscii('VARVEND\n');

export interface PackRecord {
  name: PackName;
  kind: PackKind;
  /** Bytes of the whole file. */
  length: number;
  /** Number of the key generation it is sealed with. */
  generation: number;
  /** 32 bytes. */
  salt: Uint8Array;
  /** Directory plaintext without padding. */
  body: Uint8Array;
}

/** `D`: bytes of the sealed directory in the file. */
export function sealedDirectorySize(bodySize: number): number {
  return padme(bodySize) + TAG_SIZE;
}

/** @throws Malformed when the directory does not fit the rest of the record. */
export function directoryOf(pack: PackRecord): PackDirectory {
  demand(pack.length <= PACK_SIZE_MAX && padme(pack.length) === pack.length, 'pack length');
  const frameEnd = pack.length - TRAILER_SIZE - sealedDirectorySize(pack.body.length);
  const directory = parseDirectory(pack.body, { kind: pack.kind, frameEnd });
  demand(directory.bodySize === pack.body.length, 'directory body length');
  return directory;
}

/** The blobs of a pack whose directory was parsed before. @throws Malformed */
export function blobTableOf({ kind, length, body }: PackRecord): BlobTable {
  const frameEnd = length - TRAILER_SIZE - sealedDirectorySize(body.length);
  return new BlobTable(body, framesOf(body, { kind, frameEnd }));
}

/** Storage name of a pack: data packs and metadata packs have their own tops, sharded by 2 digits. */
export function packStorageName(pack: { name: PackName; kind: PackKind }): string {
  const top = pack.kind === OBJECT_KIND.dataPack ? 'data' : 'meta';
  return `${top}/${pack.name.slice(0, 2)}/${pack.name}`;
}
