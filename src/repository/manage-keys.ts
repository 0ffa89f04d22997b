/**
 * The key slots of an open repository: which there are, one more, one less, another passphrase.
 *
 * - A slot counts as added only when it was read back from storage and opened.
 * - A passphrase is changed by adding a slot and then deleting the old one, so a process that stops
 *   anywhere leaves at least one slot that opens.
 * - The last slot that this program can open is never deleted. Two processes might each delete what
 *   the other one counts on; so whoever deletes looks again, and puts back what must not be missing.
 * - A new slot gets the ring of the slot in use. If that slot is gone, another process has changed
 *   the keys meanwhile and the ring may be an old one: then nothing is added.
 */
import { BusyError, CorruptionError, NotFoundError, StorageError } from '../errors.ts';
import {
  type Credential,
  describeKeySlot,
  KEY_SLOT_SIZE_MAX,
  openKeySlot,
  type SlotDescription,
} from '../keys/key-slot.ts';
import { equalBytes } from '../util/bytes.ts';
import { pass } from './failpoints.ts';
import {
  addKeySlot,
  KEY_SLOT_COUNT_MAX,
  type OpenedKeySlot,
  readKeySlots,
  type StoredKeySlot,
} from './key-slots.ts';
import { demandWritable } from './open-repository.ts';
import type { Repository } from './repository.ts';

const ID_PREFIX_LENGTH_MIN = 4;

/**
 * What opens it: a passphrase or nothing. This program cannot open one that is `unknown` (of a later
 * version), `foreign` (of another repository) or `damaged`.
 */
export type KeySlotKind = 'passphrase' | 'none' | 'unknown' | 'foreign' | 'damaged';

export interface KeySlot {
  /** 32 hex digits. */
  id: string;
  kind: KeySlotKind;
  /** What is unknown or damaged. */
  found?: string;
  /** When its file was written, by the clock of the storage; a copy may say something else. */
  createdMs: number;
  /** It opened the repository this time. */
  isInUse: boolean;
}

/** Oldest first. */
export async function listKeySlots(repository: Repository): Promise<KeySlot[]> {
  const slots: KeySlot[] = [];
  for await (const stored of readKeySlots(repository.storage)) {
    const { name, bytes, modifiedMs } = stored;
    const { keySlot } = repository;
    slots.push({
      id: name.slice('keys/'.length),
      ...(await describe(repository, stored)),
      createdMs: Math.floor(modifiedMs),
      isInUse: name === keySlot.name && equalBytes(bytes, keySlot.bytes),
    });
  }
  return slots.sort((a, b) => a.createdMs - b.createdMs || (a.id < b.id ? -1 : 1));
}

async function describe({ id }: Repository, { bytes }: StoredKeySlot): Promise<SlotDescription> {
  const description = describeKeySlot(bytes, id);
  if (description.kind !== 'none') return description;
  // What opens without a passphrase can be tried at once.
  const { outcome } = await openKeySlot(bytes, { kind: 'none' }, id);
  if (outcome === 'opened') return description;
  const part = outcome === 'wrong' ? 'commitment' : 'key ring';
  return { kind: 'damaged', found: `its ${part} does not verify` };
}

/** @returns the id of the new slot. */
export async function addKey(repository: Repository, credential: Credential): Promise<string> {
  demandWritable(repository);
  const { name } = await addVerified(repository, credential);
  return idOf(name);
}

/**
 * @param id or a unique prefix of it.
 * @returns the slot that was removed.
 */
export async function removeKey(repository: Repository, id: string): Promise<KeySlot> {
  demandWritable(repository);
  const slot = selectKeySlot(await listKeySlots(repository), id);
  await deleteSlot(repository, slot);
  return slot;
}

/** @returns the ids of the slot that opens from now on, and of the one that does no more. */
export async function changePassphrase(
  repository: Repository,
  passphrase: string,
): Promise<{ id: string; removedId: string }> {
  demandWritable(repository);
  const added = await addVerified(repository, { kind: 'passphrase', passphrase });
  const removedId = idOf(repository.keySlot.name);
  await deleteSlot(repository, { id: removedId, isInUse: true });
  repository.keySlot = added;
  return { id: idOf(added.name), removedId };
}

