/** The corpora of the benches: the same every time, as large as asked for, and 1 % is about 1 %. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type CorpusKind, corpusKinds, makeCorpus } from '../../bench/corpus.ts';
import { changeALittle } from '../../bench/corpus-change.ts';
import { seededBytes } from '../../bench/seeded-bytes.ts';
import { ZstdCodec } from '../../src/util/zstd.ts';
import { tempDir } from '../helpers/temp-dir.ts';

const small = { size: 2 ** 22, count: 200 };

function filesOf(root: string): string[] {
  const entries = readdirSync(root, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  return files.map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1)).sort();
}

/** Path to digest of content. */
function digests(root: string): Map<string, string> {
  const digest = (path: string): string =>
    createHash('sha256')
      .update(readFileSync(join(root, path)))
      .digest('hex');
  return new Map(filesOf(root).map((path) => [path, digest(path)]));
}

function sizeOf(root: string): number {
  return filesOf(root).reduce((sum, path) => sum + lstatSync(join(root, path)).size, 0);
}

/** Bytes that are not what they were, those behind a former end included. */
function differenceSize(bytes: Uint8Array, former: Uint8Array = new Uint8Array(0)): number {
  return bytes.reduce((count, byte, i) => count + (byte === former[i] ? 0 : 1), 0);
}

/** One digest over names and contents, which was right when the corpora were last meant to change. */
function fingerprint(root: string): string {
  const listing = [...digests(root)].map(([path, digest]) => `${path} ${digest}\n`).join('');
  return createHash('sha256').update(listing).digest('hex').slice(0, 16);
}

const fingerprints: Readonly<Record<CorpusKind, string>> = {
  mixed: '231f6123fbc4c66c',
  many: 'be7a5e381865a3dd',
  wide: '90fb6a56c31d92dc',
  sparse: '2297ec5c15ee2c99',
};

for (const kind of corpusKinds) {
  test(`makeCorpus() makes the same ${kind} corpus on every machine`, async (t) => {
    const root = join(tempDir(t), 'corpus');

    await makeCorpus(root, { kind, ...small });

    assert.equal(fingerprint(root), fingerprints[kind]);
  });
}

test('makeCorpus() makes a mixed corpus of exactly the size asked for', async (t) => {
  for (const size of [1, 1000, 2 ** 20 + 1]) {
    const root = join(tempDir(t), 'corpus');

    await makeCorpus(root, { kind: 'mixed', ...small, size });

    assert.equal(sizeOf(root), size);
  }
});

test('makeCorpus() makes as many files as asked for, in a tree or in one directory', async (t) => {
  const [many, wide] = [join(tempDir(t), 'many'), join(tempDir(t), 'wide')];

  await makeCorpus(many, { kind: 'many', ...small });
  await makeCorpus(wide, { kind: 'wide', ...small });

  assert.equal(filesOf(many).length, small.count);
  assert.equal(readdirSync(join(wide, 'wide')).length, small.count);
  const inOneDirectory = new Map<string, number>();
  for (const path of filesOf(many)) {
    const directory = path.slice(0, path.lastIndexOf('/'));
    inOneDirectory.set(directory, (inOneDirectory.get(directory) ?? 0) + 1);
  }
  assert.equal(inOneDirectory.size, small.count / 20);
});

test('makeCorpus() copies one file in 16 of a tree, and none by accident', async (t) => {
  const root = join(tempDir(t), 'corpus');

  await makeCorpus(root, { kind: 'many', ...small });

  const distinct = new Set(digests(root).values()).size;
  assert.equal(small.count - distinct, Math.floor(small.count / 16));
});

test('makeCorpus() leaves a sparse file mostly unwritten', async (t) => {
  const root = join(tempDir(t), 'corpus');
  const size = 2 ** 28;

  await makeCorpus(root, { kind: 'sparse', ...small, size });

  const stat = lstatSync(join(root, 'disk.img'));
  assert.equal(stat.size, size);
  assert.ok(stat.blocks * 512 < size / 8, `${stat.blocks} blocks`);
  assert.ok(stat.blocks > 0);
});

test('makeCorpus() stops when its signal aborts', async (t) => {
  const controller = new AbortController();
  const options = { kind: 'many' as const, size: 0, count: 1e6, signal: controller.signal };
  setTimeout(() => controller.abort(), 20);

  await assert.rejects(makeCorpus(join(tempDir(t), 'corpus'), options), { name: 'AbortError' });
});

test('seededBytes() makes content that compresses as its kind says', () => {
  const codec = new ZstdCodec();
  const size = 2 ** 20;
  const ratio = (bytes: Uint8Array): number => codec.compress(bytes, 3).length / bytes.length;
  const source = seededBytes('test');

  const [random, binary, text] = [source.random(size), source.binary(size), source.text(size)];

  assert.deepEqual(
    [random, binary, text].map(({ length }) => length),
    [size, size, size],
  );
  assert.ok(ratio(random) > 1, `random: ${ratio(random)}`);
  assert.ok(ratio(binary) > 0.3 && ratio(binary) < 0.7, `binary: ${ratio(binary)}`);
  assert.ok(ratio(text) > 0.2 && ratio(text) < 0.5, `text: ${ratio(text)}`);
});

test('changeALittle() touches one small file in a hundred, the same ones every time', async (t) => {
  const roots = [join(tempDir(t), 'a'), join(tempDir(t), 'b')] as const;
  for (const root of roots) await makeCorpus(root, { kind: 'many', ...small, count: 400 });
  const before = digests(roots[0]);

  for (const root of roots) changeALittle([root], 1);

  const after = digests(roots[0]);
  assert.deepEqual(after, digests(roots[1]));
  const gone = [...before.keys()].filter((path) => !after.has(path));
  const added = [...after.keys()].filter((path) => !before.has(path));
  const changed = [...before].filter(([path, digest]) => after.get(path) !== digest);
  const renamed = added.filter((path) => [...before.values()].includes(after.get(path)!));
  assert.equal(changed.length, 4);
  // Half of them have another name, half of those other bytes, too.
  assert.deepEqual([gone.length, added.length, renamed.length], [2, 2, 1]);
});

test('changeALittle() changes about 1 % of the bytes of a mixed corpus', async (t) => {
  const root = join(tempDir(t), 'corpus');
  const size = 2 ** 22;
  await makeCorpus(root, { kind: 'mixed', ...small, size });
  const before = new Map(filesOf(root).map((path) => [path, readFileSync(join(root, path))]));

  changeALittle([root], 1);

  const changedSize = filesOf(root).reduce(
    (sum, path) => sum + differenceSize(readFileSync(join(root, path)), before.get(path)),
    0,
  );
  assert.ok(changedSize > size / 150 && changedSize < size / 70, `${changedSize} of ${size}`);
});

test('changeALittle() changes 1 % of a large file in place, elsewhere in each round', (t) => {
  const root = join(tempDir(t), 'corpus');
  const size = 2 ** 24 + 1;
  const original = seededBytes('large').binary(size);
  mkdirSync(root);
  writeFileSync(join(root, 'large'), original);
  const differing: number[] = [];

  for (const round of [1, 2]) {
    changeALittle([root], round);
    const bytes = readFileSync(join(root, 'large'));
    assert.equal(bytes.length, size);
    differing.push(differenceSize(bytes, original));
  }

  const stretch = Math.ceil(size / 100);
  assert.deepEqual(differing, [stretch, 2 * stretch]);
});
