import assert from 'node:assert/strict';
import {
  closeSync,
  mkdirSync,
  openSync,
  readSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { compareTrees } from '../helpers/compare-trees.ts';
import {
  lackOfDisk,
  newPlace,
  type WatchedPlace,
  watchRestore,
  watchSnapshot,
} from '../helpers/watched-operation.ts';

const GIB = 2 ** 30;
const LARGE_FILE_SIZE = 5 * GIB;
/** The file, the repository and what is restored. */
const DISK_SIZE = 15 * GIB;
const MEMORY_SIZE_MAX = 512 * 2 ** 20;

/** Seeded noise in blocks, each with its number mixed in, so that no two are equal. */
function writeLargeFile(path: string, size: number): void {
  const block = new Uint32Array(2 ** 20);
  let state = 1;
  for (let i = 0; i < block.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    block[i] = state ^ (state >>> 15);
  }
  const out = new Uint32Array(block.length);
  const fd = openSync(path, 'wx');
  for (let written = 0; written < size; written += out.byteLength) {
    const mask = Math.imul(written / out.byteLength + 1, 0x9e3779b9);
    for (let i = 0; i < out.length; i++) out[i] = (block[i] as number) ^ Math.imul(mask, i | 1);
    writeSync(fd, out);
  }
  closeSync(fd);
}

function assertEqualFiles(a: string, b: string): void {
  assert.equal(statSync(a).size, statSync(b).size);
  const [fdA, fdB] = [openSync(a, 'r'), openSync(b, 'r')];
  const [left, right] = [Buffer.alloc(2 ** 22), Buffer.alloc(2 ** 22)];
  for (let size = -1; size !== 0; ) {
    size = readSync(fdA, left);
    assert.equal(readSync(fdB, right), size);
    assert.ok(left.subarray(0, size).equals(right.subarray(0, size)));
  }
  closeSync(fdA);
  closeSync(fdB);
}

/** Both ways; memory is told and bounded. */
async function saveAndRestore(t: TestContext, place: WatchedPlace): Promise<void> {
  for (const watch of [watchSnapshot, watchRestore]) {
    const { peak, result } = await watch(place);
    t.diagnostic(`${watch.name}: at most ${Math.round(peak / 2 ** 20)} MiB of anonymous memory`);
    assert.ok(peak < MEMORY_SIZE_MAX, `${watch.name}: ${peak} bytes`);
    assert.equal(result.errorCount, 0);
  }
}

test('a file of 5 GiB is saved and restored in bounded memory', async (t) => {
  const place = await newPlace(t);
  const lack = lackOfDisk(place, DISK_SIZE);
  if (lack !== undefined) {
    t.skip(lack);
    return;
  }
  writeLargeFile(join(place.source, 'large'), LARGE_FILE_SIZE);

  await saveAndRestore(t, place);

  assertEqualFiles(join(place.source, 'large'), join(place.target, 'large'));
});

test('a tree of 100,000 files is saved and restored in bounded memory', async (t) => {
  const place = await newPlace(t);
  for (let i = 0; i < 100_000; i++) {
    const directory = join(place.source, `${Math.floor(i / 1000)}`);
    if (i % 1000 === 0) mkdirSync(directory);
    writeFileSync(join(directory, `file${i}`), `content of file ${i}\n`.repeat(i % 50));
  }

  await saveAndRestore(t, place);

  assert.deepEqual(compareTrees(place.source, place.target), []);
});
