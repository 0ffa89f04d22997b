/** The frames closed last against a plain list of all blobs ever added. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { BlobRecord } from '../../src/frame/frame-builder.ts';
import { RecentFrames } from '../../src/repository/recent-frames.ts';
import { concatBytes, encodeU64 } from '../../src/util/bytes.ts';
import { idOf } from '../helpers/index-packs.ts';
import { testSeed } from '../helpers/seeded-random.ts';

const FRAME_COUNT = 4;
const CAPACITY = 100;

interface Blob {
  readonly size: number;
  /** Three numbers, each standing for a super-feature; undefined: none. */
  readonly features: readonly [number, number, number] | undefined;
}

const feature = fc.nat(6);
const features = fc.tuple(feature, feature, feature).map(
  // As real ones, those of one chunk differ.
  ([a, b, c]): [number, number, number] => [a, 10 + b, 20 + c],
);
const blob: fc.Arbitrary<Blob> = fc.record({
  size: fc.integer({ min: 1, max: 9 }),
  features: fc.option(features, { nil: undefined, freq: 4 }),
});
const frames = fc.array(fc.array(blob, { minLength: 1, maxLength: 8 }), { maxLength: 9 });

/** Different in both halves, and in the part that names a bucket. */
function encode(numbers: readonly number[]): Uint8Array {
  return concatBytes(...numbers.map((one) => encodeU64((BigInt(one) << 32n) | BigInt(one))));
}

/** A blob that was added, as the model knows it. */
interface Added {
  readonly frame: number;
  readonly position: number;
  readonly id: Uint8Array;
  readonly plaintext: Uint8Array;
  readonly features: readonly number[];
}

/** The newest blob of each super-feature votes, if its frame is still kept. */
function expectedFor(all: readonly Added[], wanted: readonly number[], frameCount: number) {
  const hits = wanted
    .map((one) => all.findLast((added) => added.features.includes(one)))
    .filter((hit) => hit !== undefined && hit.frame >= frameCount - FRAME_COUNT) as Added[];
  const votesOf = (hit: Added): number => hits.filter((other) => other === hit).length;
  const [best] = hits.toSorted(
    (a, b) => votesOf(b) - votesOf(a) || b.frame - a.frame || b.position - a.position,
  );
  return best && { id: best.id, plaintext: best.plaintext, votes: votesOf(best) };
}

/** Writes the blobs of a frame into memory, one after another, as a builder does. */
function fill(memory: Uint8Array, frame: number, blobs: readonly Blob[]) {
  const records: BlobRecord[] = [];
  const added: Added[] = [];
  let end = 0;
  for (const [position, { size, features: own }] of blobs.entries()) {
    const id = idOf(`${frame} ${position}`);
    const plaintext = id.slice(0, size);
    memory.set(plaintext, end);
    end += size;
    const record: BlobRecord = { id, rawSize: size, type: 1 };
    if (own !== undefined) record.features = encode(own);
    records.push(record);
    added.push({ frame, position, id, plaintext, features: own ?? [] });
  }
  return { raw: memory.subarray(0, end), records, added };
}

test('RecentFrames finds what a list of the last four frames would give', () => {
  fc.assert(
    fc.property(frames, fc.array(features, { minLength: 8, maxLength: 8 }), (list, questions) => {
      const recent = new RecentFrames();
      const all: Added[] = [];
      let memory = new Uint8Array(CAPACITY);

      for (const [frame, blobs] of list.entries()) {
        const { raw, records, added } = fill(memory, frame, blobs);
        all.push(...added);
        const given = recent.add(raw, records) as Uint8Array<ArrayBuffer>;
        memory = given.length < CAPACITY ? new Uint8Array(CAPACITY) : given;

        for (const question of questions) {
          assert.deepEqual(recent.find(encode(question)), expectedFor(all, question, frame + 1));
        }
      }
    }),
    { seed: testSeed, numRuns: 300 },
  );
});

test('RecentFrames gives memory that none of its frames uses', () => {
  const recent = new RecentFrames();
  const inUse: ArrayBufferLike[] = [];
  let memory = new Uint8Array(CAPACITY);

  for (let frame = 0; frame < 20; frame++) {
    memory.fill(frame);
    inUse.push(memory.buffer);
    const record = {
      id: idOf(`${frame}`),
      rawSize: 50,
      type: 1,
      features: encode([frame, 100, 200]),
    };
    memory = recent.add(memory.subarray(0, 50), [record as BlobRecord]) as Uint8Array<ArrayBuffer>;
    memory = new Uint8Array(memory.buffer);

    assert.ok(!inUse.slice(-FRAME_COUNT).includes(memory.buffer));
    for (let kept = Math.max(0, frame - FRAME_COUNT + 1); kept <= frame; kept++) {
      const found = recent.find(encode([kept, 300, 400]));
      assert.deepEqual(found?.plaintext, new Uint8Array(50).fill(kept));
    }
    assert.equal(recent.find(encode([frame - FRAME_COUNT, 300, 400]))?.id, undefined);
  }
});
