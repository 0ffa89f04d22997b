/** `SegmentWriter` alone: which packs go into which segment, and that none is left out. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { SessionId } from '../../src/id.ts';
import { parseSegment, type Segment } from '../../src/index/segment.ts';
import { createSaltSource } from '../../src/keys/salt-source.ts';
import type { PackRecord } from '../../src/pack/pack-record.ts';
import { OBJECT_KIND } from '../../src/record/object-kind.ts';
import { openObject } from '../../src/record/sealed-object.ts';
import { SegmentWriter } from '../../src/repository/segment-writer.ts';
import { fromHex } from '../../src/util/bytes.ts';
import { bigPackOf, idOf, packOf, randomIds } from '../helpers/index-packs.ts';
import { seededRandom } from '../helpers/seeded-random.ts';
import { newClient } from '../helpers/test-repository.ts';

const sessionId = '80'.repeat(16) as SessionId;
const writerId = '90'.repeat(16);
const bodySizeMax = 2 ** 24;

async function newStage(t: TestContext) {
  const { repository } = await newClient(t);
  const { keys, random, clock, storage } = repository;
  const newSalt = createSaltSource(keys.current, { writerId: fromHex(writerId), random, clock });
  const index = await repository.index.open();
  const writer = new SegmentWriter(repository, { sessionId, writerId, applied: 0, newSalt, index });
  const read = async (name: string): Promise<Segment> => {
    const file = await storage.get(`index/0-${name}`);
    const { payload } = openObject(keys, file, { kinds: [OBJECT_KIND.segment], name: '' });
    return parseSegment(payload);
  };
  return { index, writer, now: () => clock.monotonicNs(), read };
}

/** The packs of each segment that the writer made; all of them are in the index too. */
async function publish(stage: Awaited<ReturnType<typeof newStage>>): Promise<PackRecord[][]> {
  const { index, writer, read } = stage;
  await writer.publish();
  const segments = await Promise.all(writer.names.map(read));
  const packs = segments.map((segment) => segment.packs);
  assert.deepEqual([...index.segmentNames()].sort(), [...writer.names].sort());
  for (const { name } of packs.flat()) assert.ok(index.packNo(name) !== undefined);
  return packs;
}

function namesOf(packs: readonly PackRecord[]): string[] {
  return packs.map(({ name }) => name).sort();
}

test('SegmentWriter writes 64 packs into a segment at most, and each pack once', async (t) => {
  const stage = await newStage(t);
  const added = Array.from({ length: 130 }, (_, i) => packOf(`${i}`, [{ id: idOf(`${i}`) }]));

  for (const [i, pack] of added.entries()) {
    assert.equal(stage.writer.isDue(stage.now()), i >= 64);
    stage.writer.add(pack);
  }
  const segments = await publish(stage);

  assert.deepEqual(
    segments.map((packs) => packs.length),
    [64, 64, 2],
  );
  assert.deepEqual(namesOf(segments.flat()), namesOf(added));
  assert.equal(stage.writer.isDue(stage.now()), false);
});

test('SegmentWriter writes 16 MiB of directories into a segment, and each pack once', async (t) => {
  const random = seededRandom(2);
  const stage = await newStage(t);
  const added = Array.from({ length: 9 }, (_, i) =>
    bigPackOf(`${i}`, randomIds(random, 100_000), random.bytes(24 * 100_000)),
  );

  for (const pack of added) stage.writer.add(pack);
  const isDue = stage.writer.isDue(stage.now());
  const segments = await publish(stage);

  assert.ok(isDue);
  assert.deepEqual(
    segments.map((packs) => packs.length),
    [2, 2, 2, 2, 1],
  );
  for (const packs of segments) {
    const size = packs.reduce((sum, { body }) => sum + body.length, 0);
    assert.ok(size <= bodySizeMax, `${size} bytes`);
  }
  assert.deepEqual(namesOf(segments.flat()), namesOf(added));
});
