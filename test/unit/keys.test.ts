/** The AEAD wrapper, the key hierarchy and the salts: what must differ differs, tags are whole. */
import assert from 'node:assert/strict';
import { createCipheriv, createDecipheriv } from 'node:crypto';
import { test } from 'node:test';
import { blake3 } from '@noble/hashes/blake3.js';
import { createKeyedHasher, createPortableHasher } from '../../src/blob/keyed-hasher.ts';
import type { RepositoryId } from '../../src/id.ts';
import { openAead, sealAead } from '../../src/keys/aead.ts';
import { deriveKey, keyedHash } from '../../src/keys/blake3.ts';
import {
  deriveKeys,
  deriveObjectKey,
  deriveSalt,
  type RepositoryKeys,
  type SaltHedge,
} from '../../src/keys/key-hierarchy.ts';
import { createSaltSource } from '../../src/keys/salt-source.ts';
import { concatBytes, encodeUtf8, fromHex, toHex } from '../../src/util/bytes.ts';
import type { Clock } from '../../src/util/clock.ts';
import { assertRefused, forEachBitFlip, forEachCut } from '../helpers/damaged-bytes.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { counting, deriveTestKeys, testKeys, testSalt } from '../helpers/test-keys.ts';

const key = counting(0x10);
const nonce = { domain: 2, counter: 0x0102030405 };
const aad = Uint8Array.of(9, 8, 7);
const plaintext = encodeUtf8('attack at dawn');

test('sealAead() is AES-256-GCM with nonce domain || counter, little-endian (I12)', () => {
  const iv = fromHex('02000000' + '0504030201000000');
  const cipher = createCipheriv('aes-256-gcm', key, iv);
  cipher.setAAD(aad);
  const expected = concatBytes(cipher.update(plaintext), cipher.final(), cipher.getAuthTag());

  const sealed = sealAead(key, nonce, { aad, plaintext });

  assert.equal(toHex(sealed), toHex(expected));
  assert.equal(toHex(openAead(key, nonce, { aad, sealed })), toHex(plaintext));
});

test('sealAead() seals nothing to a tag alone', () => {
  const sealed = sealAead(key, nonce, { aad, plaintext: new Uint8Array(0) });

  assert.equal(sealed.length, 16);
  assert.deepEqual(openAead(key, nonce, { aad, sealed }), new Uint8Array(0));
});

test('openAead() refuses every changed bit, cut and context', () => {
  const sealed = sealAead(key, nonce, { aad, plaintext });
  const open = (bytes: Uint8Array, change: Partial<typeof nonce> = {}): Uint8Array =>
    openAead(key, { ...nonce, ...change }, { aad, sealed: bytes });

  forEachBitFlip(sealed, (flipped) => assertRefused(() => open(flipped), /tag does not match/));
  forEachCut(sealed, (cut) => assertRefused(() => open(cut), /tag/));
  forEachBitFlip(aad, (flipped) =>
    assertRefused(() => openAead(key, nonce, { aad: flipped, sealed }), /tag does not match/),
  );
  forEachBitFlip(key, (flipped) =>
    assertRefused(() => openAead(flipped, nonce, { aad, sealed }), /tag does not match/),
  );
  for (let bit = 0; bit < 53; bit++) {
    const counter = Number(BigInt(nonce.counter) ^ (1n << BigInt(bit)));
    assertRefused(() => open(sealed, { counter }), /tag does not match/);
  }
  for (let bit = 0; bit < 32; bit++) {
    assertRefused(() => open(sealed, { domain: (nonce.domain ^ (1 << bit)) >>> 0 }), /tag/);
  }
});

test('openAead() never takes a short tag, which Node would (I13)', () => {
  const sealed = sealAead(key, nonce, { aad, plaintext });
  const iv = fromHex('02000000' + '0504030201000000');
  const ciphertext = sealed.subarray(0, plaintext.length);
  const tag = sealed.subarray(plaintext.length);

  for (const size of [4, 8, 12, 13, 14, 15]) {
    const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: size });
    decipher.setAAD(aad);
    decipher.setAuthTag(tag.subarray(0, size));
    decipher.update(ciphertext);
    decipher.final(); // Node is content

    const short = concatBytes(ciphertext, tag.subarray(0, size));
    assertRefused(() => openAead(key, nonce, { aad, sealed: short }), /tag does not match/);
  }
});

