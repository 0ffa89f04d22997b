/** `repair snapshots`: what is left of a damaged snapshot becomes a new one, and the old one stays. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { BLOB_TYPE } from '../../src/blob/blob-type.ts';
import type { BlobId, SessionId } from '../../src/id.ts';
import { repairSnapshots } from '../../src/maintain/repair/repair-snapshots.ts';
import { loadView } from '../../src/repository/view.ts';
import type { Snapshot } from '../../src/snapshot/selection.ts';
import type { Storage } from '../../src/storage/storage.ts';
import type { Node } from '../../src/tree/node.ts';
import { concatBytes, encodeU32 } from '../../src/util/bytes.ts';
import { forge, writePage } from '../helpers/forged-snapshot.ts';
import { b } from '../helpers/raw-path.ts';
import { RecordWriter } from '../helpers/record-writer.ts';
import { assertKept, objectHashes } from '../helpers/repaired.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import {
  type Client,
  check,
  list,
  newStorage,
  objectNames,
  openClient,
  restore,
  snapshot,
  type Taken,
} from '../helpers/test-repository.ts';

interface Damaged {
  storage: Storage;
  client: Client;
  source: string;
  taken: Taken[];
}

/** Two snapshots; the pack of the first is gone, with its file `early` and its directory `old`. */
async function withoutFirstPack(t: TestContext): Promise<Damaged> {
  const storage = await newStorage();
  const writer = await openClient(t, storage);
  const source = join(tempDir(t), 'source');
  mkdirSync(join(source, 'old', 'deep'), { recursive: true });
  writeFileSync(join(source, 'old', 'deep', 'file'), seededRandom(1).bytes(5000));
  writeFileSync(join(source, 'early'), seededRandom(2).bytes(5000));
  const first = await snapshot(writer, [source], { tags: ['daily'] });
  const [pack = ''] = await objectNames(storage, 'meta/');
  mkdirSync(join(source, 'new'));
  writeFileSync(join(source, 'new', 'late'), seededRandom(3).bytes(5000));
  const second = await snapshot(writer, [source], { tags: ['daily'] });
  await storage.delete(pack);
  return { storage, client: await openClient(t, storage), source, taken: [first, second] };
}

async function snapshotOf({ repository }: Client, id: string): Promise<Snapshot> {
  const { snapshots } = await loadView(repository, 'read');
  return snapshots.find((one) => one.id === id) as Snapshot;
}

test('repairSnapshots() takes what is left of a snapshot, and says what is lost', async (t) => {
  const { storage, client, source, taken } = await withoutFirstPack(t);
  const [first, second] = taken as [Taken, Taken];
  const before = await objectHashes(storage);
  const found = await check(client);

  const plan = await repairSnapshots(client.repository, { isDryRun: true });
  const kept = await objectHashes(storage);
  const repair = await repairSnapshots(client.repository);

  assert.deepEqual(kept, before);
  await assertKept(storage, before);
  assert.equal(found.isDamaged, true);
  assert.deepEqual(
    plan.snapshots.map(({ id, repairedId, lostCount }) => [id, repairedId, lostCount]),
    [[second.id, undefined, 2]],
  );
  assert.deepEqual([plan.isApplied, repair.isApplied], [false, true]);
  assert.deepEqual(repair.refused, [{ id: first.id, reason: 'nothing of it is left' }]);
  const [repaired] = repair.snapshots;
  assert.deepEqual(
    repaired?.lost.map(({ path, code }) => [Buffer.from(path).toString(), code]),
    [
      [join(source, 'early'), 'damaged'],
      [join(source, 'old'), 'damaged'],
    ],
  );
  const { manifest } = await snapshotOf(client, repaired?.repairedId as string);
  const old = second.snapshot.manifest;
  assert.deepEqual(manifest.parents, [second.id]);
  assert.deepEqual(manifest.tags, ['daily', 'repaired']);
  assert.deepEqual([manifest.errorCount, manifest.isPartial], [2, true]);
  assert.deepEqual(manifest.errorSample, repaired?.lost);
  for (const field of ['startedNs', 'endedNs', 'host', 'user', 'source', 'roots'] as const) {
    assert.deepEqual(manifest[field], old[field], field);
  }
});

