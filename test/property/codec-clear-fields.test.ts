/**
 * What somebody without keys sees (T1, F03): of two repositories with equally large, different
 * content, every clear field is equal but salts and check sums; and no plaintext, id, name or text
 * of a record is found anywhere in the bytes.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BLOB_TYPE } from '../../src/blob/blob-type.ts';
import type { FinishedPack } from '../../src/pack/pack-builder.ts';
import { OBJECT_KIND, type ObjectKind } from '../../src/record/object-kind.ts';
import { sealObject } from '../../src/record/sealed-object.ts';
import { encodeSession } from '../../src/record/session-records.ts';
import { concatBytes, encodeU32, encodeUtf8, fromHex, toHex } from '../../src/util/bytes.ts';
import { makeFrame, newPackBuilder, type TestBlob } from '../helpers/pack-making.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { counting, deriveTestKeys, testSession, testWriter } from '../helpers/test-keys.ts';

interface TestRepository {
  pack: FinishedPack;
  blobs: TestBlob[];
  session: Uint8Array;
}

/** Equal sizes for every `salt`, everything else different. */
function makeRepository(salt: number, dataSizes = [3000, 2000, 1000]): TestRepository {
  const random = seededRandom(salt);
  const keys = deriveTestKeys({ repositoryId: salt, rootSecret: salt, dedupSecret: salt });
  const newSalt = (): Uint8Array => random.bytes(32);
  const data = dataSizes.map((size) => ({ type: BLOB_TYPE.data, plaintext: random.bytes(size) }));
  const tree = [{ type: BLOB_TYPE.treePage, plaintext: random.bytes(500) }];
  const builder = newPackBuilder({ keys, newSalt });
  builder.append(makeFrame(data, keys));
  builder.append(makeFrame(tree, keys));
  const payload = encodeSession({
    sessionId: testSession,
    writerId: testWriter,
    startedMs: 1_700_000_000_000 + salt,
    host: `confidential-host-${salt}`,
    program: 'varve 0.1.0',
    purpose: 'snapshot',
  });
  const identity = { kind: OBJECT_KIND.session as ObjectKind, name: `sessions/${testSession}` };
  const session = sealObject(keys, identity, { payload, salt: newSalt });
  return { pack: builder.finish(), blobs: [...data, ...tree], session };
}

/** Every clear field of a pack but salt, header code and check sum. */
function clearFieldsOf(bytes: Uint8Array): Record<string, string | number> {
  const trailer = bytes.subarray(-96);
  return {
    length: bytes.length,
    header: toHex(bytes.subarray(0, 16)),
    headerCopy: toHex(trailer.subarray(0, 16)),
    sizesAndMagic: toHex(trailer.subarray(64, 88)),
  };
}

/** Share of the positions at which two byte strings agree. */
function agreement(a: Uint8Array, b: Uint8Array): number {
  let count = 0;
  for (let i = 0; i < a.length; i++) if (a[i] === b[i]) count += 1;
  return count / a.length;
}

test('packs of equally large content differ in salt and sealed bytes only (T1)', () => {
  const first = makeRepository(1).pack.bytes;
  const second = makeRepository(2).pack.bytes;

  assert.deepEqual(clearFieldsOf(second), clearFieldsOf(first));
  // Sealed bytes agree by chance at 1 of 256 places: no clear field is hidden among them.
  assert(agreement(first.subarray(16, -96), second.subarray(16, -96)) < 0.01);
  assert.equal(agreement(first.subarray(-32, -8), second.subarray(-32, -8)), 1);
});

test('the clear fields of a pack do not tell where its chunks end (F03)', () => {
  const clear = [
    [3000, 2000, 1000],
    [1, 1, 5998],
    [2000, 2000, 2000],
  ].map((sizes) => clearFieldsOf(makeRepository(3, sizes).pack.bytes));

  assert.deepEqual(clear[1], clear[0]);
  assert.deepEqual(clear[2], clear[0]);
});

test('one pack of the same content in two repositories agrees nowhere behind its header', () => {
  const plaintext = new Uint8Array(4000).fill(65);
  const [first, second] = [1, 2].map((salt) => {
    const keys = deriveTestKeys({ repositoryId: salt });
    const builder = newPackBuilder({ keys });
    builder.append(makeFrame([{ type: BLOB_TYPE.data, plaintext }], keys));
    return builder.finish().bytes;
  });
  assert(first !== undefined && second !== undefined);

  assert.equal(first.length, second.length);
  assert(agreement(first.subarray(64, -96), second.subarray(64, -96)) < 0.05);
});

test('no plaintext, id or directory field is found in a pack (T1)', () => {
  const { pack, blobs } = makeRepository(4);
  const sealed = Buffer.from(pack.bytes);
  const needles: [string, Uint8Array][] = [
    ['session id', fromHex(testSession)],
    ['writer id', fromHex(testWriter)],
    ['directory magic', encodeUtf8('VDR1')],
    ['repository id', counting(4)],
  ];
  for (const { plaintext } of blobs) {
    for (let at = 0; at + 6 <= plaintext.length; at += 50) {
      needles.push(['plaintext', plaintext.subarray(at, at + 6)]);
    }
  }
  for (let at = 64; at + 8 <= pack.record.body.length; at += 4) {
    const field = pack.record.body.subarray(at, at + 8);
    if (field.some((byte) => byte !== 0)) needles.push(['directory', field]);
  }
  for (const { plaintext } of blobs) {
    const size = encodeU32(plaintext.length);
    needles.push(['blob size', concatBytes(size, Uint8Array.of(BLOB_TYPE.data, 0, 0, 0))]);
  }

  assert(needles.length > 150);
  for (const [label, needle] of needles) {
    assert.equal(sealed.indexOf(needle), -1, `${label} ${toHex(needle)}`);
  }
});

test('sealed records show their kind, length and nothing of their text (T1)', () => {
  const first = makeRepository(5).session;
  const second = makeRepository(6).session;
  const bytes = Buffer.from(first);

  assert.equal(first.length, second.length);
  assert.equal(toHex(first.subarray(0, 16)), toHex(second.subarray(0, 16)));
  assert(agreement(first.subarray(68), second.subarray(68)) < 0.05);
  for (const text of ['confidential', 'varve', 'schema', 'requires', testSession]) {
    assert.equal(bytes.indexOf(text), -1, text);
  }
});
