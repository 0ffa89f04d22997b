/**
 * Child process that adds packs to a cache until it is told to stop, or killed:
 * `index-writer.js <cache directory> <name of the writer> <packs> <blobs that make a merge due>`. It
 * prints the number of each pack
 * once it is written, and "closed" at the end.
 */
import { LocalIndex } from '../../src/index/local-index.ts';
import { testRepositoryId } from './index-packs.ts';
import { writerPack } from './index-writer-packs.ts';

const [cacheDir, writer, ...numbers] = process.argv.slice(2) as [string, string, string, string];
const [packCount, min] = numbers.map(Number) as [number, number];
const mergeBounds = { min, max: min };
const index = await LocalIndex.open({ cacheDir, repositoryId: testRepositoryId, mergeBounds });
for (let i = 0; i < packCount; i++) {
  await index.addPack(writerPack(writer, i));
  process.stdout.write(`${i}\n`);
  // Reads of the next turn see what other processes have written.
  await new Promise((resolve) => setImmediate(resolve));
}
await index.close();
process.stdout.write('closed\n');
