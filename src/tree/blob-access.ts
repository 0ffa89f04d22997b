/**
 * How trees and lists meet the blobs they consist of. Nothing in this folder hashes, reads or
 * writes: whoever uses it passes these functions in.
 */
import type { BlobId } from '../id.ts';

export const ID_SIZE = 32;
/** Longest plaintext of a blob. */
export const BLOB_SIZE_MAX: number = 2 ** 24;

/** Gives the plaintext whose keyed hash is the id, checked, or throws. */
export type LoadBlob = (id: BlobId) => Promise<Uint8Array>;

/** Takes the plaintext of a blob, in memory of its own, and gives its id. */
export type StoreBlob = (blob: Uint8Array) => BlobId | Promise<BlobId>;
