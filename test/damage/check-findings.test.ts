import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { BlobIdentifier } from '../../src/blob/blob-ids.ts';
import { BLOB_TYPE } from '../../src/blob/blob-type.ts';
import { StorageError, VarveError } from '../../src/errors.ts';
import type { BlobId, PackName } from '../../src/id.ts';
import { KEY_CLASS } from '../../src/keys/key-hierarchy.ts';
import type { FindingKind } from '../../src/maintain/finding.ts';
import { openPack } from '../../src/pack/pack-reader.ts';
import { OBJECT_KIND } from '../../src/record/object-kind.ts';
import { loadView } from '../../src/repository/view.ts';
import type { Snapshot } from '../../src/snapshot/selection.ts';
import { isObjectName } from '../../src/storage/names.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { type Content, contentLength } from '../../src/tree/content.ts';
import type { Node } from '../../src/tree/node.ts';
import { toHex } from '../../src/util/bytes.ts';
import { compareTrees } from '../helpers/compare-trees.ts';
import { interceptStorage } from '../helpers/fault-storage.ts';
import { forge, refusedPage, writePage } from '../helpers/forged-snapshot.ts';
import { b } from '../helpers/raw-path.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import {
  type Client,
  check,
  flipStored,
  newDirectoryStorage,
  newStorage,
  objectNames,
  openClient,
  replaceObject,
  restore,
  snapshot,
  type Taken,
} from '../helpers/test-repository.ts';

/**
 * Two snapshots, each with a pack of its own: `first` has the directory `one`, `second` has `two`
 * beside it, and shares with the first what is in `one`.
 */
interface Sound {
  readonly storage: Storage;
  readonly client: Client;
  readonly source: string;
  readonly first: Taken;
  readonly second: Taken;
  readonly packOfFirst: string;
  readonly packOfSecond: string;
}

async function soundRepository(t: TestContext, isOnDisk = false): Promise<Sound> {
  const storage = isOnDisk ? await newDirectoryStorage(t) : await newStorage();
  const client = await openClient(t, storage);
  const source = join(tempDir(t), 'source');
  const random = seededRandom();
  mkdirSync(join(source, 'one'), { recursive: true });
  for (const name of ['a', 'b']) writeFileSync(join(source, 'one', name), random.bytes(100_000));
  const first = await snapshot(client, [source]);
  const [packOfFirst = ''] = await objectNames(storage, 'meta/');
  mkdirSync(join(source, 'two'));
  writeFileSync(join(source, 'two', 'c'), random.bytes(100_000));
  const second = await snapshot(client, [source]);
  const packOfSecond = (await objectNames(storage, 'meta/')).find((name) => name !== packOfFirst);
  assert(packOfSecond !== undefined);
  return { storage, client, source, first, second, packOfFirst, packOfSecond };
}

type Which = 'first' | 'second' | 'forged';

interface Damage {
  /** Storage name or id that the finding must give. */
  readonly object: string;
  /** The snapshot that was committed with something wrong in it. */
  readonly forged?: Snapshot;
}

interface Fixture {
  readonly damage: (sound: Sound) => Promise<Damage>;
  readonly isReadingData?: boolean;
  /** Every kind that is found, sorted. */
  readonly finds: readonly FindingKind[];
  /** Whom the finding names as hurt, and where. */
  readonly hurts?: readonly Which[];
  readonly paths?: readonly string[];
  /** What is no longer there or restores with errors; everything else restores as it was. */
  readonly loses?: readonly Which[];
  /** It is told, and is no damage. */
  readonly isNote?: boolean;
  /** Storage in memory holds objects only. */
  readonly isOnDisk?: boolean;
  /** Only a client with memory can know. */
  readonly needsMemory?: boolean;
}

/**
 * A fixture for each kind, by the same name: the compiler sees to it that none is left out. What is
 * no damage has a test of its own (`check-deltas.test.ts`).
 */
