/**
 * Canonical JSON: the one text that stands for a value (docs/repository-format.md section 6). A
 * reader parses, encodes again and demands the same bytes; that single test refuses duplicate keys,
 * disorder, white space, needless escapes, fractions and everything else that is not canonical.
 */
import { demand, Malformed } from '../util/byte-reader.ts';
import { decodeUtf8, encodeUtf8 } from '../util/bytes.ts';

export type JsonValue = null | boolean | number | string | JsonValue[] | JsonObject;
export interface JsonObject {
  [key: string]: JsonValue;
}

/** Objects and lists within one another, the record itself counted. */
const JSON_DEPTH_MAX = 16;
const JSON_STRING_SIZE_MAX: number = 2 ** 20;
const JSON_ARRAY_LENGTH_MAX: number = 2 ** 20;
const KEY_PATTERN = /^[a-z][a-z0-9_]{0,63}$/;
const LONE_SURROGATE = /\p{Surrogate}/u;

/** @throws Malformed when the value has no canonical form. */
export function encodeCanonical(value: JsonValue): Uint8Array {
  return encodeUtf8(canonicalText(value, 0));
}

/** @throws Malformed when the bytes are not the canonical form of an object. */
export function parseCanonical(bytes: Uint8Array): JsonObject {
  const text = decodeUtf8(bytes);
  demand(text !== undefined, 'record is not UTF-8');
  let value: JsonValue;
  try {
    value = JSON.parse(text) as JsonValue;
  } catch {
    throw new Malformed('record is not JSON');
  }
  demand(isObject(value), 'record is not an object');
  demand(canonicalText(value, 0) === text, 'record is not in canonical form');
  return value;
}

export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function canonicalText(value: JsonValue, depth: number): string {
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'number') {
    demand(Number.isSafeInteger(value) && !Object.is(value, -0), 'number is not a safe integer');
    return String(value);
  }
  if (typeof value === 'string') return stringText(value);
  demand(depth < JSON_DEPTH_MAX, 'record nested too deeply');
  if (Array.isArray(value)) {
    demand(value.length <= JSON_ARRAY_LENGTH_MAX, 'array too long');
    return `[${value.map((item) => canonicalText(item, depth + 1)).join(',')}]`;
  }
  const members = Object.keys(value)
    .sort()
    .map((key) => {
      demand(KEY_PATTERN.test(key), 'object key');
      return `"${key}":${canonicalText(value[key] as JsonValue, depth + 1)}`;
    });
  return `{${members.join(',')}}`;
}

function stringText(value: string): string {
  demand(!LONE_SURROGATE.test(value), 'string is not well-formed');
  demand(Buffer.byteLength(value) <= JSON_STRING_SIZE_MAX, 'string too long');
  return JSON.stringify(value);
}
