/** The key slots of a repository: finding the one that opens, and writing new ones. */
import { KeyError, NotFoundError } from '../errors.ts';
import type { RepositoryId } from '../id.ts';
import {
  type Credential,
  isPublicSlot,
  KEY_SLOT_SIZE_MAX,
  openKeySlot,
  sealKeySlot,
} from '../keys/key-slot.ts';
import { encodeKeyRing, type KeyRing, parseKeyRing } from '../record/key-ring.ts';
import type { Storage } from '../storage/storage.ts';
import { toHex } from '../util/bytes.ts';
import type { Random } from '../util/random.ts';
import { decodeStored } from './stored-records.ts';

/** More slots than this are not tried: each costs a key derivation. */
const SLOTS_TRIED_MAX = 32;
const SLOT_NAME = /^keys\/[0-9a-f]{32}$/;

/** Asked only when no slot opens without one; undefined when the user has none to give. */
export type AskPassphrase = () => Promise<string | undefined>;

export interface OpenedKeySlot {
  name: string;
  ring: KeyRing;
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
): Promise<OpenedKeySlot> {
  const slots = await readSlots(storage);
  const failures: string[] = [];
  const open = async (credential: Credential): Promise<OpenedKeySlot | undefined> => {
    for (const { name, bytes } of slots) {
      if ((credential.kind === 'none') !== isPublicSlot(bytes)) continue;
      const result = await openKeySlot(bytes, credential, repositoryId);
      if (result.outcome === 'opened') {
        const ring = decodeStored({ kind: 'key slot', which: name }, () =>
          parseKeyRing(result.keyRing),
        );
        return { name, ring };
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
  throw cannotOpen(`wrong passphrase for ${slots.length} key slots`, failures);
}

function cannotOpen(why: string, failures: readonly string[]): KeyError {
  return new KeyError(`Cannot open repository: ${[why, ...failures].join('; ')}`);
}

async function readSlots(storage: Storage): Promise<{ name: string; bytes: Uint8Array }[]> {
  const slots: { name: string; bytes: Uint8Array }[] = [];
  for await (const { name, size } of storage.list('keys/')) {
    if (!SLOT_NAME.test(name) || size > KEY_SLOT_SIZE_MAX) continue;
    if (slots.length === SLOTS_TRIED_MAX) break;
    try {
      slots.push({ name, bytes: await storage.get(name, { sizeMax: KEY_SLOT_SIZE_MAX }) });
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
    }
  }
  return slots;
}

/** Seals the ring for a credential and stores it under a new name, which is returned. */
export async function addKeySlot(
  storage: Storage,
  options: { credential: Credential; ring: KeyRing; random: Random },
): Promise<string> {
  const { credential, ring, random } = options;
  const slot = await sealKeySlot(credential, {
    repositoryId: ring.repositoryId,
    salt: random.bytes(32),
    keyRing: encodeKeyRing(ring),
  });
  const name = `keys/${toHex(random.bytes(16))}`;
  await storage.putIfAbsent(name, slot);
  return name;
}
