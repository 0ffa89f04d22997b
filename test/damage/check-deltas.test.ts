/**
 * Deltas in `check`: whatever is wrong with a chain is told with the blob, its pack and its base, and
 * with every snapshot and path that needs the blob. Chains run through packs of their own, so that a
 * worker finds every base in another pack than its delta.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { BLOB_TYPE } from '../../src/blob/blob-type.ts';
import type { BlobId } from '../../src/id.ts';
import { type CheckResult, checkRepository } from '../../src/maintain/check.ts';
import type { Finding } from '../../src/maintain/finding.ts';
import { type PackReport, startPackData } from '../../src/maintain/pack-data.ts';
import { packStorageName } from '../../src/pack/pack-record.ts';
import { planBases } from '../../src/repository/base-plan.ts';
import { initRepository } from '../../src/repository/init-repository.ts';
import { openFixedAccess } from '../../src/repository/read-access.ts';
import type { Repository } from '../../src/repository/repository.ts';
import type { Snapshot } from '../../src/snapshot/selection.ts';
import { createStorage } from '../../src/storage/location.ts';
import type { Node } from '../../src/tree/node.ts';
import { concatBytes, toHex } from '../../src/util/bytes.ts';
import { forge, writePage } from '../helpers/forged-snapshot.ts';
import { b } from '../helpers/raw-path.ts';
import { RecordWriter } from '../helpers/record-writer.ts';
import { type PlannedBlob, similarPlaintexts, storePack } from '../helpers/record-writer-packs.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import { openClient } from '../helpers/test-repository.ts';

const threadCounts = [0, 2];

async function newRepository(t: TestContext): Promise<Repository> {
  const storage = await createStorage(join(tempDir(t), 'repository'));
  await initRepository({ storage, credential: { kind: 'none' } });
  return (await openClient(t, storage)).repository;
}

/** Stores each blob in a pack of its own; gives the names of the packs. */
async function storeApart(
  repository: Repository,
  blobs: readonly PlannedBlob[],
): Promise<string[]> {
  const names: string[] = [];
  for (const blob of blobs) names.push(packStorageName(await storePack(repository, [blob])));
  return names;
}

/** The first whole, every other one a delta on the one before. */
function chainOf(versions: readonly Uint8Array[]): PlannedBlob[] {
  return versions.map((plaintext, i) => {
    const base = versions[i - 1];
    const delta = base && { base, depth: Math.min(i, 32) };
    return { plaintext, ...(delta !== undefined && { delta }) };
  });
}

/** A snapshot with one file for each of these contents, `0`, `1`, … in their order. */
async function saveFiles(
  repository: Repository,
  contents: readonly { id: BlobId; length: number }[],
): Promise<Snapshot> {
  const nodes = contents.map(({ id, length }, i): Node => {
    const name = b(String(i).padStart(2, '0'));
    const content = { kind: 'blob' as const, id, length: BigInt(length) };
    return { name, type: 'f', content, size: BigInt(length) };
  });
  return await forge(repository, (session) => writePage(session, ...nodes));
}

function fileOf(repository: Repository, plaintext: Uint8Array) {
  return { id: repository.identify(BLOB_TYPE.data, plaintext), length: plaintext.length };
}

/** The same with every number of threads. */
async function checkAll(repository: Repository): Promise<CheckResult> {
  const results: CheckResult[] = [];
  for (const jobs of threadCounts) {
    results.push(await checkRepository({ ...repository, jobs }, { isReadingData: true }));
  }
  const [first] = results as [CheckResult];
  for (const { findings } of results) assert.deepEqual(findings, first.findings);
  return first;
}

interface Expected {
  readonly repository: Repository;
  readonly snapshot: Snapshot;
  readonly paths: readonly string[];
  readonly plaintext: Uint8Array;
  readonly pack: string;
  /** Id of its base. */
  readonly base: Uint8Array;
  readonly says: RegExp;
}

/** What is told of one blob: damage with its place, and whom that hurts. */
function assertTold({ findings }: CheckResult, expected: Expected): void {
  const { repository, snapshot, paths, plaintext, pack, base, says } = expected;
  const object = toHex(fileOf(repository, plaintext).id);
  const told = findings.filter((finding) => finding.object === object);
  assert.deepEqual(
    told.map(({ kind }) => kind),
    ['blob-damaged', 'blob-unreadable'],
    told.map(({ message }) => message).join('\n'),
  );
  const [damaged, unreadable] = told as [Finding, Finding];
  for (const text of [object, pack, `a delta on ${toHex(base)}`]) {
    assert.ok(damaged.message.includes(text), `${damaged.message} does not name ${text}`);
  }
  assert.match(damaged.message, says);
  assert.deepEqual(unreadable.snapshots, [snapshot.id]);
  assert.deepEqual(
    unreadable.paths.map((path) => Buffer.from(path).toString()),
    paths,
  );
}

