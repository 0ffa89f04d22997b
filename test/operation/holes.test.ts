/**
 * Holes from the source into the snapshot and back: what a file takes on disk is what it took, and nothing
 * of a hole is read. Skipped where the file system of temporary files has none.
 */
import assert from 'node:assert/strict';
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openReadAccess } from '../../src/repository/read-access.ts';
import { compareTrees } from '../helpers/compare-trees.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import {
  type Client,
  check,
  namesOf,
  newClient,
  newDirectoryStorage,
  openClient,
  restore,
  snapshot,
  sourceFs,
  type Taken,
} from '../helpers/test-repository.ts';

const kib = 1024;
const mib = 1024 * kib;

/** Writes data at the offsets, and nothing between them. */
function writeSparse(
  path: string,
  size: number,
  data: readonly (readonly [offset: number, length: number])[],
): void {
  const fd = openSync(path, 'w');
  ftruncateSync(fd, size);
  for (const [offset, length] of data) {
    writeSync(fd, seededRandom(offset + length).bytes(length), 0, length, offset);
  }
  closeSync(fd);
}

interface Place {
  readonly top: string;
  readonly target: string;
  readonly hasHoles: boolean;
}

function place(t: TestContext): Place {
  const dir = tempDir(t);
  const top = join(dir, 'top');
  mkdirSync(top);
  writeSparse(join(dir, 'probe'), mib, []);
  return { top, target: join(dir, 'target'), hasHoles: statSync(join(dir, 'probe')).blocks === 0 };
}

/** Of every child of height 0: its length, negative for a hole. */
async function childrenOf(client: Client, taken: Taken, path: string): Promise<number[]> {
  const access = await openReadAccess(client.repository);
  const node = await access.find(taken.snapshot.manifest.root, namesOf(path));
  assert(node?.type === 'f' && node.content !== undefined);
  const lengths: number[] = [];
  for await (const chunks of access.chunks(node.content)) {
    for (const { id, length } of chunks) lengths.push(Number(length) * (id === undefined ? -1 : 1));
  }
  return lengths;
}

const shapes = {
  'all-hole': [3 * mib, []],
  'at-start': [mib + 100, [[mib, 100]]],
  'at-end': [5 * mib, [[0, 20 * kib]]],
  between: [
    9 * mib,
    [
      [0, 64 * kib],
      [mib, 3 * mib],
      [8 * mib, 4 * kib],
    ],
  ],
  'small-holes': [
    mib,
    [
      [0, 8 * kib],
      [16 * kib, 8 * kib],
      [48 * kib, 976 * kib],
    ],
  ],
  large: [
    40 * mib,
    [
      [mib, 12 * mib],
      [30 * mib, 5 * mib],
    ],
  ],
} as const;

for (const jobs of [0, 2]) {
  test(`holes come back as they were, with ${jobs} threads`, async (t) => {
    const { top, target, hasHoles } = place(t);
    if (!hasHoles) return t.skip('no holes in this file system');
    const client = await openClient(t, await newDirectoryStorage(t), { jobs });
    for (const [name, [size, data]] of Object.entries(shapes)) {
      writeSparse(join(top, name), size, data);
    }

    const taken = await snapshot(client, [top], jobs === 0 ? {} : { fs: undefined });
    const { problems } = await restore(client, { ...taken, path: top }, target);

    assert.deepEqual(taken.errors, []);
    assert.deepEqual(problems, []);
    assert.deepEqual(compareTrees(top, target), []);
    for (const name of Object.keys(shapes)) {
      if (name === 'small-holes') continue;
      const [before, after] = [statSync(join(top, name)), statSync(join(target, name))];
      assert.equal(after.blocks, before.blocks, name);
    }
    assert.ok(taken.bytesRead < 26 * mib, `${taken.bytesRead} bytes were read`);
    assert.deepEqual((await check(client, true)).findings, []);
  });
}

test('holes are stored as holes, small ones as data', async (t) => {
  const { top, hasHoles } = place(t);
  if (!hasHoles) return t.skip('no holes in this file system');
  const client = await newClient(t);
  for (const name of ['all-hole', 'at-start', 'at-end', 'small-holes'] as const) {
    const [size, data] = shapes[name];
    writeSparse(join(top, name), size, data);
  }

  const taken = await snapshot(client, [top]);

  const children = (name: string): Promise<number[]> => childrenOf(client, taken, join(top, name));
  assert.deepEqual(await children('all-hole'), [-3 * mib]);
  assert.deepEqual(await children('at-start'), [-mib, 100]);
  assert.deepEqual(await children('at-end'), [20 * kib, 20 * kib - 5 * mib]);
  assert.ok((await children('small-holes')).every((length) => length > 0));
});

test('a file of 1 TiB without data is saved at once', async (t) => {
  const { top, target, hasHoles } = place(t);
  if (!hasHoles) return t.skip('no holes in this file system');
  const client = await newClient(t);
  writeSparse(join(top, 'huge'), 2 ** 40, [[2 ** 40 - 4096, 4096]]);

  const taken = await snapshot(client, [top]);
  await restore(client, { ...taken, path: top }, target);

  assert.equal(taken.bytesRead, 4096n);
  assert.equal(statSync(join(target, 'huge')).size, 2 ** 40);
  assert.ok(statSync(join(target, 'huge')).blocks <= 16);
});

test('a hole that is written to while the file is saved is told', async (t) => {
  const { top, hasHoles } = place(t);
  if (!hasHoles) return t.skip('no holes in this file system');
  const client = await newClient(t);
  const path = join(top, 'file');
  writeSparse(path, 4 * mib, [[0, 64 * kib]]);
  let isWritten = false;
  const fs = {
    ...sourceFs,
    nextData: (fd: number, offset: number) => {
      const found = sourceFs.nextData(fd, offset);
      if (!isWritten) {
        isWritten = true;
        const writing = openSync(path, 'r+');
        writeSync(writing, Buffer.from('late'), 0, 4, 2 * mib);
        closeSync(writing);
      }
      return found;
    },
  };

  const taken = await snapshot(client, [top], { fs });

  assert.deepEqual(
    taken.errors.map(({ reason }) => reason),
    ['file_changed'],
  );
  assert.equal(readFileSync(path).indexOf('late'), 2 * mib);
});
