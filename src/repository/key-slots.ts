/** The key slots of a repository as files: reading them, opening the one that fits, adding one. */
import { KeyError, NotFoundError } from '../errors.ts';
import type { RepositoryId } from '../id.ts';
import {
  type Credential,
  isPublicSlot,
  KEY_SLOT_SIZE_MAX,
  openKeySlot,
  sealKeySlot,
} from '../keys/key-slot.ts';
import { type KeyRing, parseKeyRing } from '../record/key-ring.ts';
import type { Storage } from '../storage/storage.ts';
import { toHex } from '../util/bytes.ts';
import type { Random } from '../util/random.ts';
import { decodeStored } from './stored-records.ts';

/** More slots than this are not tried: each costs a key derivation. */
export const KEY_SLOT_COUNT_MAX = 32;
const SLOT_NAME = /^keys\/[0-9a-f]{32}$/;

/** Asked only when no slot opens without one; undefined when the user has none to give. */
export type AskPassphrase = () => Promise<string | undefined>;

export interface StoredKeySlot {
  name: string;
  /** The file; of one that is too large to be a slot, one byte more than a slot may have. */
  bytes: Uint8Array;
  /** By the clock of the storage. */
  modifiedMs: number;
}

export interface OpenedKeySlot {
  name: string;
  bytes: Uint8Array;
  /** What was sealed, byte for byte: a later version may have put more into it than is known here. */
  keyRing: Uint8Array;
}

/**
 * Opens the key ring with the first slot that fits.
 * @throws KeyError when none does.
 * @throws CorruptionError when the passphrase is right and the ring is not.
 */
export async function openKeyRing(
  storage: Storage,
  repositoryId: RepositoryId,
  askPassphrase: AskPassphrase,
): Promise<{ slot: OpenedKeySlot; ring: KeyRing }> {
  const slots = await readSlotsToTry(storage);
  const failures: string[] = [];
  const open = async (credential: Credential) => {
    for (const { name, bytes } of slots) {
      if ((credential.kind === 'none') !== isPublicSlot(bytes)) continue;
      const result = await openKeySlot(bytes, credential, repositoryId);
      if (result.outcome === 'opened') {
        const { keyRing } = result;
        const place = { kind: 'key slot', which: name };
        const ring = decodeStored(place, () => parseKeyRing(keyRing));
        return { slot: { name, bytes, keyRing }, ring };
      }
      if (result.outcome === 'damaged') failures.push(`${name} is damaged: ${result.why}`);
      // What everybody can open has no wrong key.
      if (result.outcome === 'wrong' && credential.kind === 'none') {
        failures.push(`${name} is damaged: its commitment differs`);
      }
    }
    return undefined;
  };
  const opened = await open({ kind: 'none' });
  if (opened !== undefined) return opened;
  const passphrase = await askPassphrase();
  if (passphrase === undefined) throw cannotOpen('no passphrase given', failures);
  const openedByPassphrase = await open({ kind: 'passphrase', passphrase });
  if (openedByPassphrase !== undefined) return openedByPassphrase;
  throw cannotOpen('wrong passphrase', failures);
}

function cannotOpen(why: string, failures: readonly string[]): KeyError {
  return new KeyError(`Cannot open repository: ${[why, ...failures].join('; ')}`);
}

async function readSlotsToTry(storage: Storage): Promise<StoredKeySlot[]> {
  const slots: StoredKeySlot[] = [];
  for await (const slot of readKeySlots(storage)) {
    if (slot.bytes.length > KEY_SLOT_SIZE_MAX) continue;
    slots.push(slot);
    if (slots.length === KEY_SLOT_COUNT_MAX) break;
  }
  return slots;
}

/** Every file that has the name of a key slot, one at a time. */
export async function* readKeySlots(
  storage: Storage,
): AsyncGenerator<StoredKeySlot, void, undefined> {
  for await (const { name, size, modifiedMs } of storage.list('keys/')) {
    if (!SLOT_NAME.test(name)) continue;
    const length = Math.min(size, KEY_SLOT_SIZE_MAX + 1);
    try {
      yield { name, bytes: await storage.getRange(name, { offset: 0, length }), modifiedMs };
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
    }
  }
}

/** Seals the ring for a credential and stores it under a new name, which is returned. */
export async function addKeySlot(
  storage: Storage,
  options: {
    credential: Credential;
    repositoryId: RepositoryId;
    keyRing: Uint8Array;
    random: Random;
  },
): Promise<string> {
  const { credential, repositoryId, keyRing, random } = options;
  const slot = await sealKeySlot(credential, { repositoryId, salt: random.bytes(32), keyRing });
  const name = `keys/${toHex(random.bytes(16))}`;
  await storage.putIfAbsent(name, slot);
  return name;
}
