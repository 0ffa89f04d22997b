import { createMemoryStorage } from '../../src/storage/memory.ts';
import { testStorageContract } from './storage-contract.ts';

testStorageContract('createMemoryStorage()', async () => {
  const storage = createMemoryStorage();
  return async () => storage;
});