/** Blobs that are told to be damaged or unreadable, hex. */
function badBlobs({ findings }: CheckResult): Set<string> {
  return new Set(
    findings.filter(({ kind }) => kind !== 'pack-unindexed').map(({ object }) => object),
  );
}

test('check() reads chains of 8 and of 32 deltas, and tells of one of 33', async (t) => {
  const repository = await newRepository(t);
  const versions = similarPlaintexts(34);
  const packs = await storeApart(repository, chainOf(versions));
  const snapshot = await saveFiles(
    repository,
    versions.map((plaintext) => fileOf(repository, plaintext)),
  );

  const result = await checkAll(repository);

  const [base, plaintext] = versions.slice(32) as [Uint8Array, Uint8Array];
  assert.deepEqual([...badBlobs(result)], [toHex(fileOf(repository, plaintext).id)]);
  assertTold(result, {
    ...{ repository, snapshot, plaintext, pack: packs[33] as string, paths: ['/33'] },
    ...{ base: fileOf(repository, base).id, says: /delta chain too long/ },
  });
});

test('check() tells of a missing base, by every delta that needs it', async (t) => {
  const repository = await newRepository(t);
  const versions = similarPlaintexts(4);
  const packs = await storeApart(repository, chainOf(versions));
  await repository.storage.delete(packs[0] as string);
  const files = versions.slice(1).map((plaintext) => fileOf(repository, plaintext));
  const snapshot = await saveFiles(repository, files);

  const result = await checkAll(repository);

  const missing = toHex(fileOf(repository, versions[0] as Uint8Array).id);
  for (const i of [1, 2, 3]) {
    assertTold(result, {
      ...{ repository, snapshot, plaintext: versions[i] as Uint8Array, pack: packs[i] as string },
      base: fileOf(repository, versions[i - 1] as Uint8Array).id,
      paths: [`/0${i - 1}`],
      says: new RegExp(`missing base ${missing}`),
    });
  }
});

test('check() tells of a base of another type', async (t) => {
  const repository = await newRepository(t);
  const [base, plaintext] = similarPlaintexts(2) as [Uint8Array, Uint8Array];
  let baseId = new Uint8Array() as BlobId;
  await forge(repository, async (session) => {
    baseId = await session.write(BLOB_TYPE.chunkList, base);
    return await writePage(session, { name: b('empty'), type: 'd' });
  });
  const [pack = ''] = await storeApart(repository, [
    { plaintext, delta: { base, baseId, depth: 1 } },
  ]);
  const snapshot = await saveFiles(repository, [fileOf(repository, plaintext)]);

  assertTold(await checkAll(repository), {
    ...{ repository, snapshot, plaintext, pack, paths: ['/00'], base: baseId },
    says: /blob of type 3/,
  });
});

test('check() tells of every blob on a circle of deltas', async (t) => {
  const repository = await newRepository(t);
  const [x, y, z] = similarPlaintexts(3) as [Uint8Array, Uint8Array, Uint8Array];
  const packs = await storeApart(repository, [
    { plaintext: x, delta: { base: y, depth: 1 } },
    { plaintext: y, delta: { base: z, depth: 1 } },
    { plaintext: z, delta: { base: x, depth: 1 } },
  ]);
  const files = [x, y, z].map((plaintext) => fileOf(repository, plaintext));
  const snapshot = await saveFiles(repository, files);

  const result = await checkAll(repository);

  for (const [i, [plaintext, base]] of [
    [x, y] as const,
    [y, z] as const,
    [z, x] as const,
  ].entries()) {
    assertTold(result, {
      ...{ repository, snapshot, plaintext, pack: packs[i] as string, paths: [`/0${i}`] },
      ...{ base: fileOf(repository, base).id, says: /delta circle/ },
    });
  }
});

