/** How much a repository takes in its storage. */
import { isObjectName } from '../storage/names.ts';
import type { RepositoryCore } from './repository.ts';

export interface StoredSize {
  packs: number;
  /** Bytes of all objects: packs, index segments, records. */
  storedSize: number;
}

/** @throws StorageError */
export async function measureStored(
  { storage }: RepositoryCore,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<StoredSize> {
  const stored: StoredSize = { packs: 0, storedSize: 0 };
  for await (const { name, size } of storage.list('', options)) {
    if (!isObjectName(name)) continue;
    stored.storedSize += size;
    if (/^(data|meta)\//.test(name)) stored.packs += 1;
  }
  return stored;
}
