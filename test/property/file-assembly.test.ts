/**
 * Files read in slices: whatever the content, the slices, the order in which they come back and how
 * many are under way, the chunks that are kept are those of one pass, and every part is decided once.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type AssemblyContext,
  FileAssembly,
  type FilePart,
  type SavedFile,
  type ScannedPart,
} from '../../src/backup/file-assembly.ts';
import type { Slices } from '../../src/backup/slices.ts';
import { createReferenceScanner } from '../../src/chunk/scan-reference.ts';
import type { Scanner } from '../../src/chunk/scanner-contract.ts';
import type { SourceError } from '../../src/errors.ts';
import type { BlobId } from '../../src/id.ts';
import { ChunkListBuilder } from '../../src/tree/chunk-list-builder.ts';
import type { Extent } from '../../src/walk/extents.ts';
import type { SourceEntry } from '../../src/walk/source-entry.ts';
import type { SourceFile } from '../../src/walk/source-file.ts';
import { seededRandom, testSeed } from '../helpers/seeded-random.ts';

/** Chunks of 64 to 256 bytes: a slice of a few hundred bytes holds several. */
const profile = { average: 128, minimum: 64, maximum: 256 };
const scanner: Scanner = createReferenceScanner(new Uint8Array(32).fill(7), profile, {
  capacity: 2 ** 16,
});

function cutsOf(content: Uint8Array, isLast: boolean): number[] {
  scanner.buffer.set(content);
  const count = scanner.scan(0, content.length, isLast);
  return [...scanner.cuts.subarray(0, count)];
}

interface World {
  readonly content: Uint8Array;
  readonly slices: Slices;
  /** Batches that may be read and not decided at the same time. */
  readonly slotCount: number;
  /** What of those under way comes back next. */
  readonly pick: (count: number) => number;
  /** Where the file has data; default: everywhere. */
  readonly extents?: readonly Extent[];
}

interface Outcome {
  readonly kept: number[];
  readonly decidedTwice: number;
  readonly result: SavedFile | SourceError | undefined;
}

const noTime = { seconds: 0n, nanoseconds: 0 };

/** Sizes of the kept chunks, in the order in which they are kept. */
async function assemble(world: World, sizeSeen = world.content.length): Promise<Outcome> {
  const kept: number[] = [];
  let decidedTwice = 0;
  let result: SavedFile | SourceError | undefined;
  const urgent: FilePart[] = [];
  const running: FilePart[] = [];
  let slotsTaken = 0;
  let closedCount = 0;
  const context: AssemblyContext = {
    slices: world.slices,
    takeList: () => new ChunkListBuilder(async () => new Uint8Array(32).fill(1) as BlobId),
    giveList: () => {},
    readFirst: (part) => urgent.push(part),
    onFailure: (error) => assert.fail(String(error)),
    open: () =>
      ({
        stat: { size: BigInt(sizeSeen), mtime: noTime, ctime: noTime },
        extents: () => world.extents ?? [],
        close: () => {
          closedCount += 1;
        },
      }) as unknown as SourceFile,
    openOld: undefined,
  };
  const entry = {
    metadata: { size: BigInt(sizeSeen), mtime: noTime, ctime: noTime },
    mayHaveHoles: () => world.extents !== undefined,
    hold: () => ({ path: new Uint8Array(0), release: () => {} }),
  } as unknown as SourceEntry;
  const file = new FileAssembly({ entry, previous: undefined }, context, (outcome) => {
    result = outcome;
  });
  const scanned = (part: FilePart): ScannedPart => {
    const bytes = world.content.subarray(part.offset, part.offset + part.length);
    const isAtEnd = bytes.length < part.length;
    const cuts = cutsOf(bytes, isAtEnd || part.holeAfter > 0);
    let isDecided = false;
    return {
      part,
      count: cuts.length,
      isAtEnd,
      isChanged: false,
      stat: undefined,
      failure: undefined,
      extras: undefined,
      idAt: (i) => new Uint8Array(32).fill(1 + (i % 200)) as BlobId,
      sizeAt: (i) => (cuts[i] as number) - (cuts[i - 1] ?? 0),
      keep: (i) => {
        kept.push((cuts[i] as number) - (cuts[i - 1] ?? 0));
        return true;
      },
      hint: () => {},
      decide: () => {
        if (isDecided) decidedTwice += 1;
        isDecided = true;
        slotsTaken -= 1;
      },
    };
  };
  const planned = file.parts();
  let isPlanned = false;
  for (;;) {
    while (slotsTaken < world.slotCount) {
      const part = urgent.shift() ?? (isPlanned ? undefined : planned.next().value);
      if (part === undefined) {
        isPlanned = true;
        break;
      }
      slotsTaken += 1;
      running.push(part);
    }
    if (running.length === 0) break;
    const [part] = running.splice(world.pick(running.length), 1);
    file.take(scanned(part as FilePart));
    await new Promise(setImmediate);
  }
  assert.equal(slotsTaken, 0, 'a part was never decided');
  assert.equal(closedCount, world.extents === undefined ? 0 : 1);
  return { kept, decidedTwice, result };
}

