/** The clock of the storage, which alone decides how old an object is: no two clients agree. */
import { StorageError } from '../errors.ts';
import { toHex } from '../util/bytes.ts';
import type { RepositoryCore } from './repository.ts';

/** Milliseconds since 1970 by the clock of the storage: that of an object written for this. */
export async function storageNowMs({ storage, random }: RepositoryCore): Promise<number> {
  const name = `probe/${toHex(random.bytes(16))}`;
  await storage.putIfAbsent(name, new Uint8Array(1));
  const stat = await storage.stat(name);
  await storage.delete(name).catch(() => {});
  if (stat === undefined)
    throw new StorageError('stat', name, 'it is gone, expected it to be there');
  return Math.floor(stat.modifiedMs);
}
