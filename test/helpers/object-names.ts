/** Names of objects for tests of storage. */
import { createHash } from 'node:crypto';

export function sha256Hex(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The name a pack with these bytes has. */
export function dataName(bytes: Uint8Array): string {
  const hash = sha256Hex(bytes);
  return `data/${hash.slice(0, 2)}/${hash}`;
}

/** A chosen name in `directory`, the same for the same number. */
export function chosenName(
  directory: 'keys' | 'sessions' | 'snapshots' | 'probe',
  n: number,
): string {
  return `${directory}/${n.toString(16).padStart(32, '0')}`;
}
