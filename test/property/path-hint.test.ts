/** Old chunks against a plain list, and the hint against its rule. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { BlobId } from '../../src/id.ts';
import { OldChunks } from '../../src/similarity/old-chunks.ts';
import { PathHint } from '../../src/similarity/path-hint.ts';
import { flipBit } from '../helpers/fault-storage.ts';
import { idOf } from '../helpers/index-packs.ts';
import { testSeed } from '../helpers/seeded-random.ts';

interface Chunk {
  id: BlobId | undefined;
  size: number;
}

const ids = Array.from({ length: 200 }, (_, i) => idOf(`chunk ${i}`));
// Two that begin alike, as hashes seldom do.
ids[1] = flipBit(ids[0] as BlobId, 8 * 31) as BlobId;

const chunk: fc.Arbitrary<Chunk> = fc.record({
  id: fc.option(fc.constantFrom(...ids.slice(0, 12)), { nil: undefined, freq: 6 }),
  size: fc.integer({ min: 1, max: 9 }),
});
const chunks = fc.array(chunk, { maxLength: 30 });

/** A chunk of the old file with its place. */
interface Placed extends Chunk {
  start: number;
  end: number;
}

function placed(list: readonly Chunk[], start = 0): Placed[] {
  let at = start;
  return list.map(({ id, size }) => {
    at += size;
    return { id, size, start: at - size, end: at };
  });
}

function oldChunks(list: readonly Chunk[], start = 0): OldChunks {
  const old = new OldChunks(start);
  for (const { id, size } of list) old.add(id, size);
  return old;
}

/** By trying all. */
function mostOverlapping(list: readonly Placed[], start: number, end: number): number {
  const overlaps = list.map((each) =>
    each.id === undefined ? 0 : Math.min(end, each.end) - Math.max(start, each.start),
  );
  const most = Math.max(0, ...overlaps);
  return most === 0 ? -1 : overlaps.indexOf(most);
}

function assertSame(old: OldChunks, list: readonly Placed[]): void {
  assert.equal(old.count, list.length);
  for (const [i, { id, start }] of list.entries()) {
    assert.equal(old.offsetAt(i), start);
    assert.deepEqual(old.idAt(i), id);
  }
  for (const id of ids.slice(0, 14)) {
    assert.equal(
      old.indexOf(id),
      list.findIndex((each) => each.id === id),
    );
  }
  const end = list.at(-1)?.end ?? 0;
  for (let from = (list[0]?.start ?? 0) - 3; from < end + 3; from += 2) {
    for (const size of [1, 4, 20]) {
      assert.equal(
        old.mostOverlapping(from, from + size),
        mostOverlapping(list, from, from + size),
      );
    }
  }
}

test('OldChunks answers as a list of its chunks does', () => {
  fc.assert(
    fc.property(chunks, fc.nat(1000), (list, start) => {
      const old = oldChunks(list, start);

      assertSame(old, placed(list, start));
      assert.equal(old.start, start);
      assert.equal(old.end, placed(list, start).at(-1)?.end ?? start);
    }),
    { seed: testSeed },
  );
});

test('OldChunks.dropBefore() forgets what lies behind, and more can be added', () => {
  fc.assert(
    fc.property(chunks, chunks, fc.nat(150), (first, second, offset) => {
      const old = oldChunks(first);

      old.dropBefore(offset);
      for (const { id, size } of second) old.add(id, size);

      const all = placed([...first, ...second]);
      const isKept = ({ end }: Placed, i: number): boolean => i >= first.length || end > offset;
      assertSame(old, all.filter(isKept));
    }),
    { seed: testSeed },
  );
});

test('OldChunks grows to any number of chunks', () => {
  const list = ids.flatMap((id) => [
    { id, size: 3 },
    { id: undefined, size: 2 },
  ]);
  const old = oldChunks(list);

  assert.equal(old.count, 400);
  for (const [i, id] of ids.entries()) {
    assert.equal(old.indexOf(id), 2 * i);
    assert.equal(old.offsetAt(2 * i), 5 * i);
    assert.deepEqual(old.idAt(2 * i), id);
  }
});

test('PathHint expects a chunk where the last common one was, and only that moves it', () => {
  fc.assert(
    fc.property(chunks, chunks, (before, after) => {
      const list = placed(before);
      const old = oldChunks(before);
      const hint = new PathHint();
      let shift = 0;

      for (const { id, start, end } of placed(after)) {
        const position = hint.hintFor(old, start, end - start);
        assert.equal(position, mostOverlapping(list, start + shift, end + shift));

        if (id === undefined) continue;
        hint.noteDuplicate(old, start, id);
        const same = list.find((each) => each.id === id);
        if (same !== undefined) shift = same.start - start;
      }
    }),
    { seed: testSeed },
  );
});

/** Chunks of 100 bytes. */
function version(names: string): Chunk[] {
  return [...names].map((name) => ({ id: idOf(name), size: 100 }));
}

/** Names of the chunks hinted for those of `after` that `before` has not; `-` without one, `.` for the others. */
function hinted(before: string, after: string): string {
  const old = oldChunks(version(before));
  const hint = new PathHint();
  return placed(version(after))
    .map(({ id, start, size }, i) => {
      if (before.includes(after[i] as string)) {
        hint.noteDuplicate(old, start, id as BlobId);
        return '.';
      }
      const position = hint.hintFor(old, start, size);
      return position < 0 ? '-' : before[position];
    })
    .join('');
}

test('PathHint finds the old chunk in a list that shrank, grew, was shuffled or replaced', () => {
  assert.equal(hinted('abcdefgh', 'abcXefYh'), '...d..g.', 'the same length');
  assert.equal(hinted('abcdefgh', 'abefXh'), '....g.', 'shrunk');
  assert.equal(hinted('abcdefgh', 'abUVcdXfgh'), '..cd..e...', 'grown');
  assert.equal(hinted('abcdefgh', 'efXhabYd'), '..g...c.', 'shuffled');
  assert.equal(hinted('abcd', 'WXYZ'), 'abcd', 'replaced');
  assert.equal(hinted('abcd', 'cdX'), '..-', 'behind the end');
  assert.equal(hinted('', 'XY'), '--', 'nothing before');
});

test('PathHint names the bytes of the old file that it needs', () => {
  const old = oldChunks(version('abcdefgh'));
  const hint = new PathHint();

  hint.noteDuplicate(old, 100, idOf('d'));

  assert.deepEqual(hint.rangeOf(200, 50), { start: 400, end: 450 });
});
