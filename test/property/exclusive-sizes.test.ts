/**
 * What is exclusive to snapshots and directories, against a naive count: every place that needs a blob
 * is written down, and a directory has those blobs all of whose places lie in it.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BLOB_TYPE } from '../../src/blob/blob-type.ts';
import { measureSnapshots, measureTree } from '../../src/browse/exclusive-sizes.ts';
import { type BlobId, blobKey } from '../../src/id.ts';
import { countedCopy, storedShare } from '../../src/repository/counted-copy.ts';
import { openFixedAccess, type ReadAccess } from '../../src/repository/read-access.ts';
import type { Repository } from '../../src/repository/repository.ts';
import type { Snapshot } from '../../src/snapshot/selection.ts';
import { decodeChunkList } from '../../src/tree/chunk-list.ts';
import type { Node } from '../../src/tree/node.ts';
import { decodePage } from '../../src/tree/page.ts';
import { type ForgedEntry, forgeSnapshot, type Pool } from '../helpers/forged-trees.ts';
import { similarPlaintexts, storePack } from '../helpers/record-writer-packs.ts';
import { testSeed } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import { inScope, newClient, snapshot } from '../helpers/test-repository.ts';
import { materialize, treeArbitrary } from '../helpers/tree-model.ts';

/** Blobs, and the places that need each of them: "snapshot/name/name", with ids as latin1. */
class Places {
  readonly #access: ReadAccess;
  readonly #places = new Map<string, { id: BlobId; paths: string[] }>();
  readonly #base: (id: BlobId) => BlobId | undefined;
  /** Of directories and files: bytes of files in them. */
  readonly rawSizes = new Map<string, bigint>();
  /** In the order of the walk. */
  readonly directories: string[] = [];

  constructor(access: ReadAccess) {
    this.#access = access;
    const { index } = access.sync;
    this.#base = (id) => {
      const copy = countedCopy(index, id);
      return copy && index.directory(copy.packNo)?.blobs[copy.slot]?.delta?.base;
    };
  }

  async addSnapshot({ id, manifest }: Snapshot): Promise<void> {
    this.directories.push(id);
    this.rawSizes.set(id, manifest.root.bytes);
    await this.#addPage(manifest.root.id, id);
  }

  /** How many blobs only this place needs, and what they take. */
  exclusive(path: string): { blobs: number; size: number } {
    const { index } = this.#access.sync;
    const sums = { blobs: 0, size: 0 };
    for (const { id, paths } of this.#places.values()) {
      if (!paths.every((one) => one === path || one.startsWith(`${path}/`))) continue;
      const copy = countedCopy(index, id);
      const directory = copy && index.directory(copy.packNo);
      const blob = copy && directory?.blobs[copy.slot];
      assert.ok(directory !== undefined && blob !== undefined);
      sums.blobs += 1;
      sums.size += storedShare(blob, directory.frames);
    }
    return sums;
  }

  #add(id: BlobId, path: string): void {
    const key = blobKey(id);
    const place = this.#places.get(key) ?? { id, paths: [] };
    place.paths.push(path);
    this.#places.set(key, place);
    const base = this.#base(id);
    if (base !== undefined) this.#add(base, path);
  }

  async #addPage(id: BlobId, path: string): Promise<void> {
    this.#add(id, path);
    const page = decodePage(await this.#access.read(id, BLOB_TYPE.treePage));
    if (page.kind === 'inner') {
      for (const child of page.children) await this.#addPage(child.id, path);
      return;
    }
    for (const entry of page.entries) {
      const name = Buffer.from(entry.name).toString('latin1');
      await this.#addNode(entry as Node, `${path}/${name}`);
    }
  }

  async #addNode(node: Node, path: string): Promise<void> {
    const { attributeBlob, directory, content, size } = node;
    if (node.type === 'd') this.directories.push(path);
    this.rawSizes.set(path, directory?.bytes ?? size ?? 0n);
    if (attributeBlob !== undefined) this.#add(attributeBlob, path);
    if (directory !== undefined) await this.#addPage(directory.id, path);
    if (content?.kind === 'blob') this.#add(content.id, path);
    if (content?.kind === 'list') await this.#addList(content.id, path);
  }

  async #addList(id: BlobId, path: string): Promise<void> {
    this.#add(id, path);
    const list = decodeChunkList(await this.#access.read(id, BLOB_TYPE.chunkList));
    for (const child of list.children) {
      if (list.height > 0) await this.#addList(child.id as BlobId, path);
      else if (child.id !== undefined) this.#add(child.id, path);
    }
  }
}

interface Measured {
  rawSize: bigint;
  exclusiveSize: number;
  exclusiveBlobs: number;
}

function assertMeasured(measured: Measured, places: Places, path: string): void {
  const { blobs, size } = places.exclusive(path);
  assert.equal(measured.exclusiveBlobs, blobs, `blobs of ${path}`);
  assert.equal(measured.rawSize, places.rawSizes.get(path), `raw size of ${path}`);
  // Shares of frames are fractions, and are added up in another order.
  assert.ok(Math.abs(measured.exclusiveSize - size) < 1, `${measured.exclusiveSize} of ${path}`);
}

/** Paths of a snapshot that are measured, of small trees all. */
const pathsMax = 20;

function depthOf(path: string): number {
  return path.split('/').length;
}

