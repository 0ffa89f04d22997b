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
  type Watched,
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

/** Small files with contents of their own, 200 bytes to 2 KiB, in directories of 1,000 at most. */
function writeSmallFiles(directory: string, count: number): void {
  const noise = new Uint32Array(2 ** 12);
  let state = 1;
  for (let i = 0; i < noise.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    noise[i] = state;
  }
  const bytes = new Uint8Array(noise.buffer);
  for (let i = 0; i < count; i++) {
    const parent = join(directory, `${Math.floor(i / 1000)}`);
    if (i % 1000 === 0) mkdirSync(parent);
    const size = 200 + ((Math.imul(i, 0x9e3779b1) >>> 0) % 1849);
    noise[0] = i;
    writeFileSync(join(parent, `file${i}`), bytes.subarray(0, size));
  }
}

/** Tells how long one step took, and the most memory at any sample. */
async function tellStep<T>(
  t: TestContext,
  what: string,
  step: () => Promise<Watched<T>>,
): Promise<Watched<T>> {
  const startMs = performance.now();
  const watched = await step();
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  const peak = Math.round(watched.peak / 2 ** 20);
  t.diagnostic(`${what}: ${seconds} s, at most ${peak} MiB of anonymous memory`);
  assert.ok(watched.peak < MEMORY_SIZE_MAX, `${what}: ${watched.peak} bytes`);
  return watched;
}

/** Ten times as many must not take more memory: the figures stand one below the other. */
for (const count of [10_000, 100_000, 1_000_000]) {
  const files = `${count.toLocaleString('en')} files`;
  test(`a tree of ${files} is saved, saved again and restored in bounded memory`, async (t) => {
    const place = await newPlace(t);
    // Each takes a block of the disk in the source and in the target.
    const lack = lackOfDisk(place, count * 12_000);
    if (lack !== undefined) {
      t.skip(lack);
      return;
    }
    writeSmallFiles(place.source, count);

    const first = await tellStep(t, `first, ${files}`, () => watchSnapshot(place));
    const again = await tellStep(t, `unchanged, ${files}`, () => watchSnapshot(place));
    const restored = await tellStep(t, `restored, ${files}`, () => watchRestore(place));

    assert.deepEqual([first.result.filesNew, first.result.errorCount], [count, 0]);
    assert.deepEqual([again.result.filesUnchanged, again.result.bytesRead], [count, 0n]);
    assert.deepEqual([restored.result.files, restored.result.errorCount], [count, 0]);
    // Beyond that the listings of the comparison alone take gigabytes.
    if (count <= 100_000) assert.deepEqual(compareTrees(place.source, place.target), []);
  });
}
