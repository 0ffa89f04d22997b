/** What a window plans, whatever files and chunks come in whatever order. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ChunkLocation } from '../../src/repository/read-access.ts';
import type { OpenDirectory } from '../../src/restore/open-directories.ts';
import { type PlannedFile, type PlannedJob, PlanWindow } from '../../src/restore/plan-window.ts';
import { testSeed } from '../helpers/seeded-random.ts';

const frameSize = 300_000;
const rawSize = 2 ** 20;
const blobSize = 1000;

/** Blob `blob` of frame `frame` of pack `pack`; frames lie one behind the other. */
function locationOf({ pack, frame, blob }: Place): ChunkLocation {
  return {
    packNo: pack,
    pack: { name: `pack ${pack}` },
    frame: { offset: frame * frameSize, storedSize: frameSize, rawSize },
    blob: { rawOffset: blob * blobSize, rawSize: blobSize },
  } as unknown as ChunkLocation;
}

interface Place {
  readonly pack: number;
  readonly frame: number;
  readonly blob: number;
}

const places = fc.array(
  fc.record({
    pack: fc.nat({ max: 2 }),
    frame: fc.nat({ max: 60 }),
    blob: fc.nat({ max: 20 }),
  }),
  { maxLength: 12 },
);

function newFile(): PlannedFile {
  return {
    directory: {} as OpenDirectory,
    name: new Uint8Array(1),
    metadata: {},
    content: { kind: 'empty' },
    size: 0,
    isReplacing: false,
    target: undefined,
    holdCount: 1,
    hasFailed: false,
    isFirstName: false,
    notLinked: undefined,
  };
}

function piecesOf(jobs: readonly PlannedJob[]) {
  return jobs.flatMap(({ frames }) => frames.flatMap(({ pieces }) => pieces));
}

test('PlanWindow opens a frame once, and holds every file by each job that needs it', () => {
  fc.assert(
    fc.property(fc.array(places, { maxLength: 40 }), (placesOfFiles) => {
      const window = new PlanWindow();
      const files = placesOfFiles.map(newFile);
      let pieceCount = 0;
      for (const [i, file] of files.entries()) {
        window.addFile(file);
        for (const [position, place] of (placesOfFiles[i] ?? []).entries()) {
          window.addPiece({ file, position, location: locationOf(place) });
          pieceCount += 1;
        }
      }

      const jobs = window.take();

      assert.equal(piecesOf(jobs).length, pieceCount);
      const opened = jobs.flatMap(({ pack, frames }) =>
        frames.map(({ frame }) => `${pack?.name} ${frame.offset}`),
      );
      assert.equal(new Set(opened).size, opened.length);
      for (const file of files) {
        const needing = jobs.filter((job) => job.files.has(file));
        assert.ok(needing.length > 0);
        assert.equal(file.holdCount, 1 + needing.length);
      }
      assert.deepEqual(window.take(), []);
    }),
    { seed: testSeed },
  );
});

test('PlanWindow keeps a job in a bounded stretch of one pack, in the order of the pack', () => {
  fc.assert(
    fc.property(places, (some) => {
      const window = new PlanWindow();
      const file = newFile();
      for (const place of some) {
        window.addPiece({ file, position: 0, location: locationOf(place) });
      }

      for (const { pack, frames } of window.take()) {
        const offsets = frames.map(({ frame }) => frame.offset);
        assert.deepEqual(
          offsets,
          [...offsets].sort((a, b) => a - b),
        );
        const [first = 0, last = 0] = [offsets[0], offsets.at(-1)];
        assert.ok(last + frameSize - first <= 2 ** 21);
        for (const { frame, pieces } of frames) {
          for (const { location } of pieces) {
            assert.equal(location.pack.name, pack?.name);
            assert.equal(location.frame.offset, frame.offset);
          }
        }
      }
    }),
    { seed: testSeed },
  );
});

/** How many times `add` is called until the window is full. */
function fill(window: PlanWindow, add: (window: PlanWindow) => void): number {
  let count = 0;
  for (; !window.isFull; count++) add(window);
  return count;
}

/** A window that holds as much as any. */
function grownWindow(): PlanWindow {
  const window = new PlanWindow();
  for (let i = 0; i < 4; i++) window.take();
  return window;
}

test('PlanWindow is full by files, by chunks, and by files of more than one frame', () => {
  const one = newFile();
  const location = locationOf({ pack: 1, frame: 0, blob: 0 });

  const files = fill(grownWindow(), (window) => window.addFile(newFile()));
  const pieces = fill(grownWindow(), (window) =>
    window.addPiece({ file: one, position: 0, location }),
  );
  const spanning = fill(grownWindow(), (window) => {
    const file = newFile();
    for (const frame of [0, 1, 2]) {
      const there = locationOf({ pack: 1, frame, blob: 0 });
      window.addPiece({ file, position: 0, location: there });
    }
  });

  assert.deepEqual([files, pieces, spanning], [4096, 16_384, 256]);
});

test('PlanWindow takes few files first, so that workers begin soon, and then more', () => {
  const window = new PlanWindow();

  const counts = [1, 2, 3, 4].map(() => {
    const count = fill(window, () => window.addFile(newFile()));
    window.take();
    return count;
  });

  assert.deepEqual(counts, [256, 1024, 4096, 4096]);
});
