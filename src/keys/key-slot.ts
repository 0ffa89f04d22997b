/**
 * Key slots: the key ring of a repository, sealed under a key that comes from a passphrase, or from
 * nothing at all for a repository without password (docs/repository-format.md section 4).
 *
 *   magic 8 | version u8 | kdf u8 | flags u16 | p1 p2 p3 u32 | n u32 | 0 u32 | repo_id 32 |
 *   salt 32 | commitment 32 | 0 x 32 | AEAD(key ring) n
 *
 * The commitment tells a wrong passphrase from a damaged slot and makes the slot commit to its key,
 * which AES-GCM alone does not. All bounds are checked before any work is done for a slot.
 */
import { scrypt, timingSafeEqual } from 'node:crypto';
import type { RepositoryId } from '../id.ts';
import { ByteReader, demand, Malformed } from '../util/byte-reader.ts';
import { concatBytes, encodeU32, encodeUtf8, equalBytes, fromHex } from '../util/bytes.ts';
import { openAead, sealAead, TAG_SIZE } from './aead.ts';
import { deriveKey, keyedHash } from './blake3.ts';

const KEY_SLOT_MAGIC = fromHex('8956524b0d0a1a0a');
const KEY_SLOT_VERSION = 1;
const KEY_SLOT_HEADER_SIZE = 160;
export const KEY_SLOT_SIZE_MAX = 131_072;
const WRAPPED_SIZE_MAX = 65_536;
const KDF_MEMORY_MAX = 2 ** 31;

const KDF_NONE = 0;
const KDF_SCRYPT = 1;

/** scrypt parameters: cost `2 ** log2N`, block size `r`, parallelization `p`. */
export interface ScryptCost {
  log2N: number;
  r: number;
  p: number;
}

export const DEFAULT_SCRYPT_COST: ScryptCost = { log2N: 17, r: 8, p: 1 };

/** What opens a slot: a passphrase, or nothing. */
export type Credential = { kind: 'passphrase'; passphrase: string } | { kind: 'none' };

interface SlotHeader {
  kdf: number;
  needsPepper: boolean;
  cost: ScryptCost;
  repositoryId: RepositoryId;
  salt: Uint8Array;
  commitment: Uint8Array;
  /** Bytes 0..96, which the commitment covers, and 0..160, the associated data. */
  committed: Uint8Array;
  aad: Uint8Array;
  wrapped: Uint8Array;
}

/**
 * How an attempt on a slot ended. `other` is a slot of another repository or of a kind this
 * credential cannot open; it is passed over.
 */
export type SlotOutcome =
  | { outcome: 'opened'; keyRing: Uint8Array }
  | { outcome: 'wrong' }
  | { outcome: 'other'; why: string }
  | { outcome: 'damaged'; why: string };

/** Seals `keyRing` (canonical JSON) for one credential; `salt` is 32 fresh random bytes. */
export async function sealKeySlot(
  credential: Credential,
  options: {
    repositoryId: RepositoryId;
    salt: Uint8Array;
    keyRing: Uint8Array;
    cost?: ScryptCost;
  },
): Promise<Uint8Array> {
  const { repositoryId, salt, keyRing } = options;
  const cost = options.cost ?? DEFAULT_SCRYPT_COST;
  const hasPassphrase = credential.kind === 'passphrase';
  const committed = concatBytes(
    KEY_SLOT_MAGIC,
    Uint8Array.of(KEY_SLOT_VERSION, hasPassphrase ? KDF_SCRYPT : KDF_NONE, 0, 0),
    encodeU32(hasPassphrase ? cost.log2N : 0),
    encodeU32(hasPassphrase ? cost.r : 0),
    encodeU32(hasPassphrase ? cost.p : 0),
    encodeU32(keyRing.length + TAG_SIZE),
    encodeU32(0),
    repositoryId,
    salt,
  );
  const slotKeys = await deriveSlotKeys(credential, salt, cost);
  const commitment = keyedHash(slotKeys.commitment, committed);
  const aad = concatBytes(committed, commitment, new Uint8Array(32));
  const nonce = { domain: 0, counter: 0 };
  return concatBytes(aad, sealAead(slotKeys.encryption, nonce, { aad, plaintext: keyRing }));
}

/** Tries one credential on one slot file. Never throws for what the file says. */
export async function openKeySlot(
  slot: Uint8Array,
  credential: Credential,
  repositoryId: RepositoryId,
): Promise<SlotOutcome> {
  let header: SlotHeader;
  try {
    header = parseSlot(slot);
  } catch (error) {
    if (error instanceof Malformed) return { outcome: 'damaged', why: error.message };
    throw error;
  }
  if (!equalBytes(header.repositoryId, repositoryId)) {
    return { outcome: 'other', why: 'slot of another repository' };
  }
  const wanted = credential.kind === 'passphrase' ? KDF_SCRYPT : KDF_NONE;
  if (header.kdf !== wanted) return { outcome: 'other', why: `key derivation ${header.kdf}` };
  if (header.needsPepper) return { outcome: 'other', why: 'needs a pepper file' };
  const slotKeys = await deriveSlotKeys(credential, header.salt, header.cost);
  const commitment = keyedHash(slotKeys.commitment, header.committed);
  if (!timingSafeEqual(commitment, header.commitment)) return { outcome: 'wrong' };
  try {
    const nonce = { domain: 0, counter: 0 };
    const { aad, wrapped } = header;
    return {
      outcome: 'opened',
      keyRing: openAead(slotKeys.encryption, nonce, { aad, sealed: wrapped }),
    };
  } catch (error) {
    if (error instanceof Malformed) return { outcome: 'damaged', why: error.message };
    throw error;
  }
}