const fixtures: Record<Exclude<FindingKind, 'delta-stranded'>, Fixture> = {
  'record-damaged': {
    damage: ({ storage, second }) => flipIn(storage, `snapshots/${second.id}`, 200),
    finds: ['record-damaged'],
    loses: ['second'],
  },
  'pack-missing': {
    damage: async ({ storage, packOfSecond }) => {
      await storage.delete(packOfSecond);
      return { object: packOfSecond };
    },
    finds: ['blob-missing', 'pack-missing'],
    loses: ['second'],
  },
  'pack-size-mismatch': {
    damage: async ({ storage, packOfSecond }) => {
      const bytes = await storage.get(packOfSecond);
      await replaceObject(storage, packOfSecond, bytes.subarray(0, 1000));
      return { object: packOfSecond };
    },
    finds: ['blob-unreadable', 'pack-size-mismatch'],
    loses: ['second'],
  },
  'pack-directory-damaged': {
    damage: ({ storage, packOfSecond }) => flipIn(storage, packOfSecond, -100),
    finds: ['pack-directory-damaged'],
  },
  'pack-damaged': {
    damage: (sound) => flipFrame(sound, KEY_CLASS.data),
    isReadingData: true,
    finds: ['blob-unreadable', 'pack-damaged'],
    loses: ['second'],
  },
  'blob-damaged': {
    damage: async ({ client: { repository } }) => {
      const id = seededRandom(1).bytes(32) as BlobId;
      const identify: BlobIdentifier = (type, plaintext) =>
        type === BLOB_TYPE.data ? id : repository.identify(type, plaintext);
      const forged = await forge({ ...repository, identify }, async (session) => {
        await session.write(BLOB_TYPE.data, b('content'));
        return await writePage(session, fileNode({ kind: 'blob', id, length: 7n }));
      });
      return { object: toHex(id), forged };
    },
    isReadingData: true,
    finds: ['blob-damaged', 'blob-unreadable'],
    loses: ['forged'],
  },
  'blob-missing': {
    damage: async ({ client: { repository } }) => {
      const id = seededRandom(1).bytes(32) as BlobId;
      const forged = await forge(repository, (session) =>
        writePage(session, fileNode({ kind: 'blob', id, length: 7n })),
      );
      return { object: toHex(id), forged };
    },
    finds: ['blob-missing'],
    hurts: ['forged'],
    paths: ['/file'],
    loses: ['forged'],
  },
  'blob-unreadable': {
    damage: async (sound) => {
      await flipFrame(sound, KEY_CLASS.metadata);
      return { object: toHex(sound.second.snapshot.manifest.root.id) };
    },
    finds: ['blob-unreadable'],
    hurts: ['second'],
    paths: ['/'],
    loses: ['second'],
  },
  'tree-malformed': {
    damage: async ({ client: { repository } }) => {
      const forged = await forge(repository, async (session) => {
        const root = await writePage(session, fileNode({ kind: 'empty' }));
        return { ...root, entries: 2n };
      });
      return { object: toHex(forged.manifest.root.id), forged };
    },
    finds: ['tree-malformed'],
    hurts: ['forged'],
    paths: ['/'],
    loses: ['forged'],
  },
  'chunk-length-mismatch': {
    damage: async ({ client: { repository } }) => {
      const forged = await forge(repository, async (session) => {
        const id = await session.write(BLOB_TYPE.data, b('content'));
        return await writePage(session, fileNode({ kind: 'blob', id, length: 8n }));
      });
      return { object: toHex(repository.identify(BLOB_TYPE.data, b('content'))), forged };
    },
    finds: ['chunk-length-mismatch'],
    hurts: ['forged'],
    paths: ['/file'],
    loses: ['forged'],
  },
  'node-refused': {
    damage: async ({ client: { repository } }) => {
      const forged = await forge(repository, async (session) => {
        const id = await session.write(BLOB_TYPE.treePage, refusedPage());
        return { id, height: 0, entries: 1n, bytes: 0n };
      });
      return { object: '/future', forged };
    },
    finds: ['node-refused'],
    hurts: ['forged'],
    paths: ['/future'],
    loses: ['forged'],
  },
  'repository-rolled-back': {
    damage: async ({ storage, second }) => {
      await storage.delete(`snapshots/${second.id}`);
      return { object: 'memory' };
    },
    finds: ['repository-rolled-back'],
    loses: ['second'],
    needsMemory: true,
  },
  'key-slot-damaged': {
    damage: async ({ storage }) => {
      const name = `keys/${'0'.repeat(32)}`;
      await storage.putIfAbsent(name, seededRandom().bytes(300));
      return { object: name };
    },
    finds: ['key-slot-damaged'],
  },
  'foreign-file': {
    damage: async ({ storage }) => {
      writeFileSync(join(storage.location, 'notes.txt'), 'notes');
      return { object: 'notes.txt' };
    },
    finds: ['foreign-file'],
    isNote: true,
    isOnDisk: true,
  },
  'pack-unindexed': {
    damage: async ({ storage, second, packOfSecond }) => {
      const [segment] = second.snapshot.manifest.segments;
      await storage.delete(`index/0-${segment}`);
      return { object: packOfSecond };
    },
    finds: ['pack-unindexed'],
    hurts: ['second'],
  },
};

