/**
 * A process that shares a cache with others: enters a pack of its own, and writes its table of features.
 *
 *   node feature-child.js <cache directory> <number of the process>
 */
import { LocalIndex } from '../../src/index/local-index.ts';
import { FeatureTable } from '../../src/similarity/feature-table.ts';
import { packOfProcess } from './feature-packs.ts';
import { testRepositoryId } from './index-packs.ts';

const [cacheDir = '', number = ''] = process.argv.slice(2);
const index = await LocalIndex.open({ cacheDir, repositoryId: testRepositoryId });
index.loadFeatures(new FeatureTable(16));
await index.addPack(packOfProcess(Number(number)).pack);
await index.saveFeatures();
await index.close();
