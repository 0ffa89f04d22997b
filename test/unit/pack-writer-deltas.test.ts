/** A delta on its way into a pack: what is stored is what was decoded when the delta was made. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { BLOB_TYPE } from '../../src/blob/blob-type.ts';
import { CorruptionError } from '../../src/errors.ts';
import { directoryOf, type PackRecord } from '../../src/pack/pack-record.ts';
import { DeltaEncoder, type NewDelta } from '../../src/repository/delta-encoder.ts';
import { createWorkerPacks, type PackWriter } from '../../src/repository/pack-writer.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { flipBit } from '../helpers/fault-storage.ts';
import { edited, textOf } from '../helpers/similar-versions.ts';
import { testSession, testWriter } from '../helpers/test-keys.ts';
import { newClient, objectNames } from '../helpers/test-repository.ts';

const base = textOf(1, 10_000);
const versions = [2, 3, 4].map((salt) => edited(base, salt));

interface Writing {
  readonly repository: Repository;
  readonly packs: PackWriter;
  readonly durable: PackRecord[];
}

async function startWriting(t: TestContext): Promise<Writing> {
  const { repository } = await newClient(t);
  const durable: PackRecord[] = [];
  const packs = createWorkerPacks(repository, {
    sessionId: testSession,
    writerId: testWriter,
    workerNumber: 0,
    dataTarget: 2 ** 22,
    onDurable: async (record) => void durable.push(record),
  });
  return { repository, packs, durable };
}

/** Adds the base, and each version as a delta that `change` has been at. */
async function addAll(
  { repository, packs }: Writing,
  change: (delta: NewDelta, i: number) => NewDelta,
): Promise<void> {
  const { identify } = repository;
  const type = BLOB_TYPE.data;
  const id = identify(type, base);
  await packs.add({ id, type, plaintext: base });
  const encoder = new DeltaEncoder(repository);
  for (const [i, plaintext] of versions.entries()) {
    const chosen = { id, depth: 0, plaintext: base };
    const delta = encoder.encode(plaintext, chosen, packs.acceptance);
    assert(delta !== undefined);
    await packs.add({ id: identify(type, plaintext), type, plaintext, delta: change(delta, i) });
  }
}

test('PackWriter stores deltas as they were made', async (t) => {
  const writing = await startWriting(t);

  await addAll(writing, (delta) => delta);
  await writing.packs.flush();

  const [record] = writing.durable as [PackRecord];
  const depths = directoryOf(record).blobs.map(({ delta }) => delta?.depth ?? 0);
  assert.deepEqual(depths, [0, 1, 1, 1]);
});

const damages: Readonly<Record<string, (delta: NewDelta) => NewDelta>> = {
  'a bit flipped in it': ({ delta, encoded }) => ({
    delta,
    encoded: flipBit(encoded, 8 * encoded.length - 1),
  }),
  'another digest': ({ delta, encoded }) => ({
    delta: { ...delta, digest: flipBit(delta.digest as Uint8Array, 0) },
    encoded,
  }),
};

for (const [what, damage] of Object.entries(damages)) {
  for (const damaged of versions.keys()) {
    test(`PackWriter refuses to store delta ${damaged} with ${what}`, async (t) => {
      const writing = await startWriting(t);
      await addAll(writing, (delta, i) => (i === damaged ? damage(delta) : delta));

      await assert.rejects(writing.packs.flush(), (error: unknown) => {
        assert.ok(error instanceof CorruptionError);
        assert.match(error.message, /delta .* is not as it was made.*suspect this machine/);
        return true;
      });

      const { storage } = writing.repository;
      assert.deepEqual(writing.durable, []);
      assert.deepEqual(await objectNames(storage, 'data/'), []);
      assert.deepEqual(await objectNames(storage, 'meta/'), []);
    });
  }
}
