/**
 * Bytes that somebody else chose (names, paths) as text that is safe on a terminal and in a
 * message: valid UTF-8 stays readable, everything else is escaped.
 */
import { decodeUtf8 } from './bytes.ts';

/** Control and format characters (direction marks among them), line separators. */
const controls = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
/** Backslash, too, so that an escape cannot be faked. */
const unsafe = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\\]/gu;

export function printable(bytes: Uint8Array): string {
  const text = decodeUtf8(bytes);
  if (text !== undefined) return text.replace(unsafe, escapeCharacter);
  let escaped = '';
  for (const byte of bytes) {
    const isPlain = byte >= 0x20 && byte < 0x7f && byte !== 0x5c;
    escaped += isPlain ? String.fromCharCode(byte) : hexEscape(byte);
  }
  return escaped;
}

/** For text whose names were made printable already: only what they cannot hold is escaped. */
export function escapeControls(text: string): string {
  return text.replace(controls, escapeCharacter);
}

function escapeCharacter(character: string): string {
  if (character === '\\') return '\\\\';
  const point = character.codePointAt(0) as number;
  return point < 0x80 ? hexEscape(point) : `\\u{${point.toString(16)}}`;
}

function hexEscape(byte: number): string {
  return `\\x${byte.toString(16).padStart(2, '0')}`;
}
