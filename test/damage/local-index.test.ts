/**
 * A damaged cache: cut, zeroed, emptied, bits flipped, files swapped. `assertUsable` states what must
 * hold after all of them. A crash of this process is a failure of this file.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { LocalIndex } from '../../src/index/local-index.ts';
import type { BlobEntry } from '../../src/pack/directory.ts';
import { directoryOf, type PackRecord } from '../../src/pack/pack-record.ts';
import { concatBytes, encodeU32, fromHex } from '../../src/util/bytes.ts';
import {
  assertUsable,
  type CacheFixture,
  copyCache,
  damagedCopy,
  flipBit,
  makeCache,
  openFixture,
  PAGE_SIZE,
} from '../helpers/index-damage.ts';
import { testRepositoryId as repositoryId } from '../helpers/index-packs.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { tempDir } from '../helpers/temp-dir.ts';

const SEGMENT_COUNT = 4;

const root = tempDir({ after: after as TestContext['after'] });
const fixture = await makeCache(join(root, 'good'));

/** The cache after a change to its data file. */
function damaged(change: (bytes: Buffer) => Uint8Array): CacheFixture {
  return damagedCopy(fixture, join(root, 'damaged'), change);
}

test('local index: an undamaged copy is still known, though nobody closed it', async () => {
  const copy = damaged((bytes) => bytes);

  assert.equal(await assertUsable(copy), SEGMENT_COUNT);
});

test('local-index-truncated: any length is rebuilt', async () => {
  const random = seededRandom(10);
  const { size } = statSync(join(fixture.path, 'data.mdb'));
  const lengths = [0, 1, 23, 100, 168, PAGE_SIZE, PAGE_SIZE + 167, 2 * PAGE_SIZE, size - 1];
  for (let i = 0; i < 8; i++) lengths.push(random.below(size));

  for (const length of lengths) {
    const copy = damaged((bytes) => bytes.subarray(0, length));
    assert.equal(await assertUsable(copy), 0, `length ${length}`);
  }
});

test('local-index-truncated: also when the marker names the short file', async () => {
  const { size } = statSync(join(fixture.path, 'data.mdb'));
  const copy = damaged((bytes) => bytes.subarray(0, size / 2));
  writeFileSync(join(copy.path, 'clean'), readFileSync(join(fixture.path, 'clean')));

  assert.equal(await assertUsable(copy), 0);
});

test('local-index-zeroed: zeros of the same size, of half, of one page', async () => {
  for (const [start, end] of [
    [0, undefined],
    [0, PAGE_SIZE * 2],
    [PAGE_SIZE * 20, undefined],
    [PAGE_SIZE * 30, PAGE_SIZE * 31],
  ]) {
    await assertUsable(damaged((bytes) => bytes.fill(0, start, end)));
  }
});

test('local-index-extended: more pages than LMDB knows of do no harm', async () => {
  const copy = damaged((bytes) => Buffer.concat([bytes, Buffer.alloc(3 * PAGE_SIZE, 0xaa)]));

  assert.equal(await assertUsable(copy), SEGMENT_COUNT);
});

test('local-index-foreign: a file that is no LMDB file is replaced', async () => {
  const random = seededRandom(11);
  assert.equal(await assertUsable(damaged(() => random.bytes(100_000))), 0);
});

test('local-index-flipped: a bit anywhere, in a page header, in a meta page', async () => {
  for (let seed = 0; seed < 12; seed++) {
    await assertUsable(damaged((bytes) => flipBit(bytes, seed)));
  }
});

test('local-index-blob-row-flipped: id, pack, slot and depth of one copy', async () => {
  const [blob] = directoryOf(fixture.packs[1] as PackRecord).blobs;
  const key = (blob as BlobEntry).id.subarray(0, 16);
  for (const offset of [15, 16, 20, 23]) {
    const copy = damaged((bytes) => {
      // Behind the key is a pack number in the blob table, old pages of it included, and the rest of
      // the id in a directory.
      for (let at = bytes.indexOf(key); at >= 0; at = bytes.indexOf(key, at + 1)) {
        const isRow = (bytes[at + 16] as number) <= fixture.packs.length;
        if (isRow) bytes[at + offset] = (bytes[at + offset] as number) ^ 2;
      }
      return bytes;
    });
    assert.equal(await assertUsable(copy), 0, `byte ${offset}`);
  }
});

test('local-index-page-replaced: an old page in the place of a new one', async () => {
  const random = seededRandom(12);
  for (let i = 0; i < 4; i++) {
    const copy = damaged((bytes) => {
      const pageCount = bytes.length / PAGE_SIZE;
      const [from, to] = [random.below(pageCount), random.below(pageCount)];
      return bytes.fill(bytes.subarray(from * PAGE_SIZE, (from + 1) * PAGE_SIZE), to * PAGE_SIZE);
    });
    await assertUsable(copy);
  }
});

/**
 * A changed byte right after `pattern` in a file whose marker still vouches for it; in all places,
 * because LMDB leaves old pages behind.
 */
function rotten(pattern: Uint8Array): CacheFixture {
  const copy = copyCache(fixture, join(root, 'rotten'));
  const path = join(copy.path, 'data.mdb');
  const bytes = readFileSync(path);
  let count = 0;
  for (let at = bytes.indexOf(pattern); at >= 0; at = bytes.indexOf(pattern, at + 1)) {
    bytes[at + pattern.length] = (bytes[at + pattern.length] as number) ^ 1;
    count++;
  }
  assert.ok(count > 0);
  writeFileSync(path, bytes);
  const { size, mtimeNs, ino } = statSync(path, { bigint: true });
  writeFileSync(join(copy.path, 'clean'), `${size} ${mtimeNs} ${ino}\n`);
  return copy;
}