test('check() tells of a delta that does not give its blob, and of those above it', async (t) => {
  const repository = await newRepository(t);
  const [base, plaintext, above] = similarPlaintexts(3) as [Uint8Array, Uint8Array, Uint8Array];
  const wrong = seededRandom(63).bytes(base.length);
  const baseId = fileOf(repository, wrong).id;
  const packs = await storeApart(repository, [
    { plaintext: wrong },
    { plaintext, delta: { base, baseId, depth: 1 } },
    { plaintext: above, delta: { base: plaintext, depth: 2 } },
  ]);
  const files = [plaintext, above].map((one) => fileOf(repository, one));
  const snapshot = await saveFiles(repository, files);

  const result = await checkAll(repository);

  const says = /content with another id|zstd/;
  assertTold(result, {
    ...{ repository, snapshot, plaintext, pack: packs[1] as string, paths: ['/00'] },
    ...{ base: baseId, says },
  });
  assertTold(result, {
    ...{ repository, snapshot, plaintext: above, pack: packs[2] as string, paths: ['/01'] },
    ...{ base: fileOf(repository, plaintext).id, says },
  });
  assert.ok(!badBlobs(result).has(toHex(baseId)));
});

test('check() finds nothing wrong where another copy of a base is good', async (t) => {
  const repository = await newRepository(t);
  const versions = similarPlaintexts(9);
  // The first copies are deltas on what is not there; whole ones of every second version follow.
  const gone = concatBytes(versions[0] as Uint8Array, b('gone'));
  await storeApart(repository, chainOf(versions));
  const bad = versions.filter((_, i) => i % 2 === 0);
  const packs = await storeApart(
    repository,
    bad.map((plaintext) => ({ plaintext, delta: { base: gone, depth: 1 } })),
  );
  const files = versions.map((plaintext) => fileOf(repository, plaintext));
  await saveFiles(repository, files);

  const result = await checkAll(repository);

  const damaged = result.findings.filter(({ kind }) => kind !== 'pack-unindexed');
  assert.deepEqual([...new Set(damaged.map(({ kind }) => kind))], ['delta-stranded']);
  assert.equal(damaged.length, packs.length, 'the copies that are bad, and nothing that uses them');
});

test('a worker of check verifies deltas and their bases with the plan it gets', async (t) => {
  const repository = await newRepository(t);
  const versions = similarPlaintexts(9);
  await storeApart(repository, chainOf(versions));
  const { sync } = await openFixedAccess(repository);
  const { index } = sync;
  const last = index.copies(fileOf(repository, versions[8] as Uint8Array).id)[0]?.packNo as number;
  const record = index.record(last);
  const blobs = index.openDirectory(last)?.blobs;
  assert(record !== undefined && blobs !== undefined);
  const bases = planBases(index, blobs);
  assert(bases !== undefined);
  const rest = planBases(index, blobs, () => false);
  const reports: PackReport[] = [];
  const worker = startPackData(repository, ({ value }) => reports.push(value));

  await worker.handle({ number: 0, value: { record, bases: bases.plan } });
  await worker.handle({ number: 1, value: { record, bases: rest?.plan } });
  await worker.handle({ number: 2, value: { record, bases: undefined } });
  await worker.close();

  const [first, ...others] = reports.map(({ deltas }) => deltas);
  assert.deepEqual(first?.unverified, []);
  const verified = (first?.verifiedRows ?? []).map((row) => bases.copies[row]);
  const deltas = versions.slice(1, 8).map((plaintext) => {
    const [copy] = index.copies(fileOf(repository, plaintext).id);
    return { packNo: copy?.packNo, slot: copy?.slot };
  });
  assert.deepEqual(verified, deltas, 'from the first delta on the whole blob upwards');
  assert.deepEqual(others, [
    { unverified: [], verifiedRows: [] },
    { unverified: [0], verifiedRows: [] },
  ]);
});

test('a delta that nobody needs and whose base was swept is a note', async (t) => {
  const repository = await newRepository(t);
  const versions = similarPlaintexts(3);
  const packs = await storeApart(repository, chainOf(versions));
  await saveFiles(repository, [fileOf(repository, versions[0] as Uint8Array)]);
  const [, middle = '', last = ''] = packs;
  await new RecordWriter(repository).sweep(1, [middle.replace(/^.*\//, '')]);
  await repository.storage.delete(middle);

  const { findings, isDamaged } = await checkAll(repository);

  const stranded = findings.filter(({ kind }) => kind === 'delta-stranded');
  assert.equal(isDamaged, false, findings.map(({ message }) => message).join('\n'));
  assert.deepEqual(
    stranded.map(({ severity }) => severity),
    ['note'],
  );
  assert.ok(stranded[0]?.message.includes(last));
});