test('keyedHash() and deriveKey() are BLAKE3 under the names of the format', () => {
  const message = encodeUtf8('ab');
  const context = encodeUtf8('varve 2026-11-20 format 1 enc data');

  assert.equal(toHex(keyedHash(key, message)), toHex(blake3(message, { key })));
  assert.equal(
    toHex(keyedHash(key, encodeUtf8('a'), encodeUtf8('b'))),
    toHex(keyedHash(key, message)),
  );
  assert.equal(toHex(deriveKey('enc data', message)), toHex(blake3(message, { context })));
  // Published BLAKE3 test vector: keyed hash of nothing.
  assert.equal(
    toHex(keyedHash(encodeUtf8('whats the Elvish word for friend'))),
    '92b2b75604ed3c761f9d6f62392c8a9227ad0ea3f09573e783f1498a4ed60d26',
  );
});

test('native and portable BLAKE3 agree for every length near a boundary (I17)', () => {
  const native = createKeyedHasher(key);
  const portable = createPortableHasher(key);
  const data = seededRandom().bytes(140_000);
  const sizes = [...Array(260).keys()];
  for (let power = 512; power <= 131_072; power *= 2) {
    for (const step of [-65, -64, -1, 0, 1, 64]) sizes.push(power + step);
  }

  for (const size of sizes) {
    const message = data.subarray(3, 3 + size); // not aligned
    assert.equal(toHex(native(message)), toHex(portable(message)), `${size} bytes`);
  }
  const before = native(data.subarray(0, 10));
  assert.equal(before.constructor, Uint8Array);
  native(data);
  assert.equal(toHex(before), toHex(portable(data.subarray(0, 10))), 'digests are not shared');
});

test('deriveKeys() gives no key twice', () => {
  const all = (keys: RepositoryKeys): string[] =>
    [
      ...keys.current.encryption,
      keys.current.headerMac,
      keys.current.saltHedge,
      ...keys.blobId.slice(1),
      keys.chunker,
      keys.treePage,
      keys.linkGroup,
    ].map(toHex);
  const own = all(testKeys);
  const generation = own.slice(0, 5);

  assert.equal(new Set(own).size, 12);
  const rotated = all(deriveTestKeys({ rootSecret: 1 }));
  assert.deepEqual(rotated.slice(5), own.slice(5), 'rotation keeps ids');
  assert.equal(new Set([...rotated, ...generation]).size, 17);
  const moved = all(deriveTestKeys({ repositoryId: 0x41 }));
  assert.equal(new Set([...moved.slice(0, 5), ...generation]).size, 10);
  const other = all(deriveTestKeys({ dedupSecret: 0x21 }));
  assert.equal(new Set([...other.slice(5), ...own.slice(5)]).size, 14);
});

test('deriveKeys() keeps old generations and demands the current one', () => {
  const material = {
    repositoryId: counting(0x40) as RepositoryId,
    dedupSecret: counting(0x20),
    generations: [
      { number: 0, rootSecret: counting(0) },
      { number: 7, rootSecret: counting(1) },
    ],
    current: 7,
  };

  const keys = deriveKeys(material);

  assert.equal(keys.current.number, 7);
  assert.deepEqual(keys.generations.get(0), testKeys.current);
  assert.throws(() => deriveKeys({ ...material, current: 1 }), RangeError);
});

