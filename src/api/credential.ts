/** What opens a key slot, from the options of the library. */
import type { Credential } from '../keys/key-slot.ts';
import type { NewKey } from './options.ts';

/**
 * Forgetting the passphrase must not make a repository that opens without one.
 * @throws TypeError
 */
export function credentialOf(
  { passphrase, isInsecure = false }: NewKey,
  action: string,
): Credential {
  const hasPassphrase = passphrase !== undefined && passphrase !== '';
  if (hasPassphrase === isInsecure) {
    throw new TypeError(`Cannot ${action}: expected either a passphrase or isInsecure`);
  }
  return hasPassphrase ? { kind: 'passphrase', passphrase } : { kind: 'none' };
}
