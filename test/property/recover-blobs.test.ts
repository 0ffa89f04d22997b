/**
 * What `recover.mjs` can decode, on random graphs of copies: whole ones, deltas on anything, circles,
 * and copies that turn out to hold something else. It must find a way wherever there is one.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { createBlobIdentifier } from '../../src/blob/blob-ids.ts';
import { BLOB_TYPE } from '../../src/blob/blob-type.ts';
import { type EncodedFrame, FrameBuilder } from '../../src/frame/frame-builder.ts';
import { FRAME_KIND } from '../../src/frame/frame-record.ts';
import { KEY_CLASS } from '../../src/keys/key-hierarchy.ts';
import { concatBytes, toHex } from '../../src/util/bytes.ts';
import { ZstdCodec } from '../../src/util/zstd.ts';
import { makeHostilePack } from '../helpers/hostile-pack.ts';
import { loadRecover } from '../helpers/run-recover.ts';
import { testSeed } from '../helpers/seeded-random.ts';
import { edited, textOf } from '../helpers/similar-versions.ts';
import { tempDir } from '../helpers/temp-dir.ts';
import { testKeys, testSalt } from '../helpers/test-keys.ts';
import { inScope, type Scope } from '../helpers/test-repository.ts';
import { readVectors } from '../helpers/vectors.ts';

interface Copy {
  readonly blob: number;
  /** Another blob; itself for a whole copy. */
  readonly base: number;
  readonly pack: number;
  readonly depth: number;
  /** Holds something else than it says. */
  readonly isBad: boolean;
}

const blobCount = 8;
const packCount = 3;
const program = await loadRecover();
const vectors = readVectors('format-vectors.json') as { readonly key_slot: { ring: string } };
const codec = new ZstdCodec();
const identify = createBlobIdentifier(testKeys.blobId);

/**
 * Versions of one text, some beyond a block of zstd, some that look like a dictionary of it; and one that
 * begins as the raw dictionary does which is made of such a one.
 */
const plaintexts = Array.from({ length: blobCount }, (_, i) => {
  const text = edited(textOf(1, i % 4 === 0 ? 200_000 : 3000), i + 1, 5);
  if (i % 2 === 0) text.set([0x37, 0xa4, 0x30, 0xec]);
  return text;
});
plaintexts[1] = concatBytes(Uint8Array.of(0), (plaintexts[0] as Uint8Array).subarray(0, 3000));
const ids = plaintexts.map((plaintext) => identify(BLOB_TYPE.data, plaintext));

const copy: fc.Arbitrary<Copy> = fc.record({
  blob: fc.nat({ max: blobCount - 1 }),
  base: fc.nat({ max: blobCount - 1 }),
  pack: fc.nat({ max: packCount - 1 }),
  depth: fc.integer({ min: 1, max: 32 }),
  isBad: fc.boolean(),
});

/** The delta begins with the zero byte in front of its base. */
const prefixedBase: Copy[] = [
  { blob: 0, base: 0, pack: 0, depth: 1, isBad: false },
  { blob: 1, base: 0, pack: 0, depth: 1, isBad: false },
];

function frameOf({ blob, base, depth, isBad }: Copy): EncodedFrame {
  const plaintext = plaintexts[blob] as Uint8Array;
  const content = isBad ? plaintext.toReversed() : plaintext;
  const record = {
    id: ids[blob] as (typeof ids)[0],
    rawSize: content.length,
    type: BLOB_TYPE.data,
  };
  if (blob === base) {
    const builder = new FrameBuilder(KEY_CLASS.data);
    builder.add(record, content);
    const frame = builder.finish(codec, 3);
    return { ...frame, content: frame.content.slice() };
  }
  const encoded = codec.compress(content, 3, plaintexts[base]).slice();
  const builder = new FrameBuilder(KEY_CLASS.data, FRAME_KIND.delta);
  const delta = { encodedSize: encoded.length, base: ids[base] as (typeof ids)[0], depth };
  builder.add({ ...record, delta }, encoded);
  const frame = builder.finish(codec, 3);
  return { ...frame, content: frame.content.slice() };
}

function writePacks(scope: Scope, copies: readonly Copy[]): string {
  const directory = tempDir(scope);
  for (let pack = 0; pack < packCount; pack++) {
    const salt = testSalt.with(0, pack);
    const frames = copies.filter((one) => one.pack === pack).map(frameOf);
    const bytes = makeHostilePack({ frames, salt });
    const hash = createHash('sha256').update(bytes).digest('hex');
    mkdirSync(join(directory, 'meta', hash.slice(0, 2)), { recursive: true });
    writeFileSync(join(directory, 'meta', hash.slice(0, 2), hash), bytes);
  }
  return directory;
}

/** Whole copies first, then what rests on what is there already, until nothing more comes. */
function decodable(copies: readonly Copy[]): Set<number> {
  const found = new Set<number>();
  for (let size = -1; size < found.size; ) {
    size = found.size;
    for (const { blob, base, isBad } of copies) {
      if (!isBad && (blob === base || found.has(base))) found.add(blob);
    }
  }
  return found;
}

function assertFound(found: Buffer | Error | undefined, i: number, expected: Set<number>): void {
  if (found === undefined) return; // Not asked for.
  if (!expected.has(i)) assert.ok(found instanceof Error, `blob ${i}`);
  else assert.deepEqual(found, Buffer.from(plaintexts[i] as Uint8Array), `blob ${i}`);
}

test('recover.mjs decodes what can be decoded, and nothing else', {
  timeout: 300_000,
}, async () => {
  const keys = program.keysOf(vectors.key_slot.ring);
  await fc.assert(
    fc.asyncProperty(fc.array(copy, { maxLength: 20 }), (copies) =>
      inScope(async (scope) => {
        const directory = writePacks(scope, copies);
        const table = program.buildTable(program.readPacks(keys, directory));
        const expected = decodable(copies);
        const all = ids.map((id) => Buffer.from(id));
        for (const wanted of [all, ...all.map((id) => [id])]) {
          const repository = { directory, keys, table, frames: new Map(), framesSize: 0 };
          const found = program.readBlobs(repository, wanted, BLOB_TYPE.data);

          assert.equal(found.size, wanted.length);
          for (const [i, id] of ids.entries()) assertFound(found.get(toHex(id)), i, expected);
        }
      }),
    ),
    { seed: testSeed, numRuns: 40, examples: [[prefixedBase]] },
  );
});
