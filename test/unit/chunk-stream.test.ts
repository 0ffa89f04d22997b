import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { chunkStream } from '../../src/chunk/chunk-stream.ts';
import { DEFAULT_PROFILE } from '../../src/chunk/profile.ts';
import { createReferenceScanner } from '../../src/chunk/scan-reference.ts';
import { createSimdScanner } from '../../src/chunk/scan-simd.ts';
import { concatBytes } from '../../src/util/bytes.ts';
import { cutAtOnce, cutStream, endsOf, minuteProfile, tinyProfile } from '../helpers/chunk-cut.ts';
import { chunkInput, xorshiftBytes } from '../helpers/chunk-input.ts';
import { seededRandom } from '../helpers/seeded-random.ts';

const chunkerKey = xorshiftBytes(5, 32);

for (const create of [createSimdScanner, createReferenceScanner]) {
  describe(`chunkStream() with ${create.name}()`, () => {
    test('yields no chunk for an empty stream', () => {
      const scanner = create(chunkerKey, DEFAULT_PROFILE);

      const chunks = [...chunkStream(scanner, () => 0)];

      assert.deepEqual(chunks, []);
    });

    test('takes two reads for a small file', () => {
      const scanner = create(chunkerKey, DEFAULT_PROFILE);
      const sizes = [300, 0];
      let readCount = 0;

      const chunks = [...chunkStream(scanner, () => sizes[readCount++]!)];

      assert.deepEqual(
        chunks.map((chunk) => chunk.length),
        [300],
      );
      assert.equal(readCount, 2);
    });

    test('yields views of the memory that was read into', () => {
      const scanner = create(chunkerKey, minuteProfile, { capacity: 4096 });

      for (const stream of [xorshiftBytes(1, 20_000), xorshiftBytes(2, 900)]) {
        let at = 0;
        let position = 0;
        const readInto = (target: Uint8Array): number => {
          const part = stream.subarray(at, at + target.length);
          target.set(part);
          at += part.length;
          return part.length;
        };
        for (const chunk of chunkStream(scanner, readInto)) {
          assert.equal(chunk.buffer, scanner.buffer.buffer);
          assert.deepEqual(chunk, stream.subarray(position, position + chunk.length));
          position += chunk.length;
        }
        assert.equal(position, stream.length);
      }
    });

    test('cuts alike however short the reads and however small the buffer', () => {
      const stream = concatBytes(
        xorshiftBytes(3, 6_000),
        chunkInput({ kind: 'words', seed: 4, length: 6_000 }),
        new Uint8Array(6_000),
        xorshiftBytes(5, 2_000),
      );
      const expected = cutAtOnce(create(chunkerKey, minuteProfile), stream);
      const random = seededRandom(1);

      for (let i = 0; i < 300; i++) {
        const capacity = minuteProfile.maximum + 1 + random.below(i % 2 === 0 ? 64 : 8192);
        const readSizeMax = 1 + random.below(4000);
        const scanner = create(chunkerKey, minuteProfile, { capacity });
        const chunks = cutStream(scanner, stream, () => 1 + random.below(readSizeMax));

        assert.deepEqual(endsOf(chunks), expected, `capacity ${capacity}`);
        assert.deepEqual(concatBytes(...chunks), stream);
      }
    });

    test('cuts alike for every split of 6,000 bytes into two reads', () => {
      const stream = xorshiftBytes(22, 6_000);
      const scanner = create(chunkerKey, tinyProfile);
      const expected = cutAtOnce(scanner, stream);

      for (let split = 1; split < stream.length; split++) {
        const sizes = [split];
        const chunks = cutStream(scanner, stream, () => sizes.pop() ?? stream.length);
        assert.deepEqual(endsOf(chunks), expected, `split at ${split}`);
      }
    });
  });
}
