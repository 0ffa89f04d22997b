/**
 * From the secrets of a key ring to every key of a repository (docs/repository-format.md section 3).
 * Keys for sealing exist per generation; keys for ids, chunking and the like come from the
 * `dedup_secret`, which rotation never changes, so that deduplication survives it.
 */
import type { RepositoryId } from '../id.ts';
import { concatBytes, encodeU64, fromAscii } from '../util/bytes.ts';
import { deriveKey, keyedHash } from './blake3.ts';

/** Key classes: what a holder of part of the keys may read. */
export const KEY_CLASS = { data: 0, metadata: 1, control: 2 } as const;
export type KeyClass = (typeof KEY_CLASS)[keyof typeof KEY_CLASS];

export interface KeyMaterial {
  repositoryId: RepositoryId;
  dedupSecret: Uint8Array;
  /** At least one; `current` is the number of the one to write with. */
  generations: { number: number; rootSecret: Uint8Array }[];
  current: number;
}

export interface GenerationKeys {
  readonly number: number;
  /** Indexed by key class. */
  readonly encryption: readonly [Uint8Array, Uint8Array, Uint8Array];
  readonly headerMac: Uint8Array;
  readonly saltHedge: Uint8Array;
}

export interface RepositoryKeys {
  readonly repositoryId: RepositoryId;
  readonly current: GenerationKeys;
  readonly generations: ReadonlyMap<number, GenerationKeys>;
  /** Keys of blob ids, indexed by blob type 1..4; position 0 is unused. */
  readonly blobId: readonly Uint8Array[];
  readonly chunker: Uint8Array;
  readonly treePage: Uint8Array;
  readonly linkGroup: Uint8Array;
}

export function deriveKeys(material: KeyMaterial): RepositoryKeys {
  const { repositoryId, dedupSecret } = material;
  const fromDedup = (purpose: string): Uint8Array => deriveKey(purpose, dedupSecret);
  const generations = new Map<number, GenerationKeys>();
  for (const { number, rootSecret } of material.generations) {
    const derive = (purpose: string): Uint8Array => deriveKey(purpose, repositoryId, rootSecret);
    generations.set(number, {
      number,
      encryption: [derive('enc data'), derive('enc metadata'), derive('enc control')],
      headerMac: derive('header mac'),
      saltHedge: derive('salt hedge'),
    });
  }
  const current = generations.get(material.current);
  if (current === undefined) throw new RangeError('The current key generation is not in the ring');
  return {
    repositoryId,
    current,
    generations,
    blobId: [
      new Uint8Array(0),
      fromDedup('id data'),
      fromDedup('id tree'),
      fromDedup('id list'),
      fromDedup('id xattr'),
    ],
    chunker: fromDedup('chunker'),
    treePage: fromDedup('tree page'),
    linkGroup: fromDedup('link group'),
  };
}

/** What one key of an object is for; part of its derivation. */
export type KeyLabel = 'frame' | 'directory' | 'object';

export interface ObjectKeyInput {
  class: KeyClass;
  label: KeyLabel;
  /** Kind in the object's header (of the pack for frames and directories). */
  kind: number;
  /** 32 bytes from the object's header. */
  salt: Uint8Array;
}

/** `K(label)` of one object: another kind, repository, salt or generation gives another key. */
export function deriveObjectKey(
  repositoryId: RepositoryId,
  generation: GenerationKeys,
  input: ObjectKeyInput,
): Uint8Array {
  const label = concatBytes(fromAscii(`${input.label}\0`), Uint8Array.of(input.kind));
  return keyedHash(generation.encryption[input.class], label, repositoryId, input.salt);
}

/** Inputs of a salt beside the random ones; any that differs keeps two salts apart. */
export interface SaltHedge {
  random: Uint8Array;
  writerId: Uint8Array;
  bootId: Uint8Array;
  processId: number;
  monotonicNs: bigint;
  counter: number;
  /** SHA-256 of the first 64 KiB of the content. */
  contentHash: Uint8Array;
}

/** A new object's 32-byte salt. It repeats only if the random source and every hedge repeat. */
export function deriveSalt(generation: GenerationKeys, hedge: SaltHedge): Uint8Array {
  return keyedHash(
    generation.saltHedge,
    hedge.random,
    hedge.writerId,
    hedge.bootId,
    encodeU64(hedge.processId),
    encodeU64(hedge.monotonicNs),
    encodeU64(hedge.counter),
    hedge.contentHash,
  );
}
