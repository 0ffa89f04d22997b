/** Paths as bytes, for trees whose names are no text. */
import { closeSync, constants, mkdirSync, openSync } from 'node:fs';
import { descriptorPath } from '../../src/platform/directory-handle.ts';
import { concatBytes, encodeUtf8 } from '../../src/util/bytes.ts';

/** Bytes of text as UTF-8. */
export function b(text: string): Buffer {
  return Buffer.from(encodeUtf8(text));
}

/** Joins with slashes. */
export function rawPath(...parts: (string | Uint8Array)[]): Buffer {
  const bytes = parts.map((part) => (typeof part === 'string' ? b(part) : part));
  const joined = bytes.flatMap((part, i) => (i === 0 ? [part] : [b('/'), part]));
  return Buffer.from(concatBytes(...joined));
}

/** Makes `depth` directories inside each other, beyond any length a path may have. */
export function makeDeep(top: string, names: readonly string[]): void {
  let fd = openSync(top, constants.O_RDONLY);
  for (const name of names) {
    const path = rawPath(descriptorPath(fd), name);
    mkdirSync(path);
    const above = fd;
    fd = openSync(path, constants.O_RDONLY);
    closeSync(above);
  }
  closeSync(fd);
}
