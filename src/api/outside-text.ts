/** Text and paths from outside, of which the rest of the program knows bytes only. */
import { resolve } from 'node:path';
import { encodeUtf8 } from '../util/bytes.ts';

/** What somebody else chose: text, or raw bytes where it is not UTF-8. What comes out is bytes. */
export type OutsideText = string | Uint8Array;

/** A path. Bytes are taken as they are, and must be absolute where they name what is saved. */
export type Path = OutsideText;

/** The components of an absolute path in a snapshot. */
export function namesOf(path: Path | undefined): Uint8Array[] {
  if (path === undefined) return [];
  const text = Buffer.from(path as Uint8Array).toString('latin1');
  const names = text.split('/').filter((name) => name !== '' && name !== '.');
  return names.map((name) => new Uint8Array(Buffer.from(name, 'latin1')));
}

/** Relative text starts in the working directory of the process. */
export function absolutePath(path: Path): Uint8Array {
  return typeof path === 'string' ? encodeUtf8(resolve(path)) : path;
}

export function bytesOf(text: OutsideText): Uint8Array {
  return typeof text === 'string' ? encodeUtf8(text) : text;
}