for (const [kind, fixture] of Object.entries(fixtures)) {
  for (const who of ['its writer', 'a new client']) {
    if (fixture.needsMemory === true && who === 'a new client') continue;
    test(`check() by ${who} finds ${kind}`, async (t) => {
      const sound = await soundRepository(t, fixture.isOnDisk);
      const damage = await fixture.damage(sound);
      const client = who === 'its writer' ? sound.client : await openClient(t, sound.storage);
      const before = await hashes(sound.storage, fixture.isOnDisk);

      const result = await check(client, fixture.isReadingData);

      assert.deepEqual(await hashes(sound.storage, fixture.isOnDisk), before);
      const explanation = result.findings.map((one) => `${one.kind}: ${one.message}`).join('\n');
      const kinds = new Set(result.findings.map((one) => one.kind));
      assert.deepEqual([...kinds].sort(), fixture.finds, explanation);
      assert.equal(result.isDamaged, fixture.isNote !== true);
      const found = result.findings.filter((one) => one.kind === kind);
      assert.deepEqual(
        found.map(({ object }) => object),
        [damage.object],
        explanation,
      );
      const { hurts = [], paths = [], loses = [] } = fixture;
      const ids = { first: sound.first.id, second: sound.second.id, forged: damage.forged?.id };
      assert.deepEqual(
        found[0]?.snapshots,
        hurts.map((which) => ids[which]),
      );
      assert.deepEqual(
        found[0]?.paths.map((path) => Buffer.from(path).toString()),
        paths,
      );
      assert.deepEqual(await lostSnapshots(t, sound, { client, forged: damage.forged }), loses);
    });
  }
}

test('check() finds nothing in a sound repository and changes nothing', async (t) => {
  const sound = await soundRepository(t);
  const client = await openClient(t, sound.storage);
  const before = await hashes(sound.storage);

  const result = await check(client, true);

  assert.deepEqual(result.findings, []);
  assert.equal(result.isDamaged, false);
  assert.deepEqual([result.snapshots, result.packs], [2, 2]);
  assert.deepEqual(await hashes(sound.storage), before);
  assert.deepEqual(await lostSnapshots(t, sound, { client }), []);
});

for (const who of ['its writer', 'a new client']) {
  test(`check() by ${who} finds a damaged index segment, which costs nothing else`, async (t) => {
    const sound = await soundRepository(t);
    const [segment] = sound.first.snapshot.manifest.segments;
    const { object } = await flipIn(sound.storage, `index/0-${segment}`, 100);
    const client = who === 'its writer' ? sound.client : await openClient(t, sound.storage);

    const { findings } = await check(client);

    const damaged = findings.filter(({ kind }) => kind === 'record-damaged');
    assert.deepEqual(
      damaged.map((finding) => finding.object),
      [object],
    );
    assert.deepEqual(await lostSnapshots(t, sound, { client }), []);
  });
}

test('check() notes the pack of a session that was killed', async (t) => {
  const sound = await soundRepository(t);
  const { storage, second, packOfSecond } = sound;
  const [segment] = second.snapshot.manifest.segments;
  await storage.delete(`index/0-${segment}`);
  await storage.delete(`snapshots/${second.id}`);
  const client = await openClient(t, storage);

  const { findings, isDamaged } = await check(client, true);

  assert.deepEqual(
    findings.map(({ kind, severity, object }) => [kind, severity, object]),
    [['pack-unindexed', 'note', packOfSecond]],
  );
  assert.equal(isDamaged, false);
});

test('check({ isReadingData }) reads packs that no segment names', async (t) => {
  const sound = await soundRepository(t);
  const [segment] = sound.second.snapshot.manifest.segments;
  await sound.storage.delete(`index/0-${segment}`);
  await flipFrame(sound, KEY_CLASS.data);
  const client = await openClient(t, sound.storage);

  const { findings } = await check(client, true);

  const kinds = [...new Set(findings.map(({ kind }) => kind))].sort();
  assert.deepEqual(kinds, ['blob-unreadable', 'pack-damaged', 'pack-unindexed']);
});

