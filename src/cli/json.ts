/**
 * Values as the JSON lines of `--json` write them: one object per line, with the version of these
 * lines and what it tells. Integers stay exact (beyond 2^53 they are text), times are RFC 3339 in
 * UTC, and text from outside that is not UTF-8 comes a second time, exactly, as base64.
 */
import { bufferOf, decodeUtf8 } from '../util/bytes.ts';
import { secondsOfNs } from './format.ts';

const JSON_LINES_VERSION = 1;

export type JsonFields = Record<string, unknown>;

export function jsonLine(messageType: string, fields: JsonFields): string {
  return JSON.stringify(
    { v: JSON_LINES_VERSION, message_type: messageType, ...fields },
    (_, value: unknown) => (typeof value === 'bigint' ? exactInteger(value) : value),
  );
}

function exactInteger(value: bigint): number | string {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
}

/** `name`, and `name_b64` where the bytes are not UTF-8. */
export function outsideText(name: string, bytes: Uint8Array): JsonFields {
  const text = decodeUtf8(bytes);
  if (text !== undefined) return { [name]: text };
  return { [name]: approximateText(bytes), [`${name}_b64`]: toBase64(bytes) };
}

/** A list under `name`, and all of it under `name_b64` where any of them is not UTF-8. */
export function outsideTexts(name: string, list: readonly Uint8Array[]): JsonFields {
  const texts = { [name]: list.map(approximateText) };
  if (list.every((bytes) => decodeUtf8(bytes) !== undefined)) return texts;
  return { ...texts, [`${name}_b64`]: list.map(toBase64) };
}

/** "2026-01-31T12:00:00.123456789Z". */
export function rfc3339(time: { seconds: bigint; nanoseconds: number }): string {
  const date = new Date(Number(time.seconds) * 1000);
  if (Number.isNaN(date.getTime())) return `@${time.seconds}`;
  const fraction = String(time.nanoseconds).padStart(9, '0');
  return date.toISOString().replace(/\.000Z$/, `.${fraction}Z`);
}

export function rfc3339OfNs(ns: bigint): string {
  const seconds = secondsOfNs(ns);
  return rfc3339({ seconds, nanoseconds: Number(ns - seconds * 1_000_000_000n) });
}

function approximateText(bytes: Uint8Array): string {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
}

function toBase64(bytes: Uint8Array): string {
  return bufferOf(bytes).toString('base64');
}
