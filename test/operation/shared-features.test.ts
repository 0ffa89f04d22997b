/** Two processes with one cache, and so with one table of features, at the same time. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { LocalIndex } from '../../src/index/local-index.ts';
import { candidateAt } from '../../src/index/presence.ts';
import { FeatureTable, hitsLength } from '../../src/similarity/feature-table.ts';
import { packOfProcess } from '../helpers/feature-packs.ts';
import { listingOf, segmentName, segmentOf, testRepositoryId } from '../helpers/index-packs.ts';
import { homeWithRepository } from '../helpers/run-varve.ts';
import { edited, textOf } from '../helpers/similar-versions.ts';
import { tempDir } from '../helpers/temp-dir.ts';

const childPath = fileURLToPath(new URL('../helpers/feature-child.js', import.meta.url));
const processNumbers = [1, 2, 3];

test('processes that write one table of features by turns leave hints, and no damage', async (t) => {
  const cacheDir = tempDir(t);
  const run = promisify(execFile);

  await Promise.all(
    processNumbers.map((number) => run(process.execPath, [childPath, cacheDir, `${number}`])),
  );

  const index = await LocalIndex.open({ cacheDir, repositoryId: testRepositoryId });
  const table = new FeatureTable(16);
  index.loadFeatures(table);
  await index.refillFeatures();
  assert.equal(index.isDamaged, false);
  const packs = processNumbers.map((number) => packOfProcess(number));
  const records = packs.map(({ pack }) => pack);
  await index.applySegments([{ name: segmentName('all'), segment: segmentOf(records) }]);
  await index.updateStates({ listed: listingOf(records), dead: new Set() });
  assert.equal(index.counts.packs, packs.length);
  let found = 0;
  for (const { ids, features } of packs) {
    for (const [i, id] of ids.entries()) {
      const candidate = lookUp(index, table, features.subarray(24 * i, 24 * i + 24));
      if (candidate === undefined) continue;
      assert.deepEqual(candidate, Uint8Array.from(id));
      found += 1;
    }
  }
  // There is room for a fifth of them.
  assert.ok(found > table.capacity / 4, `${found} found`);
  await index.close();
});

/** The id of the chunk that all three super-features stand for. */
function lookUp(
  index: LocalIndex,
  table: FeatureTable,
  features: Uint8Array,
): Uint8Array | undefined {
  const hits = new Uint32Array(hitsLength);
  table.lookUp(features, hits);
  const [packNo = 0, slot = 0, ...others] = hits;
  const isSame = others.every((word, i) => word === hits[i % 2]);
  if (packNo === 0 || !isSame) return undefined;
  const candidate = candidateAt(index, { packNo, slot });
  assert.ok(candidate !== undefined, 'a place that is there');
  return candidate.blob.id.slice();
}

test('two snapshots at once share a cache, and the next one finds bases of both', async (t) => {
  const home = await homeWithRepository(t);
  const sources = ['a', 'b'].map((name) => home.path('source', name));
  for (const [i, source] of sources.entries()) {
    mkdirSync(source);
    for (let j = 0; j < 20; j++) writeFileSync(join(source, `${j}`), textOf(20 * i + j, 20_000));
  }

  await Promise.all(sources.map((source) => home.ok('snapshot', source)));

  // Under other paths, so that the table of features alone leads to them.
  const moved = home.path('source', 'moved');
  mkdirSync(moved);
  for (let k = 0; k < 40; k++) {
    writeFileSync(join(moved, `file-${k}`), edited(textOf(k, 20_000), 1000 + k));
  }
  const { code, lines } = await home.runJson(['snapshot', moved]);
  assert.equal(code, 0);
  assert.equal(lines.at(-1)?.['delta_blobs'], 40);
  await home.ok('check', '--read-data');
});