test('check({ isReadingData }) finds what only the trees tell', async (t) => {
  const kinds = ['blob-missing', 'tree-malformed', 'node-refused'] as const;
  for (const kind of kinds) {
    const sound = await soundRepository(t);
    const { object } = await fixtures[kind].damage(sound);

    const { findings } = await check(await openClient(t, sound.storage), true);

    assert.deepEqual(
      findings.map((finding) => [finding.kind, finding.object]),
      [[kind, object]],
    );
  }
});

test('takeSnapshot() names the packs of a lost segment again', async (t) => {
  const sound = await soundRepository(t);
  const [segment] = sound.second.snapshot.manifest.segments;
  await sound.storage.delete(`index/0-${segment}`);

  const { newBlobs } = await snapshot(sound.client, [sound.source]);

  assert.equal(newBlobs, 0);
  assert.deepEqual((await check(sound.client)).findings, []);
});

/** Changes one bit of the byte at `offset`, from the end when negative. */
async function flipIn(storage: Storage, name: string, offset: number): Promise<Damage> {
  await flipStored(storage, name, offset);
  return { object: name };
}

/** Damages the first frame of that class in the second pack. */
async function flipFrame(sound: Sound, keyClass: number): Promise<Damage> {
  const { storage, client, packOfSecond } = sound;
  const name = packOfSecond.split('/').at(-1) as PackName;
  const bytes = await storage.get(packOfSecond);
  const { directory } = openPack(client.repository.keys, {
    name,
    kind: OBJECT_KIND.metadataPack,
    bytes,
  });
  const frame = directory.frames.find((one) => one.class === keyClass);
  return await flipIn(storage, packOfSecond, (frame?.offset ?? 0) + 10);
}

function fileNode(content: Content): Node {
  return { name: b('file'), type: 'f', content, size: contentLength(content) };
}

/** SHA-256 of every object by name. */
async function hashes(storage: Storage, isOnDisk = false): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const names = await objectNames(storage);
  for (const name of isOnDisk ? names.filter(isObjectName) : names) {
    found.set(
      name,
      createHash('sha256')
        .update(await storage.get(name))
        .digest('hex'),
    );
  }
  return found;
}

/** Snapshots that are not listed, or do not restore as they were. */
async function lostSnapshots(
  t: TestContext,
  { source, first, second }: Sound,
  { client, forged }: { client: Client; forged?: Snapshot | undefined },
): Promise<Which[]> {
  const { snapshots } = await loadView(client.repository, 'read');
  const taken = { first: first.snapshot, second: second.snapshot, forged };
  const lost: Which[] = [];
  for (const [which, chosen] of Object.entries(taken) as [Which, Snapshot | undefined][]) {
    if (chosen === undefined) continue;
    const target = tempDir(t);
    const path = { first: join(source, 'one'), second: source, forged: '/' }[which];
    const isListed = snapshots.some(({ id }) => id === chosen.id);
    if (!isListed || !(await restoresWhole(client, { snapshot: chosen, path }, target))) {
      lost.push(which);
    } else if (which !== 'forged') {
      assert.deepEqual(compareTrees(path, target), []);
    }
  }
  return lost;
}

async function restoresWhole(
  client: Client,
  from: { snapshot: Snapshot; path: string },
  target: string,
): Promise<boolean> {
  try {
    return (await restore(client, from, target)).errorCount === 0;
  } catch (error) {
    if (error instanceof VarveError) return false;
    throw error;
  }
}

test('a check comes to its end where the index cannot be made anew', async (t) => {
  const { storage, packOfSecond } = await soundRepository(t);
  const bytes = await storage.get(packOfSecond);
  const zeros = new Uint8Array(bytes.length);
  await replaceObject(storage, packOfSecond, zeros);
  let wasSeen = false;
  const failing = interceptStorage(storage, async ({ operation, name }, run) => {
    if (name === packOfSecond) wasSeen = true;
    const isFailing = wasSeen && operation === 'list' && name === 'index/';
    if (isFailing) throw new StorageError('list', name, 'simulated');
    return await run();
  });
  const stranger = await openClient(t, failing);

  const { isDamaged } = await check(stranger);

  assert.equal(isDamaged, true);
});
