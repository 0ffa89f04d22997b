/** Canonical JSON and the typed fields of records: one text per value, everything else refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  encodeCanonical,
  type JsonValue,
  parseCanonical,
} from '../../src/record/canonical-json.ts';
import {
  booleanField,
  bytesField,
  decimalField,
  decodeOutsideText,
  encodeOutsideText,
  hexField,
  hexListField,
  integerField,
  listField,
  objectField,
  objectListField,
  textField,
  textListField,
} from '../../src/record/record-fields.ts';
import { concatBytes, encodeUtf8, toHex } from '../../src/util/bytes.ts';
import { assertRefused } from '../helpers/damaged-bytes.ts';

function canonicalText(value: JsonValue): string {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(encodeCanonical(value));
}

/** `depth` objects inside one another, the innermost empty. */
function nestObjects(depth: number): string {
  return `${'{"a":'.repeat(depth - 1)}{}${'}'.repeat(depth - 1)}`;
}

test('encodeCanonical() sorts keys by bytes and writes no white space', () => {
  const value = { b: [1, { d: null, c: true }], a_b: 'x', a1: -5, a: 'y' };

  assert.equal(canonicalText(value), '{"a":"y","a1":-5,"a_b":"x","b":[1,{"c":true,"d":null}]}');
});

test('encodeCanonical() escapes as JSON.stringify does and nothing else', () => {
  const text = '"\\\b\f\n\r\t\u0000\u001f\u007f\u2028é😀/\ufeff';

  assert.equal(canonicalText(text), '"\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f\u007f\u2028é😀/\ufeff"');
});

test('parseCanonical() accepts what is canonical', () => {
  const texts = [
    '{}',
    '{"a":[],"b":{}}',
    '{"a":9007199254740991,"b":-9007199254740991,"c":0}',
    '{"a":"\\u0000\\n","b":"é😀"}',
    '{"later":[1,null,"x"],"requires":[],"schema":"varve.tomb/1"}',
    `{"${'a'.repeat(64)}":1}`,
    '{"a":1,"a0":2,"a_":3,"aa":4}',
  ];

  for (const text of texts) assert.equal(canonicalText(parseCanonical(encodeUtf8(text))), text);
});

