/**
 * A process that opens (or creates) the repository of its arguments, takes a snapshot of a tree in
 * memory, and kills itself when it passes a failpoint for the k-th time. Prints the id of a snapshot
 * that was acknowledged.
 *
 *   node crash-child.js <directory> <version of the tree> <failpoint> <k>
 */
import { join } from 'node:path';
import { initRepository } from '../../src/repository/init-repository.ts';
import { openRepository } from '../../src/repository/open-repository.ts';
import { nodeStateFs } from '../../src/repository/state-fs.ts';
import { createLocalStorage } from '../../src/storage/local.ts';
import { onFailpoint } from '../../src/util/failpoint.ts';
import { snapshotTree, sourceTree } from './repository-crash.ts';

const [directory, version, point, count] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
];

let passedCount = 0;
onFailpoint((name) => {
  if (name !== point) return;
  passedCount += 1;
  if (passedCount === Number(count)) process.kill(process.pid, 'SIGKILL');
});
const storage = await createLocalStorage(join(directory, 'repository'));
if (version === 'init') {
  await initRepository({ storage, credential: { kind: 'none' } });
} else {
  const repository = await openRepository({
    storage,
    askPassphrase: async () => undefined,
    cacheDirectory: join(directory, 'cache'),
    stateDirectory: join(directory, 'state'),
    stateFs: nodeStateFs,
  });
  const { id } = await snapshotTree(repository, sourceTree(Number(version)));
  await repository.close();
  console.log(`snapshot ${id}`);
}