/** `keys/` may stand before the id, as `init` prints it. @throws NotFoundError */
export function selectKeySlot(slots: readonly KeySlot[], text: string): KeySlot {
  const prefix = text.replace(/^keys\//, '');
  const isPrefix = prefix.length >= ID_PREFIX_LENGTH_MIN && /^[0-9a-f]+$/.test(prefix);
  const [slot, ...others] = slots.filter(({ id }) => isPrefix && id.startsWith(prefix));
  if (slot !== undefined && others.length === 0) return slot;
  const found =
    slot === undefined
      ? `none of ${slots.length} match`
      : `it begins ${others.length + 1} ids (${[slot, ...others].map(({ id }) => id).join(', ')})`;
  throw new NotFoundError('key slot', text, `Cannot choose key slot "${text}": ${found}`);
}

async function addVerified(repository: Repository, credential: Credential): Promise<OpenedKeySlot> {
  const { storage, random, id: repositoryId, keySlot } = repository;
  await refuseTooMany(repository);
  await pass('key.before-add');
  const { keyRing } = keySlot;
  const name = await addKeySlot(storage, { credential, repositoryId, keyRing, random });
  await pass('key.after-add');
  try {
    const bytes = await storage.get(name, { sizeMax: KEY_SLOT_SIZE_MAX });
    const result = await openKeySlot(bytes, credential, repositoryId);
    if (result.outcome !== 'opened' || !equalBytes(result.keyRing, keyRing)) {
      const found = result.outcome === 'opened' ? 'another key ring' : result.outcome;
      const expected = 'what was just written';
      throw new CorruptionError({ kind: 'key slot', which: name, found, expected });
    }
    if (!(await isThere(repository, keySlot))) throw changedError(keySlot.name);
    return { name, bytes, keyRing };
  } catch (error) {
    await storage.delete(name).catch(() => {});
    throw error;
  }
}

/** One more than are tried might never be the one that opens. */
async function refuseTooMany({ storage }: Repository): Promise<void> {
  let count = 0;
  for await (const _ of readKeySlots(storage)) count += 1;
  if (count < KEY_SLOT_COUNT_MAX) return;
  const found = `there are ${count}, expected fewer than ${KEY_SLOT_COUNT_MAX}`;
  throw new StorageError('add a key slot below', 'keys/', found);
}

async function isThere({ storage }: Repository, { name, bytes }: OpenedKeySlot): Promise<boolean> {
  try {
    return equalBytes(await storage.get(name, { sizeMax: KEY_SLOT_SIZE_MAX }), bytes);
  } catch (error) {
    if (error instanceof NotFoundError || error instanceof CorruptionError) return false;
    throw error;
  }
}

/** @throws NotFoundError, BusyError and deletes nothing where no slot would be left that opens. */
async function deleteSlot(
  repository: Repository,
  slot: Pick<KeySlot, 'id' | 'isInUse'>,
): Promise<void> {
  const { storage } = repository;
  const name = `keys/${slot.id}`;
  const before = await listKeySlots(repository);
  if (!isOpenWithout(slot, before)) {
    if (!slot.isInUse) throw changedError(repository.keySlot.name);
    const found = 'there is no other one that this program can open, expected one';
    const message = `Cannot remove key slot "${slot.id}": ${found}`;
    throw new NotFoundError('other key slot', slot.id, message);
  }
  const isOpenable = before.some((other) => other.id === slot.id && canOpen(other));
  const bytes = isOpenable ? await storage.get(name, { sizeMax: KEY_SLOT_SIZE_MAX }) : undefined;
  await pass('key.before-delete');
  await storage.delete(name);
  await pass('key.after-delete');
  if (!isOpenWithout(slot, await listKeySlots(repository))) {
    if (bytes !== undefined) await storage.putIfAbsent(name, bytes);
    throw changedError(name);
  }
  await storage.sync();
}

/**
 * Whether the repository still opens when the slot is gone. The slot in use is known to open; that
 * another one does is only what it says itself, so it suffices only where the slot in use goes.
 */
function isOpenWithout(slot: Pick<KeySlot, 'id' | 'isInUse'>, slots: readonly KeySlot[]): boolean {
  return slots.some(
    (other) => other.id !== slot.id && (slot.isInUse ? canOpen(other) : other.isInUse),
  );
}

function canOpen({ kind }: KeySlot): boolean {
  return kind === 'passphrase' || kind === 'none';
}

function changedError(name: string): BusyError {
  const found = 'another process has changed them since this repository was opened';
  return new BusyError(name, `Cannot change key slots: ${found}`);
}

function idOf(name: string): string {
  return name.slice('keys/'.length);
}
