/**
 * Child process that opens a cache with few descriptors left, from none to some:
 * `index-descriptors.js <cache directory>`, run with a low limit of open files. Prints what came of
 * each attempt.
 */
import { closeSync, openSync } from 'node:fs';
import { LocalIndex } from '../../src/index/local-index.ts';
import { testRepositoryId as repositoryId } from './index-packs.ts';

const cacheDir = process.argv[2] as string;
// So that everything is loaded.
await (await LocalIndex.open({ cacheDir, repositoryId })).close();

const taken: number[] = [];
for (let freeCount = 0; freeCount < 16; freeCount++) {
  try {
    for (;;) taken.push(openSync('/dev/null', 'r'));
  } catch {
    for (let i = 0; i < freeCount; i++) closeSync(taken.pop() as number);
  }
  try {
    await (await LocalIndex.open({ cacheDir, repositoryId })).close();
    process.stdout.write(`${freeCount} opened\n`);
  } catch (error) {
    process.stdout.write(`${freeCount} ${(error as { code?: string }).code}\n`);
  }
}
