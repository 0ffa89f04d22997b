/**
 * Typed access to the fields of a parsed record. Each function demands the type and range the
 * format states for a field and names the field when it is wrong.
 */
import { demand } from '../util/byte-reader.ts';
import { decodeUtf8, encodeUtf8, fromHex, isHex } from '../util/bytes.ts';
import { isObject, type JsonObject, type JsonValue } from './canonical-json.ts';

export function textField(record: JsonObject, key: string): string {
  const value = record[key];
  demand(typeof value === 'string', `${key} is not text`);
  return value;
}

/** A whole number, at least 0 unless `min` says otherwise. */
export function integerField(record: JsonObject, key: string, min = 0): number {
  const value = record[key];
  demand(typeof value === 'number' && value >= min, `${key} is not a number of at least ${min}`);
  return value;
}

export function booleanField(record: JsonObject, key: string): boolean {
  const value = record[key];
  demand(typeof value === 'boolean', `${key} is not true or false`);
  return value;
}

/** Lower-case hex of exactly `size` bytes. */
export function hexField(record: JsonObject, key: string, size: number): string {
  return hexValue(record[key], key, size);
}

export function bytesField(record: JsonObject, key: string, size: number): Uint8Array {
  return fromHex(hexField(record, key, size));
}

/** A decimal number as text, for values beyond 2^53. */
export function decimalField(record: JsonObject, key: string): bigint {
  const value = textField(record, key);
  demand(/^(0|-?[1-9][0-9]{0,38})$/.test(value), `${key} is not a decimal number`);
  return BigInt(value);
}

export function listField(record: JsonObject, key: string): JsonValue[] {
  const value = record[key];
  demand(Array.isArray(value), `${key} is not a list`);
  return value;
}

export function objectListField(record: JsonObject, key: string): JsonObject[] {
  return listField(record, key).map((item) => {
    demand(isObject(item), `${key} holds something that is not an object`);
    return item;
  });
}

export function hexListField(record: JsonObject, key: string, size: number): string[] {
  return listField(record, key).map((item) => hexValue(item, key, size));
}

export function textListField(record: JsonObject, key: string): string[] {
  return listField(record, key).map((item) => {
    demand(typeof item === 'string', `${key} holds something that is not text`);
    return item;
  });
}

export function objectField(record: JsonObject, key: string): JsonObject {
  const value = record[key];
  demand(isObject(value), `${key} is not an object`);
  return value;
}

function hexValue(value: JsonValue | undefined, key: string, size: number): string {
  demand(typeof value === 'string' && isHex(value, 2 * size), `${key} is not ${size} bytes of hex`);
  return value;
}

/** Text from outside: `<key>` when valid UTF-8, otherwise `<key>_b64`; never both. */
export function encodeOutsideText(key: string, bytes: Uint8Array): JsonObject {
  const text = decodeUtf8(bytes);
  if (text !== undefined) return { [key]: text };
  return { [`${key}_b64`]: Buffer.from(bytes).toString('base64') };
}

export function decodeOutsideText(record: JsonObject, key: string): Uint8Array {
  const encoded = record[`${key}_b64`];
  if (encoded === undefined) return encodeUtf8(textField(record, key));
  demand(record[key] === undefined, `${key} stands there twice`);
  demand(typeof encoded === 'string', `${key}_b64 is not text`);
  const bytes = Buffer.from(encoded, 'base64');
  demand(bytes.toString('base64') === encoded, `${key}_b64 is not base64`);
  demand(decodeUtf8(bytes) === undefined, `${key}_b64 holds valid UTF-8`);
  return new Uint8Array(bytes);
}