/** Every chunk was kept once, cut where one pass over the whole would. */
function assertWhole({ kept, decidedTwice, result }: Outcome, bytes: Uint8Array): void {
  const cuts = cutsOf(bytes, true);
  assert.deepEqual(
    kept,
    cuts.map((cut, i) => cut - (cuts[i - 1] ?? 0)),
  );
  assert.equal(decidedTwice, 0);
  assert.equal((result as SavedFile).size, bytes.length);
}

/** Random, repeating and constant stretches: the latter two are cut by size, so slices may never meet. */
const content = fc
  .array(
    fc.oneof(
      fc.record({ seed: fc.nat(), size: fc.integer({ min: 1, max: 3000 }) }),
      fc.record({ byte: fc.nat(255), size: fc.integer({ min: 1, max: 5000 }) }),
      fc.record({
        period: fc.integer({ min: 2, max: 90 }),
        size: fc.integer({ min: 1, max: 4000 }),
      }),
    ),
    { maxLength: 6 },
  )
  .map((pieces) =>
    Buffer.concat(
      pieces.map((piece) => {
        if ('seed' in piece) return seededRandom(piece.seed).bytes(piece.size);
        if ('byte' in piece) return Buffer.alloc(piece.size, piece.byte);
        return Buffer.from(
          Uint8Array.from({ length: piece.size }, (_, i) => (i * 37) % piece.period),
        );
      }),
    ),
  );
const slices = fc.record({
  size: fc.integer({ min: 600, max: 2500 }),
  overlap: fc.integer({ min: 512, max: 1100 }),
  holeSizeMin: fc.constant(64),
});

test('FileAssembly keeps the chunks of one pass, in order, whatever comes back when', async () => {
  await fc.assert(
    fc.asyncProperty(
      content,
      slices,
      fc.integer({ min: 2, max: 6 }),
      fc.nat(),
      async (bytes, ...rest) => {
        const [sizes, slotCount, seed] = rest;
        const random = seededRandom(seed);
        const pick = (count: number): number => (random.bytes(1)[0] as number) % count;

        const outcome = await assemble({
          content: bytes,
          slices: sizes,
          slotCount,
          pick,
        });

        assertWhole(outcome, bytes);
      },
    ),
    { seed: testSeed, numRuns: 300 },
  );
});

test('FileAssembly cuts what lies between holes as files of their own', async () => {
  const stretch = fc.record({ bytes: content, holeAfter: fc.integer({ min: 64, max: 5000 }) });
  await fc.assert(
    fc.asyncProperty(
      fc.array(stretch, { minLength: 1, maxLength: 4 }),
      fc.option(content, { nil: undefined }),
      slices,
      fc.record({ slotCount: fc.integer({ min: 2, max: 6 }), seed: fc.nat() }),
      async (stretches, end, sizes, { slotCount, seed }) => {
        const random = seededRandom(seed);
        const extents: Extent[] = [];
        const pieces: Uint8Array[] = [];
        const expected: number[] = [];
        let start = 0;
        const hasEnd = end !== undefined && end.length > 0;
        const all = hasEnd ? [...stretches, { bytes: end, holeAfter: 0 }] : stretches;
        for (const [i, { bytes, holeAfter }] of all.entries()) {
          const isLast = i === all.length - 1;
          extents.push({ start, end: start + bytes.length, holeAfter, isLast });
          pieces.push(bytes, Buffer.alloc(holeAfter));
          const cuts = cutsOf(bytes, true);
          for (const [k, cut] of cuts.entries()) expected.push(cut - (cuts[k - 1] ?? 0));
          start += bytes.length + holeAfter;
        }
        const world = {
          content: Buffer.concat(pieces),
          slices: sizes,
          slotCount,
          pick: (count: number) => (random.bytes(1)[0] as number) % count,
          extents,
        };

        const { kept, decidedTwice, result } = await assemble(world);

        const saved = result as SavedFile;
        assert.deepEqual(kept, expected);
        assert.equal(decidedTwice, 0);
        assert.equal(saved.size, start);
        assert.equal(saved.isChanged, false);
        assert.equal(
          saved.bytesRead,
          all.reduce((sum, { bytes }) => sum + bytes.length, 0),
        );
      },
    ),
    { seed: testSeed, numRuns: 300 },
  );
});

test('FileAssembly keeps one pass over a file that has grown or shrunk since it was seen', async () => {
  await fc.assert(
    fc.asyncProperty(
      content,
      slices,
      fc.integer({ min: 0, max: 20_000 }),
      async (bytes, sizes, sizeSeen) => {
        const world = { content: bytes, slices: sizes, slotCount: 3, pick: () => 0 };

        const outcome = await assemble(world, sizeSeen);

        assertWhole(outcome, bytes);
      },
    ),
    { seed: testSeed, numRuns: 300 },
  );
});
