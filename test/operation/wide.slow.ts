/**
 * Trees that are large in one way each: one directory of 200,000 entries, 100,000 small files in
 * many directories, one file of 10 GiB that is holes but for islands of data. Saved, saved again
 * unchanged, saved with 1 % changed, and restored, with two threads: what was read and stored again
 * is what changed, and memory is bounded.
 */
import assert from 'node:assert/strict';
import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type CorpusOptions, makeCorpus } from '../../bench/corpus.ts';
import { changeALittle } from '../../bench/corpus-change.ts';
import type { SnapshotResult } from '../../src/index.ts';
import { compareTrees } from '../helpers/compare-trees.ts';
import {
  lackOfDisk,
  newPlace,
  type Watched,
  type WatchedPlace,
  watchRestore,
  watchSnapshot,
} from '../helpers/watched-operation.ts';

const gib = 2 ** 30;
const memorySizeMax = 512 * 2 ** 20;
const jobs = 2;
/** Pages of the root and of the directories above the source, whose times change by themselves. */
const pagesAbove = 4;

const corpora: readonly (CorpusOptions & { title: string; disk: number })[] = [
  { title: 'a directory of 200,000 files', kind: 'wide', count: 200_000, size: 0, disk: 3 * gib },
  { title: 'a tree of 100,000 files', kind: 'many', count: 100_000, size: 0, disk: 3 * gib },
  {
    title: 'a file of 10 GiB with islands',
    kind: 'sparse',
    count: 0,
    size: 10 * gib,
    disk: 12 * gib,
  },
];

/** What the system says of each file, by its path: not what varve says. */
type Files = ReadonlyMap<string, { readonly ctimeNs: bigint; readonly size: bigint }>;

function filesBelow(directory: string): Files {
  const files = new Map<string, { ctimeNs: bigint; size: bigint }>();
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const { ctimeNs, size } = lstatSync(path, { bigint: true });
    files.set(path, { ctimeNs, size });
  }
  return files;
}

interface Expected {
  files: number;
  filesNew: number;
  filesChanged: number;
  filesUnchanged: number;
  bytes: bigint;
  bytesRead: bigint;
  errorCount: number;
}

function expectedOf(before: Files, after: Files): Expected {
  const sum = { filesNew: 0, filesChanged: 0, filesUnchanged: 0, bytes: 0n, bytesRead: 0n };
  for (const [path, { ctimeNs, size }] of after) {
    const known = before.get(path);
    const isUnchanged = known?.ctimeNs === ctimeNs;
    sum.bytes += size;
    if (!isUnchanged) sum.bytesRead += size;
    if (isUnchanged) sum.filesUnchanged += 1;
    else if (known === undefined) sum.filesNew += 1;
    else sum.filesChanged += 1;
  }
  return { ...sum, files: after.size, errorCount: 0 };
}

function pick<T extends object>(from: T, like: Partial<T>): Partial<T> {
  const keys = Object.keys(like) as (keyof T)[];
  return Object.fromEntries(keys.map((key) => [key, from[key]])) as Partial<T>;
}

function tell(t: TestContext, what: string, { peak }: Watched<unknown>): void {
  t.diagnostic(`${what}: at most ${Math.round(peak / 2 ** 20)} MiB of anonymous memory`);
  assert.ok(peak <= memorySizeMax, `${what}: ${peak} bytes`);
}

async function save(
  t: TestContext,
  place: WatchedPlace,
  step: { what: string; before: Files; after: Files },
): Promise<SnapshotResult> {
  const watched = await watchSnapshot(place);
  tell(t, step.what, watched);
  const expected = expectedOf(step.before, step.after);
  assert.deepEqual(pick<SnapshotResult>(watched.result, expected), expected, step.what);
  return watched.result;
}

for (const { title, disk, ...options } of corpora) {
  test(`${title} is saved, saved again, changed and restored`, async (t) => {
    const place = { ...(await newPlace(t)), jobs };
    const lack = lackOfDisk(place, disk);
    if (lack !== undefined) {
      t.skip(lack);
      return;
    }
    const corpus = join(place.source, 'corpus');
    await makeCorpus(corpus, options);
    const first = filesBelow(corpus);

    const saved = await save(t, place, { what: 'first', before: new Map(), after: first });
    const again = await save(t, place, { what: 'unchanged', before: first, after: first });
    changeALittle([corpus], 1);
    const second = filesBelow(corpus);
    const changed = await save(t, place, { what: '1 % changed', before: first, after: second });
    const restored = await watchRestore(place);

    assert.equal(saved.parent, undefined);
    assert.equal(again.parent, saved.id);
    assert.ok(again.newBlobs <= pagesAbove, `${again.newBlobs} blobs of an unchanged tree`);
    assert.equal(changed.parent, again.id);
    tell(t, 'restore', restored);
    assert.deepEqual([restored.result.files, restored.result.errorCount], [second.size, 0]);
    assert.deepEqual(compareTrees(place.source, place.target), []);
  });
}
