/** Keys and ids of tests: the inputs of the golden vectors, and neighbours that differ in one of them. */
import type { RepositoryId } from '../../src/id.ts';
import { deriveKeys, type RepositoryKeys } from '../../src/keys/key-hierarchy.ts';
import { toHex } from '../../src/util/bytes.ts';

/** Bytes counting up from `first`, as the vectors write their inputs. */
export function counting(first: number, size = 32): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => first + i);
}

/** The keys of the vectors, unless a first byte is changed. */
export function deriveTestKeys(
  changes: { repositoryId?: number; rootSecret?: number; dedupSecret?: number } = {},
): RepositoryKeys {
  return deriveKeys({
    repositoryId: counting(changes.repositoryId ?? 0x40) as RepositoryId,
    dedupSecret: counting(changes.dedupSecret ?? 0x20),
    generations: [{ number: 0, rootSecret: counting(changes.rootSecret ?? 0) }],
    current: 0,
  });
}

export const testKeys: RepositoryKeys = deriveTestKeys();
export const testSalt: Uint8Array = counting(0x60);
export const testSession: string = toHex(counting(0x80, 16));
export const testWriter: string = toHex(counting(0x90, 16));
