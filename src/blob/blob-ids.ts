/** Ids of blobs: keyed BLAKE3 of the plaintext under the key of the blob's type. */
import type { BlobId } from '../id.ts';
import { BLOB_TYPE, type BlobType } from './blob-type.ts';
import { createKeyedHasher, type KeyedHasher } from './keyed-hasher.ts';

/** Computes ids; one per thread, because it keeps its hashers. */
export type BlobIdentifier = (type: BlobType, plaintext: Uint8Array) => BlobId;

/** @param keys of blob ids, indexed by blob type (`RepositoryKeys.blobId`). */
export function createBlobIdentifier(keys: readonly Uint8Array[]): BlobIdentifier {
  const hashers: KeyedHasher[] = [];
  for (const type of Object.values(BLOB_TYPE)) {
    hashers[type] = createKeyedHasher(keys[type] as Uint8Array);
  }
  return (type, plaintext) => (hashers[type] as KeyedHasher)(plaintext) as BlobId;
}