/** Everything that `du` tells of a repository. */
async function assertAll(repository: Repository, chosen: number, depthMax: number): Promise<void> {
  const access = await openFixedAccess(repository);
  const { snapshots } = access.view;
  const places = new Places(access);
  for (const one of snapshots) await places.addSnapshot(one);

  const sizes = await measureSnapshots(access, snapshots, {});
  assert.equal(sizes.length, snapshots.length);
  for (const size of sizes) assertMeasured(size, places, size.snapshot.id);

  const one = snapshots[chosen % snapshots.length] as Snapshot;
  const below = [...places.rawSizes.keys()].filter((path) => path.startsWith(one.id));
  for (const path of below.slice(0, pathsMax)) {
    const names = path.split('/').slice(1);
    const tree = await measureTree(access, {
      snapshot: one,
      names: names.map((name) => Buffer.from(name, 'latin1')),
      depthMax,
    });
    assertMeasured(tree.snapshot, places, one.id);
    const rows = [...tree.directories];
    for (const row of rows) assertMeasured(row, places, placeOf(one, row.path));
    const isWanted = (other: string): boolean =>
      other === path ||
      (other.startsWith(`${path}/`) &&
        depthOf(other) <= depthOf(path) + depthMax &&
        places.directories.includes(other));
    const wanted = [...places.rawSizes.keys()].filter(isWanted);
    assert.deepEqual(
      rows.map((row) => placeOf(one, row.path)),
      wanted,
    );
  }
}

function placeOf({ id }: Snapshot, path: Uint8Array): string {
  const text = Buffer.from(path).toString('latin1');
  return text === '/' ? id : id + text;
}

const poolSize = 6;
const attributes = fc.option(fc.nat(1), { nil: undefined, freq: 5 });
const nameOf = fc.constantFrom('a', 'b', 'c', 'd', 'e');
const file = fc.record({
  type: fc.constant('f' as const),
  name: nameOf,
  chunks: fc.oneof(
    fc.array(fc.nat(poolSize - 1), { maxLength: 2 }),
    fc.array(fc.nat(poolSize - 1), { maxLength: 7 }),
  ),
  attributes,
});

function entriesOf(depth: number): fc.Arbitrary<ForgedEntry[]> {
  const directory = fc.record({
    type: fc.constant('d' as const),
    name: nameOf,
    entries: depth === 0 ? fc.constant([]) : entriesOf(depth - 1),
    attributes,
  });
  return fc.uniqueArray(fc.oneof(file, { weight: 2, arbitrary: directory }), {
    maxLength: 5,
    selector: ({ name }) => name,
  });
}

/** Entries that take the place of those of an earlier snapshot; and so do some of its own below. */
const history = fc.array(
  fc.record({
    entries: entriesOf(3),
    earlier: fc.option(fc.nat(3)),
    /** A directory of the snapshot that is also put below another one. */
    copied: fc.option(fc.record({ from: fc.nat(4), to: fc.nat(4) })),
  }),
  { minLength: 1, maxLength: 4 },
);

type History = typeof history extends fc.Arbitrary<infer T> ? T : never;

function treesOf(steps: History): ForgedEntry[][] {
  const trees: ForgedEntry[][] = [];
  for (const { entries, earlier, copied } of steps) {
    const before = earlier === null ? [] : (trees[earlier] ?? []);
    const names = new Set(entries.map(({ name }) => name));
    const tree = [...entries, ...before.filter(({ name }) => !names.has(name))];
    const from = copied && tree[copied.from];
    const to = copied && tree[copied.to];
    if (from && to?.type === 'd') {
      const rest = to.entries.filter(({ name }) => name !== 'copy');
      const copy: ForgedEntry = { ...from, name: 'copy' };
      tree[tree.indexOf(to)] = { ...to, entries: [...rest, copy] };
    }
    trees.push(tree);
  }
  return trees;
}

/** For each blob of the pool the one it is a delta on, if any, which comes before it. */
const bases = fc.tuple(...Array.from({ length: poolSize }, () => fc.option(fc.nat(poolSize))));

async function fillPool(
  repository: Repository,
  chosen: readonly (number | null)[],
  copied: number,
): Promise<Pool> {
  const plaintexts = similarPlaintexts(poolSize);
  const depths: number[] = [];
  for (const [i, plaintext] of plaintexts.entries()) {
    const position = chosen[i] ?? poolSize;
    const base = position < i ? plaintexts[position] : undefined;
    depths.push(base === undefined ? 0 : (depths[position] as number) + 1);
    const delta = base && { base, depth: depths[i] as number };
    await storePack(repository, [{ plaintext, ...(delta !== undefined && { delta }) }]);
    if (i === copied) await storePack(repository, [{ plaintext }]);
  }
  return {
    ids: plaintexts.map((plaintext) => repository.identify(BLOB_TYPE.data, plaintext)),
    sizes: plaintexts.map(({ length }) => length),
  };
}

test('exclusive sizes agree with a naive count, over any trees, sharing and deltas', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        steps: history,
        bases,
        copied: fc.nat(2 * poolSize),
        chosen: fc.nat(50),
        depthMax: fc.constantFrom(0, 1, 2, Number.POSITIVE_INFINITY),
      }),
      (given) =>
        inScope(async (scope) => {
          const { repository } = await newClient(scope);
          const pool = await fillPool(repository, given.bases, given.copied);
          for (const tree of treesOf(given.steps)) await forgeSnapshot(repository, pool, tree);

          await assertAll(repository, given.chosen, given.depthMax);
        }),
    ),
    { seed: testSeed, numRuns: 60 },
  );
});

test('exclusive sizes agree with a naive count, over any snapshots of files', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(treeArbitrary, { minLength: 1, maxLength: 3 }),
      fc.nat(50),
      (models, chosen) =>
        inScope(async (scope) => {
          const client = await newClient(scope);
          for (const model of models) {
            const source = tempDir(scope);
            materialize(source, model);
            await snapshot(client, [source]);
          }

          await assertAll(client.repository, chosen, Number.POSITIVE_INFINITY);
        }),
    ),
    { seed: testSeed, numRuns: 10 },
  );
});