test('parseCanonical() refuses every other way to write a record (F09)', () => {
  const texts: Record<string, string> = {
    'key __proto__': '{"__proto__":1}',
    'key of capitals': '{"A":1}',
    'key of digits': '{"1":1}',
    'empty key': '{"":1}',
    'key too long': `{"${'a'.repeat(65)}":1}`,
    'key with a dash': '{"a-b":1}',
    'escaped key': '{"\\u0061":1}',
    'duplicate key': '{"a":1,"a":1}',
    'key order': '{"b":1,"a":2}',
    'key order below': '{"a":{"c":1,"b":2}}',
    'space after a comma': '{"a":1, "b":2}',
    'space after a colon': '{"a": 1}',
    'space in front': ' {"a":1}',
    'line feed behind': '{"a":1}\n',
    fraction: '{"a":1.5}',
    'whole fraction': '{"a":1.0}',
    exponent: '{"a":1e3}',
    'minus zero': '{"a":-0}',
    'plus sign': '{"a":+1}',
    'leading zero': '{"a":01}',
    'unsafe integer': '{"a":9007199254740992}',
    'unsafe odd integer': '{"a":9007199254740993}',
    'huge integer': '{"a":1e999}',
    'byte order mark': '\ufeff{"a":1}',
    'needless escape': '{"a":"\\u0041"}',
    'escaped slash': '{"a":"\\/"}',
    'escape in capitals': '{"a":"\\u001F"}',
    'long escape for a line feed': '{"a":"\\u000a"}',
    'escaped letter': '{"a":"\\u00e9"}',
    'lone surrogate': '{"a":"\\ud800"}',
    'surrogates the wrong way round': '{"a":"\\udc00\\ud800"}',
    'escaped surrogate pair': '{"a":"\\ud83d\\ude00"}',
    'raw control character': '{"a":"\u0001"}',
    'single quotes': "{'a':1}",
    'trailing comma': '{"a":1,}',
    comment: '{"a":1/**/}',
    'second value': '{"a":1}{"a":1}',
    'cut short': '{"a":1',
    empty: '',
    list: '[]',
    text: '"a"',
    number: '1',
    null: 'null',
    NaN: '{"a":NaN}',
    'too deep': nestObjects(17),
    'very deep': nestObjects(100_000),
    'very deep lists': `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
    'unclosed lists': `{"a":${'['.repeat(100_000)}`,
    'string too long': `{"a":"${'x'.repeat(2 ** 20 + 1)}"}`,
    'list too long': `{"a":[${'0,'.repeat(2 ** 20)}0]}`,
  };

  for (const [label, text] of Object.entries(texts)) {
    assertRefused(() => parseCanonical(encodeUtf8(text)), label);
  }
});

test('parseCanonical() refuses bytes that are not UTF-8', () => {
  const inString = (...bytes: number[]): Uint8Array =>
    concatBytes(encodeUtf8('{"a":"'), Uint8Array.from(bytes), encodeUtf8('"}'));
  const wrong = [
    [0xff],
    [0xc3],
    [0xc0, 0x80],
    [0xed, 0xa0, 0x80],
    [0xf4, 0x90, 0x80, 0x80],
    [0xe2, 0x82],
  ];

  assert.equal(parseCanonical(inString(0xc3, 0xa9))['a'], 'é');
  for (const bytes of wrong) assertRefused(() => parseCanonical(inString(...bytes)), /not UTF-8/);
});

test('canonical JSON keeps to its limits on the way out too', () => {
  const longest = 'é'.repeat(2 ** 19);
  const nested = JSON.parse(nestObjects(16));

  assert.deepEqual(parseCanonical(encodeCanonical({ a: longest })), { a: longest });
  assert.deepEqual(parseCanonical(encodeCanonical(nested)), nested);
  assert.equal(encodeCanonical({ a: new Array(2 ** 20).fill(0) }).length, 2 ** 21 + 7);
  const wrong: [RegExp, JsonValue][] = [
    [/string too long/, { a: `${longest}x` }],
    [/array too long/, { a: new Array(2 ** 20 + 1).fill(0) }],
    [/nested too deeply/, JSON.parse(nestObjects(17))],
    [/safe integer/, { a: 0.5 }],
    [/safe integer/, { a: 2 ** 53 }],
    [/safe integer/, { a: Number.NaN }],
    [/safe integer/, { a: Number.POSITIVE_INFINITY }],
    [/safe integer/, { a: -0 }],
    [/not well-formed/, { a: '\ud800' }],
    [/not well-formed/, { a: 'x\udc00' }],
    [/object key/, { 'A B': 1 }],
  ];
  for (const [message, value] of wrong) assertRefused(() => encodeCanonical(value), message);
});

test('field readers demand type and range, and name the field', () => {
  const record = {
    text: 'x',
    number: 5,
    flag: false,
    hex: '00ff',
    list: [1],
    object: {},
    empty: '',
    negative: -1,
    capitals: '00FF',
    decimal: '-170141183460469231731687303715884105728',
    hexes: ['00ff', '0100'],
    nothing: null,
  };

  assert.equal(textField(record, 'text'), 'x');
  assert.equal(textField(record, 'empty'), '');
  assert.equal(integerField(record, 'number'), 5);
  assert.equal(integerField(record, 'number', 5), 5);
  assert.equal(integerField(record, 'negative', -1), -1);
  assert.equal(booleanField(record, 'flag'), false);
  assert.equal(hexField(record, 'hex', 2), '00ff');
  assert.deepEqual(bytesField(record, 'hex', 2), Uint8Array.of(0, 255));
  assert.equal(decimalField(record, 'decimal'), -(2n ** 127n));
  assert.deepEqual(listField(record, 'list'), [1]);
  assert.deepEqual(objectField(record, 'object'), {});
  assert.deepEqual(hexListField(record, 'hexes', 2), ['00ff', '0100']);
  assert.deepEqual(textListField(record, 'hexes'), ['00ff', '0100']);
  const wrong: [RegExp, () => unknown][] = [
    [/^absent is not text/, () => textField(record, 'absent')],
    [/^number is not text/, () => textField(record, 'number')],
    [/^nothing is not text/, () => textField(record, 'nothing')],
    [/^number is not a number of at least 6/, () => integerField(record, 'number', 6)],
    [/^negative is not a number of at least 0/, () => integerField(record, 'negative')],
    [/^text is not a number/, () => integerField(record, 'text')],
    [/^number is not true or false/, () => booleanField(record, 'number')],
    [/^hex is not 1 bytes of hex/, () => hexField(record, 'hex', 1)],
    [/^hex is not 3 bytes of hex/, () => bytesField(record, 'hex', 3)],
    [/^capitals is not 2 bytes of hex/, () => hexField(record, 'capitals', 2)],
    [/^number is not 2 bytes of hex/, () => hexField(record, 'number', 2)],
    [/^object is not a list/, () => listField(record, 'object')],
    [/^list is not an object/, () => objectField(record, 'list')],
    [/^nothing is not an object/, () => objectField(record, 'nothing')],
    [/^list holds something/, () => objectListField(record, 'list')],
    [/^list holds something/, () => textListField(record, 'list')],
    [/^hexes is not 1 bytes of hex/, () => hexListField(record, 'hexes', 1)],
  ];
  for (const [message, read] of wrong) assertRefused(read, message);
});

test('decimalField() takes the shortest decimal form only', () => {
  for (const text of ['0', '1', '-1', '1700000000000000000', '9'.repeat(39)]) {
    assert.equal(decimalField({ x: text }, 'x'), BigInt(text));
  }
  for (const text of ['', '-', '-0', '00', '01', '+1', ' 1', '1 ', '1.0', '1e3', '0x1', '1\n']) {
    assertRefused(() => decimalField({ x: text }, 'x'), /^x is not a decimal/);
  }
  assertRefused(() => decimalField({ x: '9'.repeat(40) }, 'x'), /^x is not a decimal/);
});

test('encodeOutsideText() writes UTF-8 as text and everything else as base64', () => {
  const latin1 = Uint8Array.of(0x2f, 0x74, 0x6d, 0x70, 0x2f, 0xff);

  assert.deepEqual(encodeOutsideText('path', encodeUtf8('/home/é')), { path: '/home/é' });
  assert.deepEqual(encodeOutsideText('path', encodeUtf8('\ufeff')), { path: '\ufeff' });
  assert.deepEqual(encodeOutsideText('path', new Uint8Array(0)), { path: '' });
  assert.deepEqual(encodeOutsideText('path', latin1), { path_b64: 'L3RtcC//' });
  assert.equal(toHex(decodeOutsideText({ path_b64: 'L3RtcC//' }, 'path')), toHex(latin1));
  assert.equal(toHex(decodeOutsideText({ path: '\ufeff' }, 'path')), 'efbbbf');
});

test('decodeOutsideText() refuses two forms, or the wrong one', () => {
  const wrong: [RegExp, Record<string, JsonValue>][] = [
    [/twice/, { path: '/tmp', path_b64: 'L3RtcC//' }],
    [/twice/, { path: null, path_b64: 'L3RtcC//' }],
    [/not text/, {}],
    [/not text/, { path: 5 }],
    [/not text/, { path_b64: 5 }],
    [/not text/, { path_b64: null }],
    [/valid UTF-8/, { path_b64: 'L3RtcA==' }],
    [/valid UTF-8/, { path_b64: '' }],
    [/not base64/, { path_b64: 'L3RtcC/' }],
    [/not base64/, { path_b64: '/w' }],
    [/not base64/, { path_b64: '/x==' }],
    [/not base64/, { path_b64: '_w==' }],
    [/not base64/, { path_b64: 'L3RtcC//\n' }],
    [/not base64/, { path_b64: ' L3RtcC//' }],
    [/not base64/, { path_b64: '****' }],
  ];

  for (const [message, record] of wrong) {
    assertRefused(() => decodeOutsideText(record, 'path'), message);
  }
});