test('repairSnapshots() makes a snapshot that is whole and restores', async (t) => {
  const { storage, client, source } = await withoutFirstPack(t);

  const { snapshots } = await repairSnapshots(client.repository);

  const reader = await openClient(t, storage);
  const chosen = await snapshotOf(reader, snapshots[0]?.repairedId as string);
  const target = tempDir(t);
  const { errorCount } = await restore(reader, { snapshot: chosen, path: source }, target);
  assert.equal(errorCount, 0);
  assert.deepEqual(readdirSync(target).sort(), ['new', 'old']);
  assert.deepEqual(readdirSync(join(target, 'new')), ['late']);
  assert.deepEqual(readdirSync(join(target, 'old')), []);
  const { findings } = await check(reader, true);
  assert.ok(findings.every((one) => !one.snapshots.includes(chosen.id)));
});

test('repairSnapshots() repeated makes no second one', async (t) => {
  const { storage, client, taken } = await withoutFirstPack(t);
  await repairSnapshots(client.repository);
  const repaired = await objectHashes(storage);

  const again = await repairSnapshots(client.repository);

  assert.deepEqual([again.isApplied, again.snapshots], [false, []]);
  assert.deepEqual(again.repairedBefore, [taken[1]?.id]);
  assert.deepEqual(await objectHashes(storage), repaired);
});

test('repairSnapshots() does nothing in a sound repository', async (t) => {
  const storage = await newStorage();
  const client = await openClient(t, storage);
  const source = tempDir(t);
  writeFileSync(join(source, 'file'), 'x');
  await snapshot(client, [source]);
  const before = await objectHashes(storage);

  const repair = await repairSnapshots(client.repository, { isReadingData: true });

  const nothing = { snapshots: [], refused: [], repairedBefore: [], isApplied: false };
  assert.deepEqual(repair, nothing);
  assert.deepEqual(await objectHashes(storage), before);
});

test('repairSnapshots() keeps a file whose attributes are lost', async (t) => {
  const client = await openClient(t, await newStorage());
  const missing = seededRandom(1).bytes(32) as BlobId;
  const empty = { kind: 'empty' } as const;
  const file: Node = { name: b('a'), type: 'f', content: empty, size: 0n, attributeBlob: missing };
  const other: Node = { name: b('b'), type: 'f', content: empty, size: 0n };
  await forge(client.repository, (session) => writePage(session, file, other));

  const { snapshots } = await repairSnapshots(client.repository);

  const lost = snapshots[0]?.lost.map(({ path, code }) => `${Buffer.from(path)} ${code}`);
  assert.deepEqual(lost, ['/a attributes_damaged']);
  const chosen = await snapshotOf(client, snapshots[0]?.repairedId as string);
  assert.deepEqual(await list(client, { snapshot: chosen }), ['/a', '/b']);
});

test('repairSnapshots() says again what a later version has said in the manifest (R02)', async (t) => {
  const { client, taken } = await withoutFirstPack(t);
  const [, second] = taken as [Taken, Taken];
  const { manifest } = second.snapshot;
  const id = 'ab'.repeat(16) as SessionId;
  const laterFields = { comment: 'from a later version' };
  const later = { ...manifest, sessionId: id, laterFields };
  await new RecordWriter(client.repository).snapshot({
    id,
    hash: '',
    storedMs: 0,
    manifest: later,
  });

  const { snapshots } = await repairSnapshots(client.repository);

  const repaired = snapshots.find((one) => one.id === id)?.repairedId ?? '';
  assert.deepEqual((await snapshotOf(client, repaired)).manifest.laterFields, laterFields);
});

test('repairSnapshots() refuses a tree with an entry of a later version (R02)', async (t) => {
  const client = await openClient(t, await newStorage());
  const missing = seededRandom(1).bytes(32) as BlobId;
  const { id } = await forge(client.repository, async (session) => {
    const name = b('future');
    const tag = Uint8Array.of(2, 1, 0x70, 0x80, 0);
    const node = concatBytes(Uint8Array.of(1, name.length), name, tag);
    const head = concatBytes(Uint8Array.of(0, 1, 0, 0), encodeU32(1), Uint8Array.of(node.length));
    const page = await session.write(BLOB_TYPE.treePage, concatBytes(head, node));
    const later = { id: page, height: 0, entries: 1n, bytes: 0n };
    const content = { kind: 'blob', id: missing, length: 7n } as const;
    const lost: Node = { name: b('a'), type: 'f', content, size: 7n };
    return await writePage(session, lost, { name: b('b'), type: 'd', directory: later });
  });

  const { snapshots, refused } = await repairSnapshots(client.repository);

  assert.deepEqual(snapshots, []);
  assert.equal(refused[0]?.id, id);
  assert.match(refused[0]?.reason ?? '', /\/b\/future/);
});