test('deriveObjectKey() separates class, label, kind, repository and salt', () => {
  const kinds = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
  const labels = ['frame', 'directory', 'object'] as const;
  const inputs = kinds.flatMap((kind) =>
    labels.flatMap((label) =>
      ([0, 1, 2] as const).flatMap((keyClass) =>
        [testSalt, counting(0x61)].map((salt) => ({ class: keyClass, label, kind, salt })),
      ),
    ),
  );
  const derived = new Set<string>();
  for (const generation of [testKeys.current, deriveTestKeys({ rootSecret: 1 }).current]) {
    for (const repositoryId of [counting(0x40), counting(0x41)] as RepositoryId[]) {
      for (const input of inputs) {
        derived.add(toHex(deriveObjectKey(repositoryId, generation, input)));
      }
    }
  }

  assert.equal(derived.size, 2 * 2 * inputs.length);
  assert.equal(inputs.length, 10 * 3 * 3 * 2);
});

const hedge: SaltHedge = {
  random: new Uint8Array(32),
  writerId: counting(0x90, 16),
  bootId: new Uint8Array(16),
  processId: 1,
  monotonicNs: 1n,
  counter: 1,
  contentHash: new Uint8Array(32),
};

test('deriveSalt() depends on every hedge, and repeats only if all repeat (T16)', () => {
  const changes: Partial<SaltHedge>[] = [
    { random: counting(1) },
    { writerId: counting(0x91, 16) },
    { bootId: counting(1, 16) },
    { processId: 2 },
    { monotonicNs: 2n },
    { counter: 2 },
    { contentHash: counting(1) },
  ];
  const { current } = testKeys;
  const salts = changes.map((change) => toHex(deriveSalt(current, { ...hedge, ...change })));
  salts.push(toHex(deriveSalt(current, hedge)));
  salts.push(toHex(deriveSalt(deriveTestKeys({ rootSecret: 1 }).current, hedge)));

  assert.equal(new Set(salts).size, changes.length + 2);
  assert.equal(toHex(deriveSalt(current, { ...hedge })), salts.at(-2));
});

/** A clock that gives these times, one after the other, and then the last one for ever. */
function clockOf(...times: bigint[]): Clock {
  let i = 0;
  const next = (): bigint => times[Math.min(i++, times.length - 1)] as bigint;
  return { nowNs: () => 0n, monotonicNs: next };
}

const brokenRandom = { bytes: (size: number) => new Uint8Array(size) };

test('createSaltSource() never repeats although random source and clock stand still (T16, F05)', () => {
  const writerId = counting(0x90, 16);
  const options = { writerId, random: brokenRandom, clock: clockOf(5n) };
  const content = encodeUtf8('the same content');
  const newSalt = createSaltSource(testKeys.current, options);

  const salts = Array.from({ length: 1000 }, () => toHex(newSalt(content)));

  assert.equal(new Set(salts).size, 1000);
});

test('a cloned process draws other salts by its clock, its writer id or its content (T16)', () => {
  const writerId = counting(0x90, 16);
  const content = encodeUtf8('content');
  const draw = (
    change: { writerId?: Uint8Array; clock?: Clock; content?: Uint8Array } = {},
  ): string[] => {
    const { clock = clockOf(5n) } = change;
    const source = createSaltSource(testKeys.current, {
      writerId: change.writerId ?? writerId,
      random: brokenRandom,
      clock,
    });
    return Array.from({ length: 20 }, () => toHex(source(change.content ?? content)));
  };
  const original = draw();

  const clones = [
    draw({ clock: clockOf(6n) }),
    draw({ writerId: counting(0x91, 16) }),
    draw({ content: encodeUtf8('Content') }),
  ];

  for (const clone of clones) assert.equal(new Set([...original, ...clone]).size, 40);
  assert.deepEqual(draw(), original, 'nothing else was left to tell them apart');
});

test('createSaltSource() hashes the first 64 KiB of content', () => {
  const writerId = counting(0x90, 16);
  const draw = (content: Uint8Array): string =>
    toHex(
      createSaltSource(testKeys.current, { writerId, random: brokenRandom, clock: clockOf(5n) })(
        content,
      ),
    );
  const content = new Uint8Array(65_537);
  const changedInside = new Uint8Array(65_537);
  const changedBehind = new Uint8Array(65_537);
  changedInside[65_535] = 1;
  changedBehind[65_536] = 1;

  assert.notEqual(draw(changedInside), draw(content));
  assert.equal(draw(changedBehind), draw(content));
});
