/**
 * Sealed objects as they lie in storage: fetched whole, checked against their name, opened. Here
 * what a codec found wrong becomes a `CorruptionError` that names the object.
 */
import { createHash } from 'node:crypto';
import { CorruptionError } from '../errors.ts';
import type { RepositoryKeys } from '../keys/key-hierarchy.ts';
import { type ObjectKind, RECORD_SIZE_MAX, SEGMENT_SIZE_MAX } from '../record/object-kind.ts';
import { openObject } from '../record/sealed-object.ts';
import type { Storage } from '../storage/storage.ts';
import { Malformed } from '../util/byte-reader.ts';
import { toHex } from '../util/bytes.ts';

/** Sealing adds a header, part lengths and tags; far less than this. */
const SEALING_OVERHEAD_MAX = 2 ** 20;

export interface StoredRecord {
  kind: number;
  payload: Uint8Array;
  /** SHA-256 of the file, hex. */
  hash: string;
}

interface RecordPlace {
  storage: Storage;
  keys: RepositoryKeys;
}

/**
 * Reads and opens the object of that name.
 * @param name of the storage; hash-named objects must have the hash their name says.
 * @throws NotFoundError, StorageError, CorruptionError, VersionError
 */
export async function readStoredRecord(
  { storage, keys }: RecordPlace,
  name: string,
  expected: {
    kinds: readonly ObjectKind[];
    isHashNamed?: boolean;
    signal?: AbortSignal | undefined;
  },
): Promise<StoredRecord> {
  const { signal } = expected;
  const sizeMax = expected.isHashNamed === true ? SEGMENT_SIZE_MAX : RECORD_SIZE_MAX;
  const bytes = await storage.get(name, { signal, sizeMax: sizeMax + SEALING_OVERHEAD_MAX });
  const hash = toHex(createHash('sha256').update(bytes).digest());
  return decodeStored({ kind: 'object', which: name }, () => {
    if (expected.isHashNamed === true && !name.endsWith(hash)) {
      throw new Malformed('its hash differs from its name');
    }
    const nameInHeader = expected.isHashNamed === true ? '' : name;
    const opened = openObject(keys, bytes, { kinds: expected.kinds, name: nameInHeader });
    return { ...opened, hash };
  });
}

/** Runs a decoder over bytes of a named object; `Malformed` becomes `CorruptionError`. */
export function decodeStored<T>(object: { kind: string; which: string }, decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    throw notAsSealed(object, error);
  }
}

/** What a decoder found wrong, as an error that names the object. */
export function notAsSealed(
  object: { kind: string; which: string },
  cause: Malformed,
): CorruptionError {
  const expected = 'the bytes that were sealed';
  return new CorruptionError({ ...object, found: cause.message, expected }, cause);
}