test('local-index-rotten: a record changed behind the marker is not believed', async () => {
  const pack = fixture.packs[4] as PackRecord;
  const copy = rotten(concatBytes(fromHex(pack.name), pack.salt));
  const notices: string[] = [];
  const onNotice = (text: string): number => notices.push(text);

  const index = await LocalIndex.open({ cacheDir: copy.cacheDir, repositoryId, onNotice });
  const packNo = index.packNo(pack.name);
  const record = index.record(packNo as number);
  await index.close();

  assert.notEqual(packNo, undefined);
  assert.equal(record, undefined);
  assert.equal(index.isDamaged, true);
  assert.equal(notices.length, 1);
  assert.equal(readdirSync(copy.path).includes('clean'), false);
  assert.equal(await assertUsable(copy), 0);
});

test('local-index-rotten: a page of the base changed behind the marker finds nothing', async () => {
  const [blob] = directoryOf(fixture.packs[1] as PackRecord).blobs as [BlobEntry];
  const data = readFileSync(join(fixture.path, 'data.mdb'));
  const key = blob.id.subarray(0, 16);
  // In the base the key is followed by the number of the pack, in a directory by the rest of the id.
  const row = [1, 2, 3, 4, 5, 6, 7, 8, 9].map((packNo) => concatBytes(key, encodeU32(packNo)));
  const copy = rotten(row.find((pattern) => data.indexOf(pattern) >= 0) as Uint8Array);
  const notices: string[] = [];
  const onNotice = (text: string): number => notices.push(text);

  const index = await LocalIndex.open({ cacheDir: copy.cacheDir, repositoryId, onNotice });
  const isKnown = index.segmentNames().size === SEGMENT_COUNT;
  const answer = index.lookUp(blob.id);
  const copies = index.copies(blob.id);
  await index.close();

  assert.deepEqual([isKnown, answer, copies], [true, 'none', []]);
  assert.equal(index.isDamaged, true);
  assert.equal(notices.length, 1);
  assert.equal(await assertUsable(copy), 0);
});

test('local-index-rotten: a directory changed behind the marker loses the blobs of its pack', async () => {
  // The base does not cover the last segment: its blobs come from the directories.
  const [lost, other] = [fixture.packs[10], fixture.packs[9]] as [PackRecord, PackRecord];
  const copy = rotten(concatBytes(fromHex(lost.name), lost.salt));

  const index = await openFixture(copy);
  const answers = [lost, other].map((pack) => {
    return directoryOf(pack).blobs.map(({ id }) => index.copies(id).length);
  });
  await index.close();

  assert.deepEqual([new Set(answers[0]), new Set(answers[1])], [new Set([0]), new Set([1])]);
  assert.equal(index.isDamaged, true);
  assert.equal(await assertUsable(copy), 0);
});

test('local-index-rotten: a row changed behind the marker costs a rebuild at once', async () => {
  const pack = fixture.packs[4] as PackRecord;
  // A row begins with the pack's number, which depends on the order of names, and its length.
  const found = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12].map((packNo) =>
    concatBytes(fromHex(pack.name), encodeU32(packNo), encodeU32(pack.length)),
  );
  const data = readFileSync(join(fixture.path, 'data.mdb'));
  const copy = rotten(found.find((pattern) => data.indexOf(pattern) >= 0) as Uint8Array);

  assert.equal(await assertUsable(copy), 0);
});

test('local-index-lock-garbage: a lock file of noise, empty or absent', async () => {
  for (const noise of [
    seededRandom(13).bytes(8192),
    new Uint8Array(0),
    seededRandom(14).bytes(9),
  ]) {
    const copy = copyCache(fixture, join(root, 'damaged'));
    writeFileSync(join(copy.path, 'lock.mdb'), noise);
    assert.equal(await assertUsable(copy), SEGMENT_COUNT);
  }
  const copy = copyCache(fixture, join(root, 'damaged'));
  rmSync(join(copy.path, 'lock.mdb'));
  assert.equal(await assertUsable(copy), SEGMENT_COUNT);
});

test('local-index-marker-garbage: markers of noise cost a probe at most', async () => {
  const copy = copyCache(fixture, join(root, 'damaged'));
  writeFileSync(join(copy.path, 'clean'), seededRandom(15).bytes(1000));
  writeFileSync(join(copy.path, 'process-'), '');
  writeFileSync(join(copy.path, 'process-1-1-x'), '');
  writeFileSync(join(copy.path, 'process--x-'), '');
  utimesSync(join(copy.path, 'data.mdb'), 1, 1);

  assert.equal(await assertUsable(copy), SEGMENT_COUNT);
  assert.deepEqual(readdirSync(copy.path).sort(), [
    'CACHEDIR.TAG',
    'clean',
    'data.mdb',
    'lock.mdb',
  ]);
});

test('local-index-missing: no data file, or no directory', async () => {
  const copy = copyCache(fixture, join(root, 'damaged'));
  rmSync(join(copy.path, 'data.mdb'));
  assert.equal(await assertUsable(copy), 0);
  rmSync(copy.cacheDir, { recursive: true });
  assert.equal(await assertUsable(copy), 0);
});
