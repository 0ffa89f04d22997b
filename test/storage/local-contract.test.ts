/** The local backend on every kind of file system passes the one suite. */
import type { StorageFs } from '../../src/storage/file-system.ts';
import { createLocalStorage } from '../../src/storage/local.ts';
import { refuseOperation } from '../helpers/intercepted-fs.ts';
import { SimFs } from '../helpers/sim-fs.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import { type MakePlace, testStorageContract } from './storage-contract.ts';

const onSimFs =
  (change: (fs: StorageFs) => StorageFs = (fs) => fs): MakePlace =>
  async () => {
    const fs = change(new SimFs());
    return () => createLocalStorage('/repository', { fs });
  };

testStorageContract('createLocalStorage()', async (t) => {
  const root = tempDir(t);
  return () => createLocalStorage(root);
});

testStorageContract('createLocalStorage() on SimFs', onSimFs());

testStorageContract(
  'createLocalStorage() without hard links',
  onSimFs((fs) => refuseOperation(fs, 'link', 'EPERM')),
);

testStorageContract(
  'createLocalStorage() without directory fsync',
  onSimFs((fs) => refuseOperation(fs, 'syncDirectory', 'EINVAL')),
);
