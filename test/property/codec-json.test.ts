/** Canonical JSON over any values: one text each way, and no other text for the same value. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  encodeCanonical,
  type JsonObject,
  type JsonValue,
  parseCanonical,
} from '../../src/record/canonical-json.ts';
import { decodeOutsideText, encodeOutsideText } from '../../src/record/record-fields.ts';
import { Malformed } from '../../src/util/byte-reader.ts';
import { decodeUtf8, encodeUtf8, toHex } from '../../src/util/bytes.ts';
import { testSeed } from '../helpers/seeded-random.ts';

const anyKey = fc.stringMatching(/^[a-z][a-z0-9_]{0,10}$/);
const anyText = fc.string({ unit: 'grapheme', maxLength: 20 });
const { anyObject } = fc.letrec<{ anyValue: JsonValue; anyObject: JsonObject }>((tie) => ({
  anyValue: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger().map((value) => (Object.is(value, -0) ? 0 : value)),
    anyText,
    fc.array(tie('anyValue'), { maxLength: 4 }),
    tie('anyObject'),
  ),
  anyObject: fc.dictionary(anyKey, tie('anyValue'), { maxKeys: 5, noNullPrototype: true }),
}));

test('every record comes back from its canonical form, whatever the order of its keys', () => {
  fc.assert(
    fc.property(anyObject, (record) => {
      const bytes = encodeCanonical(record);
      const reversed = Object.fromEntries(Object.entries(record).reverse());

      assert.deepEqual(parseCanonical(bytes), record);
      assert.equal(toHex(encodeCanonical(reversed)), toHex(bytes));
      assert.deepEqual(JSON.parse(decodeUtf8(bytes) as string), record);
    }),
    { seed: testSeed, numRuns: 500 },
  );
});

test('a record with one byte changed, added or removed is refused or is another record', () => {
  fc.assert(
    fc.property(anyObject, fc.nat(), fc.nat(255), fc.nat(2), (record, place, byte, change) => {
      const bytes = encodeCanonical(record);
      const at = place % bytes.length;
      const middle = [
        Uint8Array.of(byte),
        Uint8Array.of(bytes[at] as number, byte),
        new Uint8Array(),
      ];
      const edited = Buffer.concat([
        bytes.subarray(0, at),
        middle[change] as Uint8Array,
        bytes.subarray(at + 1),
      ]);
      if (edited.equals(bytes)) return;
      let parsed: JsonObject;
      try {
        parsed = parseCanonical(edited);
      } catch (error) {
        assert(error instanceof Malformed);
        return;
      }
      assert.notDeepEqual(parsed, record);
    }),
    { seed: testSeed, numRuns: 2000 },
  );
});

test('indented JSON is refused', () => {
  fc.assert(
    fc.property(anyObject, (record) => {
      fc.pre(Object.keys(record).length > 0);
      assert.throws(() => parseCanonical(encodeUtf8(JSON.stringify(record, null, 1))), Malformed);
    }),
    { seed: testSeed, numRuns: 100 },
  );
});

test('text from outside comes back byte for byte, in exactly one form', () => {
  const anyBytes = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.string({ unit: 'binary', maxLength: 20 }).map((text) => encodeUtf8(text)),
  );
  fc.assert(
    fc.property(anyBytes, (bytes) => {
      const encoded = encodeOutsideText('path', bytes);

      assert.equal(toHex(decodeOutsideText(encoded, 'path')), toHex(bytes));
      assert.deepEqual(parseCanonical(encodeCanonical(encoded)), encoded);
      const isText = decodeUtf8(bytes) !== undefined;
      assert.deepEqual(Object.keys(encoded), [isText ? 'path' : 'path_b64']);
    }),
    { seed: testSeed, numRuns: 1000 },
  );
});
