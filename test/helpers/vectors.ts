/** Golden vectors of the format, read from the sources (they are data, not compiled). */
import { readFileSync } from 'node:fs';

/** Parsed JSON of `test/vectors/<name>`. */
export function readVectors(name: string): unknown {
  return JSON.parse(
    readFileSync(new URL(`../../../test/vectors/${name}`, import.meta.url), 'utf8'),
  );
}
