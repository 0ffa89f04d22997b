/** Processes that share a cache, and processes that die with it open. */
import assert from 'node:assert/strict';
import { type ChildProcessByStdio, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { LocalIndex } from '../../src/index/local-index.ts';
import { locate } from '../../src/index/presence.ts';
import { directoryOf, type PackRecord } from '../../src/pack/pack-record.ts';
import { toHex } from '../../src/util/bytes.ts';
import { testRepositoryId as repositoryId } from '../helpers/index-packs.ts';
import { writerPack } from '../helpers/index-writer-packs.ts';
import { tempDir } from '../helpers/temp-dir.ts';

const WRITER = fileURLToPath(new URL('../helpers/index-writer.js', import.meta.url));

type Writer = ChildProcessByStdio<null, Readable, null>;

function startWriter(
  cacheDir: string,
  name: string,
  { packCount, mergeMin = 1e6 }: { packCount: number; mergeMin?: number },
): Writer {
  const args = [WRITER, cacheDir, name, String(packCount), String(mergeMin)];
  return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] });
}

/** Reads lines until one says that pack `last` is written, and counts the packs. */
async function packsWritten(writer: Writer, last = Number.POSITIVE_INFINITY): Promise<number> {
  let count = 0;
  for await (const line of createInterface({ input: writer.stdout })) {
    if (!/^\d+$/.test(line)) continue;
    count++;
    if (count > last) break;
  }
  return count;
}

function assertFound(index: LocalIndex, pack: PackRecord): void {
  for (const { id } of directoryOf(pack).blobs) {
    assert.equal(locate(index, id)[0]?.pack.name, pack.name);
  }
}

function namesIn(cacheDir: string): string[] {
  return readdirSync(join(cacheDir, toHex(repositoryId)));
}

test('a cache whose writer was killed has every pack the writer finished', async (t) => {
  // Packs have 40 blobs: the last ones are killed while they merge, more or less.
  for (const [last, mergeMin] of [
    [0, 1e6],
    [3, 1e6],
    [20, 1e6],
    [20, 200],
    [1, 40],
    [6, 40],
    [11, 40],
  ] as const) {
    const cacheDir = tempDir(t);
    const writer = startWriter(cacheDir, 'killed', { packCount: 100_000, mergeMin });
    const count = await packsWritten(writer, last);
    writer.kill('SIGKILL');
    await once(writer, 'exit');
    assert.equal(namesIn(cacheDir).includes('clean'), false);

    const index = await LocalIndex.open({ cacheDir, repositoryId });
    for (let i = 0; i < count; i++) assertFound(index, writerPack('killed', i));
    await index.close();

    assert.deepEqual(namesIn(cacheDir).sort(), ['CACHEDIR.TAG', 'clean', 'data.mdb', 'lock.mdb']);
  }
});

for (const mergeMin of [1e6, 500, 40]) {
  test(`two processes write into one cache and see what the other wrote, merges at ${mergeMin}`, async (t) => {
    const cacheDir = tempDir(t);
    const mergeBounds = { min: mergeMin, max: mergeMin };
    const index = await LocalIndex.open({ cacheDir, repositoryId, mergeBounds });
    const writer = startWriter(cacheDir, 'other', { packCount: 60, mergeMin });
    const written = packsWritten(writer);
    for (let i = 0; i < 60; i++) {
      await index.addPack(writerPack('own', i));
      await new Promise((resolve) => setTimeout(resolve, 1));
    }

    assert.equal(await written, 60);
    for (let i = 0; i < 60; i++) {
      assertFound(index, writerPack('own', i));
      assertFound(index, writerPack('other', i));
    }
    const numbers = new Set([...index.packs()].map(({ packNo }) => packNo));
    assert.equal(numbers.size, 120);
    assert.equal(namesIn(cacheDir).includes('clean'), false);
    assert.equal(index.isDamaged, false);
    await index.close();
    assert.deepEqual(namesIn(cacheDir).sort(), ['CACHEDIR.TAG', 'clean', 'data.mdb', 'lock.mdb']);
  });
}

test('a pack that another process uploaded does not count in this session', async (t) => {
  const cacheDir = tempDir(t);
  const index = await LocalIndex.open({ cacheDir, repositoryId });
  t.after(() => index.close());
  await packsWritten(startWriter(cacheDir, 'other', { packCount: 1 }));
  const pack = writerPack('other', 0);
  const [blob] = directoryOf(pack).blobs as [ReturnType<typeof directoryOf>['blobs'][0]];

  assert.equal(index.copies(blob.id).length, 1);
  assert.equal(index.lookUp(blob.id), 'other');
});

test('a writer killed beside a live process leaves the cache to that one', async (t) => {
  const cacheDir = tempDir(t);
  const index = await LocalIndex.open({ cacheDir, repositoryId });
  await index.addPack(writerPack('own', 0));
  const writer = startWriter(cacheDir, 'killed', { packCount: 100_000 });
  const count = await packsWritten(writer, 5);
  writer.kill('SIGKILL');
  await once(writer, 'exit');

  await index.addPack(writerPack('own', 1));
  for (let i = 0; i < count; i++) assertFound(index, writerPack('killed', i));
  await index.close();

  assert.deepEqual(namesIn(cacheDir).sort(), ['CACHEDIR.TAG', 'clean', 'data.mdb', 'lock.mdb']);
  const again = await LocalIndex.open({ cacheDir, repositoryId });
  t.after(() => again.close());
  for (const i of [0, 1]) assertFound(again, writerPack('own', i));
});

test('a writer without address space or disk may die; what it finished is there', async (t) => {
  for (const limit of ['--as', '--fsize'] as const) {
    const cacheDir = tempDir(t);
    const writer = startWriter(cacheDir, 'limited', { packCount: 2000 });
    const first = await packsWritten(writer, 0);
    const size = limit === '--as' ? addressSpaceOf(writer) + 2 ** 22 : 2 ** 20;
    execFileSync('prlimit', [`${limit}=${size}:unlimited`, '--pid', String(writer.pid)]);
    const count = first + (await packsWritten(writer));
    assert.ok(count < 2000);

    const index = await LocalIndex.open({ cacheDir, repositoryId });
    t.after(() => index.close());
    for (let i = 0; i < Math.min(count, 50); i++) assertFound(index, writerPack('limited', i));
    await index.addPack(writerPack('own', 0));
    assertFound(index, writerPack('own', 0));
  }
});

function addressSpaceOf(writer: Writer): number {
  const status = readFileSync(`/proc/${writer.pid}/status`, 'latin1');
  return 1024 * Number(/VmSize:\s+(\d+)/.exec(status)?.[1]);
}
