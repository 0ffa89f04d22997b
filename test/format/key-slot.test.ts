/** Key slots byte by byte: what opens, what is wrong, what is another's, what is damaged. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RepositoryId } from '../../src/id.ts';
import {
  type Credential,
  isPublicSlot,
  KEY_SLOT_SIZE_MAX,
  openKeySlot,
  sealKeySlot,
} from '../../src/keys/key-slot.ts';
import { concatBytes, encodeU32, encodeUtf8, fromHex, toHex } from '../../src/util/bytes.ts';
import { counting } from '../helpers/test-keys.ts';
import { readVectors } from '../helpers/vectors.ts';

const vectors = readVectors('format-vectors.json') as {
  key_slot: { passphrase: string; file: string; ring: string };
};
const repositoryId = counting(0x40) as RepositoryId;
const salt = counting(0xa0);
const keyRing = encodeUtf8(vectors.key_slot.ring);
const cost = { log2N: 15, r: 8, p: 1 };
const right = passphrase(vectors.key_slot.passphrase);
const golden = fromHex(vectors.key_slot.file);
const publicSlot = await sealKeySlot({ kind: 'none' }, { repositoryId, salt, keyRing });

function passphrase(text: string): Credential {
  return { kind: 'passphrase', passphrase: text };
}

function changed(slot: Uint8Array, offset: number, bytes: ArrayLike<number>): Uint8Array {
  const copy = new Uint8Array(slot);
  copy.set(bytes, offset);
  return copy;
}

function flipped(slot: Uint8Array, offset: number): Uint8Array {
  return changed(slot, offset, [(slot[offset] as number) ^ 1]);
}

async function outcomeOf(slot: Uint8Array, credential: Credential = right): Promise<string> {
  const { outcome } = await openKeySlot(slot, credential, repositoryId);
  return outcome;
}

test('openKeySlot() tells a wrong passphrase from a damaged slot', async () => {
  const opened = await openKeySlot(golden, right, repositoryId);

  assert.equal(opened.outcome, 'opened');
  assert.equal(opened.outcome === 'opened' && toHex(opened.keyRing), toHex(keyRing));
  assert.equal(await outcomeOf(golden, passphrase('wrong')), 'wrong');
  assert.equal(await outcomeOf(golden, passphrase('')), 'wrong');
  assert.equal(await outcomeOf(golden, passphrase('correct horse ')), 'wrong');
  assert.equal(await outcomeOf(flipped(golden, 160)), 'damaged');
  assert.equal(await outcomeOf(flipped(golden, golden.length - 1)), 'damaged');
});

test('openKeySlot() refuses whatever the commitment covers as a wrong passphrase', async () => {
  // Cost, salt and the commitment itself; nothing tells these from another passphrase.
  for (const slot of [
    changed(golden, 12, [16]),
    changed(golden, 16, [4]),
    changed(golden, 20, [2]),
    flipped(golden, 64),
    flipped(golden, 95),
    flipped(golden, 96),
    flipped(golden, 127),
  ]) {
    assert.equal(await outcomeOf(slot), 'wrong');
  }
});

test('openKeySlot() passes over slots of other repositories and kinds', async () => {
  const other = counting(0x41) as RepositoryId;
  const outcomes = await Promise.all([
    openKeySlot(golden, right, other),
    openKeySlot(flipped(golden, 40), right, repositoryId),
    openKeySlot(golden, { kind: 'none' }, repositoryId),
    openKeySlot(publicSlot, right, repositoryId),
    openKeySlot(changed(golden, 10, [1]), right, repositoryId), // pepper
    openKeySlot(changed(golden, 9, [2]), right, repositoryId), // argon2id
    openKeySlot(changed(golden, 9, [3]), right, repositoryId), // key file
    openKeySlot(changed(golden, 9, [4]), right, repositoryId), // X25519
  ]);

  assert.deepEqual(
    outcomes.map(({ outcome }) => outcome),
    new Array(8).fill('other'),
  );
});

test('openKeySlot() checks every bound before any work is done', async () => {
  const u32 = (value: number): Uint8Array => encodeU32(value);
  const damaged: [string, Uint8Array][] = [
    ['version 0', changed(golden, 8, [0])],
    ['version 2', changed(golden, 8, [2])],
    ['kdf 5', changed(golden, 9, [5])],
    ['kdf 9', changed(golden, 9, [9])],
    ['no kdf with a cost', changed(golden, 9, [0])],
    ['flag 2', changed(golden, 10, [2])],
    ['flag 256', changed(golden, 11, [1])],
    ['log2 N 0', changed(golden, 12, [0])],
    ['log2 N 14', changed(golden, 12, [14])],
    ['log2 N 23', changed(golden, 12, [23])],
    ['log2 N 23 with r 1', changed(golden, 12, [23, 0, 0, 0, 1])],
    ['log2 N 40', changed(golden, 12, [40])],
    ['log2 N 2^32 - 1', changed(golden, 12, u32(2 ** 32 - 1))],
    ['r 0', changed(golden, 16, [0])],
    ['r 33', changed(golden, 16, [33])],
    ['r 2^31', changed(golden, 16, u32(2 ** 31))],
    ['p 0', changed(golden, 20, [0])],
    ['p 17', changed(golden, 20, [17])],
    ['4 GiB', changed(changed(golden, 12, [22]), 16, [8])],
    ['16 GiB', changed(changed(golden, 12, [22]), 16, [32])],
    ['wrapped 0', changed(golden, 24, u32(0))],
    ['wrapped 16', changed(golden, 24, u32(16)).subarray(0, 176)],
    ['wrapped one less', changed(golden, 24, [(golden[24] as number) - 1])],
    ['wrapped one more', changed(golden, 24, [(golden[24] as number) + 1])],
    [
      'wrapped 65,537',
      concatBytes(changed(golden, 24, u32(65_537)).subarray(0, 160), new Uint8Array(65_537)),
    ],
    ['file too large', concatBytes(golden, new Uint8Array(KEY_SLOT_SIZE_MAX))],
    ['byte behind', concatBytes(golden, new Uint8Array(1))],
  ];
  for (let offset = 0; offset < 8; offset++) {
    damaged.push([`magic ${offset}`, flipped(golden, offset)]);
  }
  for (const offset of [28, 31, 128, 159]) {
    damaged.push([`reserved ${offset}`, changed(golden, offset, [1])]);
  }
  for (let size = 0; size < golden.length; size++) {
    damaged.push([`cut to ${size}`, golden.subarray(0, size)]);
  }

  // With a wrong passphrase, so that no later step can be the one that calls it damaged.
  for (const [label, slot] of damaged) {
    assert.equal(await outcomeOf(slot, passphrase('wrong')), 'damaged', label);
  }
});

test('openKeySlot() takes the largest slot', async () => {
  const ring = new Uint8Array(65_536 - 16).fill(7);
  const slot = await sealKeySlot({ kind: 'none' }, { repositoryId, salt, keyRing: ring });

  const opened = await openKeySlot(slot, { kind: 'none' }, repositoryId);

  assert.equal(opened.outcome === 'opened' && opened.keyRing.length, ring.length);
});

test('a slot without password opens with nothing, and finds the same damage', async () => {
  const none: Credential = { kind: 'none' };
  const opened = await openKeySlot(publicSlot, none, repositoryId);

  assert.equal(opened.outcome === 'opened' && toHex(opened.keyRing), toHex(keyRing));
  assert.equal(isPublicSlot(publicSlot), true);
  assert.equal(isPublicSlot(golden), false);
  assert.equal(isPublicSlot(new Uint8Array(0)), false);
  for (let offset = 0; offset < publicSlot.length; offset++) {
    const outcome = await outcomeOf(flipped(publicSlot, offset), none);
    assert.equal(outcome, publicOutcomeAt(offset), `byte ${offset}`);
  }
});

/** How a public slot ends whose lowest bit flipped at `offset`. */
function publicOutcomeAt(offset: number): string {
  const isRepositoryId = offset >= 32 && offset < 64;
  const isPepperFlag = offset === 10;
  if (isRepositoryId || isPepperFlag) return 'other';
  if (offset >= 64 && offset < 128) return 'wrong';
  return 'damaged';
}

test('passphrases are equal in every Unicode form', async () => {
  const composed = 'Caf\u00e9 \u212b';
  const decomposed = 'Cafe\u0301 A\u030a';
  const slot = await sealKeySlot(passphrase(decomposed), { repositoryId, salt, keyRing, cost });

  assert.notEqual(composed, decomposed);
  assert.equal(await outcomeOf(slot, passphrase(composed)), 'opened');
  assert.equal(await outcomeOf(slot, passphrase(decomposed)), 'opened');
  assert.equal(await outcomeOf(slot, passphrase('Cafe A')), 'wrong');
});

test('two slots of one passphrase share no bytes but the clear header', async () => {
  const again = await sealKeySlot(right, { repositoryId, salt: counting(0xa1), keyRing, cost });

  assert.equal(toHex(again.subarray(0, 64)), toHex(golden.subarray(0, 64)));
  assert.notEqual(toHex(again.subarray(96, 128)), toHex(golden.subarray(96, 128)));
  assert.notEqual(toHex(again.subarray(160, 192)), toHex(golden.subarray(160, 192)));
  assert.equal(await outcomeOf(again), 'opened');
});
