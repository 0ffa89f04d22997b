/**
 * The identities of the repository, as branded types: an id of one kind cannot be passed where
 * another is meant. Ids of content are bytes (they live in hot paths and binary records), names of
 * stored objects are the text that stands in their storage key.
 */
import { bufferOf } from './util/bytes.ts';

declare const brand: unique symbol;
type Branded<T, Name extends string> = T & { readonly [brand]: Name };

/** Keyed BLAKE3 of a blob's plaintext, 32 bytes. */
export type BlobId = Branded<Uint8Array, 'BlobId'>;
/** 32 random bytes drawn at init. */
export type RepositoryId = Branded<Uint8Array, 'RepositoryId'>;
/** SHA-256 of a whole pack file, 64 hex digits. */
export type PackName = Branded<string, 'PackName'>;
/** SHA-256 of a whole index segment, 64 hex digits. */
export type SegmentName = Branded<string, 'SegmentName'>;
/** 16 random bytes as 32 hex digits; the id of a session and of the snapshot it commits. */
export type SessionId = Branded<string, 'SessionId'>;
/** 16 random bytes as 32 hex digits; one client of one repository. */
export type WriterId = Branded<string, 'WriterId'>;

/** Key of a blob id in a `Map`: the bytes as a string of 32 characters (cheaper than hex). */
export function blobKey(id: Uint8Array): string {
  return bufferOf(id).toString('latin1');
}

/** As much of an id as people read: the first 8 hex digits. */
export function shortId(id: string): string {
  return id.slice(0, 8);
}
