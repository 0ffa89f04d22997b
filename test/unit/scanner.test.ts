import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { DEFAULT_PROFILE } from '../../src/chunk/profile.ts';
import { createReferenceScanner } from '../../src/chunk/scan-reference.ts';
import { createSimdScanner } from '../../src/chunk/scan-simd.ts';
import { createScanner } from '../../src/chunk/scanner.ts';
import { concatBytes } from '../../src/util/bytes.ts';
import { cutAtOnce, minuteProfile, mixture, tinyProfile } from '../helpers/chunk-cut.ts';
import { chunkInput, insertBytes, xorshiftBytes } from '../helpers/chunk-input.ts';
import { seededRandom } from '../helpers/seeded-random.ts';

const chunkerKey = xorshiftBytes(5, 32);

test('createSimdScanner() and createReferenceScanner() cut 450 mixtures alike', () => {
  const smallProfile = { average: 16384, minimum: 8192, maximum: 32768 };
  const profiles = [minuteProfile, tinyProfile, smallProfile, DEFAULT_PROFILE];
  const random = seededRandom(2);

  for (let i = 0; i < 450; i++) {
    const profile = profiles[i % profiles.length]!;
    const size = 1 + random.below(profile.maximum * 6);
    const bytes = mixture(random, size);
    const key = random.bytes(32);
    const options = { capacity: size + profile.maximum };
    const simd = createSimdScanner(key, profile, options);
    const plain = createReferenceScanner(key, profile, options);

    assert.deepEqual(cutAtOnce(simd, bytes), cutAtOnce(plain, bytes), `mixture ${i}`);
    if (i % 8 < 2 && size >= 32) {
      assert.deepEqual(simd.listCandidates(32, size), plain.listCandidates(32, size));
    }
  }
});

test('createScanner() falls back to the plain scanner where WebAssembly is missing', () => {
  const module = new URL('../../src/chunk/scanner.js', import.meta.url).href;
  const script = `
    const { createScanner } = await import(${JSON.stringify(module)});
    const profile = ${JSON.stringify(DEFAULT_PROFILE)};
    const scanner = createScanner(new Uint8Array(32), profile);
    const count = scanner.scan(0, 500_000, true);
    console.log(typeof WebAssembly, ...scanner.cuts.subarray(0, count));`;

  const flags = ['--jitless', '--no-warnings', '--input-type=module', '-e', script];
  const output = execFileSync(process.execPath, flags, { encoding: 'utf8', stdio: 'pipe' });

  assert.equal(output, 'undefined 131072 262144 393216 500000\n');
});

test('createScanner() refuses a buffer that cannot decide a chunk', () => {
  const options = { capacity: DEFAULT_PROFILE.maximum };

  assert.throws(() => createScanner(chunkerKey, DEFAULT_PROFILE, options), /more than one chunk/);
});

for (const create of [createSimdScanner, createReferenceScanner]) {
  describe(`scan() of ${create.name}()`, () => {
    test('decides the same chunks wherever the bytes known so far end', () => {
      const stream = concatBytes(
        xorshiftBytes(6, 3_000),
        chunkInput({ kind: 'alphabet', seed: 4, symbols: 'ab', length: 3_000 }),
      );
      const scanner = create(chunkerKey, minuteProfile, { capacity: stream.length });
      const expected = cutAtOnce(scanner, stream);

      for (let split = 0; split <= stream.length; split++) {
        const firstCount = scanner.scan(0, split, false);
        const cuts = [...scanner.cuts.subarray(0, firstCount)];
        const decided = cuts.at(-1) ?? 0;
        const lastCount = scanner.scan(decided, stream.length, true);
        cuts.push(...scanner.cuts.subarray(0, lastCount));

        assert.deepEqual(cuts, expected, `split at ${split}`);
        assert.ok(split - decided <= minuteProfile.maximum, `undecided at ${split}`);
      }
    });

    test('leaves exactly the maximum undecided while the stream may end there', () => {
      const scanner = create(chunkerKey, DEFAULT_PROFILE);
      const { maximum } = DEFAULT_PROFILE;

      assert.equal(scanner.scan(0, maximum, false), 0);
      assert.equal(scanner.scan(0, maximum + 1, false), 1);
      assert.equal(scanner.scan(0, maximum, true), 1);
    });

    test('ignores the bytes before and after the stream', () => {
      const scanner = create(chunkerKey, minuteProfile, { capacity: 8192 });
      const stream = xorshiftBytes(7, 4_000);
      const poisons = [1, 2, 3].map((seed) => xorshiftBytes(seed, 8192));

      for (let size = 0; size <= stream.length; size += 7) {
        const start = 64 + (size % 16);
        const [first, ...others] = [new Uint8Array(8192), ...poisons].map((poison) => {
          scanner.buffer.set(poison);
          return cutAtOnce(scanner, stream.subarray(0, size), start);
        });

        for (const other of others) assert.deepEqual(other, first, `${size} bytes`);
      }
    });

    test('works up to the last byte of its buffer', () => {
      const stream = xorshiftBytes(8, 5_001);
      const roomy = create(chunkerKey, minuteProfile, { capacity: 8192 });
      const exact = create(chunkerKey, minuteProfile, { capacity: stream.length });

      assert.deepEqual(cutAtOnce(exact, stream), cutAtOnce(roomy, stream));
    });

    test('refuses bytes outside its buffer', () => {
      const scanner = create(chunkerKey, minuteProfile, { capacity: 2048 });

      assert.throws(() => scanner.scan(0, 2049, true), /lie in the buffer/);
      assert.throws(() => scanner.scan(2, 1, true), /lie in the buffer/);
      assert.throws(() => scanner.listCandidates(31, 100), /window lies before/);
      const maxima = new Uint32Array(9);
      const sampling = { mask: 31, factors: maxima, addends: maxima };
      assert.throws(() => scanner.sample(0, 2049, sampling, maxima), /lie in the buffer/);
    });
  });
}

test('scan() finds at most two new chunks, on average, after 3 bytes are inserted in 2 MiB', () => {
  const size = 2 ** 21;
  const scanner = createScanner(chunkerKey, DEFAULT_PROFILE, { capacity: size + 3 });
  const random = seededRandom(3);
  const chunkIds = (bytes: Uint8Array): string[] => {
    let start = 0;
    return cutAtOnce(scanner, bytes).map((cut) => {
      const chunk = bytes.subarray(start, cut);
      start = cut;
      return createHash('sha1').update(chunk).digest('base64');
    });
  };
  let newCount = 0;

  for (let seed = 1; seed <= 100; seed++) {
    const before = xorshiftBytes(seed, size);
    const after = insertBytes(before, { at: random.below(size), inserted: random.bytes(3) });
    const known = new Set(chunkIds(before));
    newCount += chunkIds(after).filter((id) => !known.has(id)).length;
  }

  assert.ok(newCount >= 100 && newCount <= 200, `${newCount} new chunks in 100 streams`);
});
