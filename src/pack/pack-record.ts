/** What an index segment and the local index keep of a pack: enough to read any frame of it. */
import type { PackName } from '../id.ts';
import { TAG_SIZE } from '../keys/aead.ts';
import { OBJECT_KIND, type PackKind } from '../record/object-kind.ts';
import { demand } from '../util/byte-reader.ts';
import { fromAscii } from '../util/bytes.ts';
import { padme } from '../util/padme.ts';
import { BlobTable } from './blob-table.ts';
import {
  checkDirectory,
  type DirectoryHead,
  framesOf,
  type PackDirectory,
  parseDirectory,
} from './directory.ts';

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
  return demandWhole(pack, parseDirectory(pack.body, frameEndOf(pack)));
}

/** The same without its blobs, which are looked at all the same. @throws Malformed */
export function directoryHeadOf(pack: PackRecord): DirectoryHead {
  return demandWhole(pack, checkDirectory(pack.body, frameEndOf(pack)));
}

function demandWhole<T extends DirectoryHead>({ body }: PackRecord, directory: T): T {
  demand(directory.bodySize === body.length, 'directory body length');
  return directory;
}

/** The blobs of a pack whose directory was parsed before. @throws Malformed */
export function blobTableOf(pack: PackRecord): BlobTable {
  return new BlobTable(pack.body, framesOf(pack.body, frameEndOf(pack)));
}

function frameEndOf({ kind, length, body }: PackRecord): { kind: PackKind; frameEnd: number } {
  demand(length <= PACK_SIZE_MAX && padme(length) === length, 'pack length');
  return { kind, frameEnd: length - TRAILER_SIZE - sealedDirectorySize(body.length) };
}

/** Storage name of a pack: data packs and metadata packs have their own tops, sharded by 2 digits. */
export function packStorageName(pack: { name: PackName; kind: PackKind }): string {
  const top = pack.kind === OBJECT_KIND.dataPack ? 'data' : 'meta';
  return `${top}/${pack.name.slice(0, 2)}/${pack.name}`;
}
