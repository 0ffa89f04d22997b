/** Deltas decode to the chunk they were made of, whatever chunk and base are. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createBlobIdentifier } from '../../src/blob/blob-ids.ts';
import { BLOB_TYPE } from '../../src/blob/blob-type.ts';
import { DEFAULT_CONFIG } from '../../src/repository/default-config.ts';
import { DeltaEncoder } from '../../src/repository/delta-encoder.ts';
import type { WorkerCore } from '../../src/repository/repository.ts';
import { Acceptance } from '../../src/similarity/acceptance.ts';
import { concatBytes, equalBytes, fromHex } from '../../src/util/bytes.ts';
import { ZstdCodec } from '../../src/util/zstd.ts';
import { idOf } from '../helpers/index-packs.ts';
import { seededRandom, testSeed } from '../helpers/seeded-random.ts';
import { testKeys } from '../helpers/test-keys.ts';

/** Of a formatted zstd dictionary, which a base never is. */
const dictionaryMagic = fromHex('37a430ec');

/** Takes everything, so that every delta is seen. */
class AcceptAll extends Acceptance {
  override accepts(): boolean {
    return true;
  }
}

function coreWith(changes: Partial<WorkerCore> = {}): WorkerCore {
  return {
    codec: new ZstdCodec(),
    identify: createBlobIdentifier(testKeys.blobId),
    config: DEFAULT_CONFIG,
    ...changes,
  } as WorkerCore;
}

const size = fc.oneof(
  fc.integer({ min: 1, max: 20 }),
  fc.integer({ min: 1, max: 3000 }),
  fc.integer({ min: 60_000, max: 140_000 }),
);
const base: fc.Arbitrary<Uint8Array> = fc
  .record({
    size,
    salt: fc.nat(1000),
    mask: fc.constantFrom(0, 1, 15, 255),
    start: fc.constantFrom(new Uint8Array(0), dictionaryMagic, dictionaryMagic.subarray(0, 3)),
  })
  .map(({ size: length, salt, mask, start }) => {
    const rest = seededRandom(salt)
      .bytes(length)
      .map((byte) => byte & mask);
    return concatBytes(start, rest);
  });

/** Pieces of the base, and what is not in it. */
const piece = fc.oneof(
  fc.record({ from: fc.double({ min: 0, max: 1, noNaN: true }), size }),
  fc.uint8Array({ minLength: 1, maxLength: 50 }),
  fc.constant(dictionaryMagic),
);
const pair = fc
  .record({
    base,
    how: fc.constantFrom('pieces', 'pieces', 'pieces', 'equal', 'prefix', 'one byte', 'all'),
    pieces: fc.array(piece, { minLength: 1, maxLength: 4 }),
  })
  .map(({ base: content, how, pieces }) => ({
    base: content,
    target: makeTarget(content, how, pieces),
  }));

function makeTarget(
  content: Uint8Array,
  how: string,
  pieces: readonly (Uint8Array | { from: number; size: number })[],
): Uint8Array {
  if (how === 'equal') return content.slice();
  if (how === 'prefix') return content.slice(0, Math.ceil(content.length / 2));
  if (how === 'one byte') return content.slice(0, 1);
  if (how === 'all') return concatBytes(content, content);
  const parts = pieces.map((part) => {
    if (part instanceof Uint8Array) return part;
    const start = Math.floor(part.from * (content.length - 1));
    return content.subarray(start, start + part.size);
  });
  return concatBytes(...parts);
}

test('a delta decodes to its chunk and to nothing else, by any decoder', () => {
  const core = coreWith();
  const encoder = new DeltaEncoder(core);
  fc.assert(
    fc.property(pair, fc.nat(30), ({ base: plaintext, target }, depth) => {
      const made = encoder.encode(target, { id: idOf('base'), depth, plaintext }, new AcceptAll());

      assert(made !== undefined);
      const encoded = made.encoded.slice();
      const { codec } = core;
      assert.ok(equalBytes(codec.decompress(encoded, target.length, plaintext), target));
      const into = new Uint8Array(target.length);
      assert.ok(equalBytes(codec.decompressInto(into, encoded, plaintext), target));
      assert.ok(equalBytes(new ZstdCodec().decompress(encoded, target.length, plaintext), target));
      const { delta } = made;
      assert.deepEqual(delta.base, idOf('base'));
      assert.equal(delta.depth, depth + 1);
      assert.equal(delta.encodedSize, encoded.length);
      assert.ok(encoded.length >= 9, 'as the format has it');
      assert.deepEqual(delta.digest, core.identify(BLOB_TYPE.data, encoded));
      assert.equal(encoder.wrongCount, 0);
    }),
    { seed: testSeed, numRuns: 250 },
  );
});

test('a delta is kept only if it is at most 3/4 of what the chunk would take', () => {
  const encoder = new DeltaEncoder(coreWith());
  fc.assert(
    fc.property(pair, fc.integer({ min: 0, max: 100 }), ({ base: plaintext, target }, percent) => {
      const acceptance = new Acceptance();
      for (let i = 0; i < 200; i++) acceptance.noteFrame(100, percent);
      const chosen = { id: idOf('base'), depth: 0, plaintext };
      const size = encoder.encode(target, chosen, new AcceptAll())?.encoded.length ?? 0;

      const made = encoder.encode(target, chosen, acceptance);

      const ratio = Math.min(1, Math.max(0.1, percent / 100));
      const limit = 0.75 * ratio * target.length;
      // The average comes close to what it is told, and never quite there.
      if (size + 36 <= limit * 0.99) assert.notEqual(made, undefined, `${size} of ${limit}`);
      if (size + 36 >= limit * 1.01) assert.equal(made, undefined, `${size} of ${limit}`);
    }),
    { seed: testSeed, numRuns: 150 },
  );
});

test('a delta that does not decode to its chunk is not made, and counted', () => {
  const real = new ZstdCodec();
  const flip = (bytes: Uint8Array): Uint8Array => {
    bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 1;
    return bytes;
  };
  const cut = (): Uint8Array => real.decompress(new Uint8Array(9), 1);
  for (const damage of [flip, cut]) {
    const codec = {
      compress: real.compress.bind(real),
      decompressInto: (into: Uint8Array, encoded: Uint8Array, from?: Uint8Array) =>
        damage(real.decompressInto(into, encoded, from)),
    } as unknown as ZstdCodec;
    const encoder = new DeltaEncoder(coreWith({ codec }));
    const plaintext = seededRandom(1).bytes(5000);

    const made = encoder.encode(
      plaintext,
      { id: idOf('base'), depth: 0, plaintext },
      new AcceptAll(),
    );

    assert.equal(made, undefined);
    assert.equal(encoder.wrongCount, 1);
  }
});