/**
 * What a slot says about itself. `unknown`: of a kind that this program cannot open; `foreign`: of
 * another repository. Which passphrase fits, only trying it tells.
 */
export type SlotDescription =
  | { kind: 'passphrase' | 'none' | 'foreign' }
  | { kind: 'unknown' | 'damaged'; found: string };

export function describeKeySlot(slot: Uint8Array, repositoryId: RepositoryId): SlotDescription {
  const later = findLaterFormat(slot);
  if (later !== undefined) return { kind: 'unknown', found: later };
  try {
    const header = parseSlot(slot);
    if (!equalBytes(header.repositoryId, repositoryId)) return { kind: 'foreign' };
    if (header.needsPepper) return { kind: 'unknown', found: 'needs a pepper file' };
    return { kind: header.kdf === KDF_NONE ? 'none' : 'passphrase' };
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    return { kind: 'damaged', found: error.message };
  }
}

/** The rest of such a slot may be anything. */
function findLaterFormat(slot: Uint8Array): string | undefined {
  if (slot.length < KEY_SLOT_HEADER_SIZE || !equalBytes(slot.subarray(0, 8), KEY_SLOT_MAGIC)) {
    return undefined;
  }
  const [version = 0, kdf = 0] = slot.subarray(8, 10);
  if (version > KEY_SLOT_VERSION) return `unknown version ${version}`;
  return kdf > KDF_SCRYPT ? `unknown kind ${kdf}` : undefined;
}

/** True for a slot that opens without any passphrase. */
export function isPublicSlot(slot: Uint8Array): boolean {
  return slot.length > 9 && slot[9] === KDF_NONE;
}

function parseSlot(slot: Uint8Array): SlotHeader {
  demand(slot.length <= KEY_SLOT_SIZE_MAX, 'slot file too large');
  const reader = new ByteReader(slot);
  demand(equalBytes(reader.take(8), KEY_SLOT_MAGIC), 'magic');
  demand(reader.u8() === KEY_SLOT_VERSION, 'slot version');
  const kdf = reader.u8();
  demand(kdf <= 4, 'key derivation');
  const flags = reader.u16();
  demand(flags <= 1, 'flags');
  const cost = { log2N: reader.u32(), r: reader.u32(), p: reader.u32() };
  const wrappedSize = reader.u32();
  demand(reader.u32() === 0, 'reserved field set');
  const repositoryId = reader.take(32) as RepositoryId;
  const salt = reader.take(32);
  const commitment = reader.take(32);
  reader.zeros(32);
  demand(wrappedSize > TAG_SIZE && wrappedSize <= WRAPPED_SIZE_MAX, 'wrapped length');
  demand(wrappedSize === reader.left, 'slot length');
  checkCost(kdf, cost);
  const committed = slot.subarray(0, 96);
  const aad = slot.subarray(0, KEY_SLOT_HEADER_SIZE);
  const needsPepper = flags === 1;
  return {
    kdf,
    needsPepper,
    cost,
    repositoryId,
    salt,
    commitment,
    committed,
    aad,
    wrapped: reader.rest(),
  };
}

function checkCost(kdf: number, cost: ScryptCost): void {
  if (kdf === KDF_NONE) {
    demand(cost.log2N === 0 && cost.r === 0 && cost.p === 0, 'cost of no key derivation');
  }
  if (kdf !== KDF_SCRYPT) return;
  demand(cost.log2N >= 15 && cost.log2N <= 22, 'scrypt N');
  demand(cost.r >= 1 && cost.r <= 32 && cost.p >= 1 && cost.p <= 16, 'scrypt r or p');
  demand(128 * cost.r * 2 ** cost.log2N <= KDF_MEMORY_MAX, 'scrypt memory');
}

async function deriveSlotKeys(
  credential: Credential,
  salt: Uint8Array,
  cost: ScryptCost,
): Promise<{ encryption: Uint8Array; commitment: Uint8Array }> {
  if (credential.kind === 'none') {
    return {
      encryption: deriveKey('public slot a', salt),
      commitment: deriveKey('public slot b', salt),
    };
  }
  const secret = encodeUtf8(credential.passphrase.normalize('NFC'));
  const stretched = await stretch(secret, salt, cost);
  return { encryption: stretched.subarray(0, 32), commitment: stretched.subarray(32, 64) };
}

function stretch(secret: Uint8Array, salt: Uint8Array, cost: ScryptCost): Promise<Uint8Array> {
  const memory = 128 * cost.r * 2 ** cost.log2N;
  const options = { N: 2 ** cost.log2N, r: cost.r, p: cost.p, maxmem: 2 * memory };
  return new Promise((resolve, reject) => {
    scrypt(secret, salt, 64, options, (error, key) => (error ? reject(error) : resolve(key)));
  });
}
