/**
 * A small cache with known content, to be damaged and opened again. What must hold afterwards,
 * whatever was done to its files: it opens, a segment it calls applied is complete, no location is
 * wrong, and after the missing segments are applied and more is written everything is there.
 */
import assert from 'node:assert/strict';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BlobId, SegmentName } from '../../src/id.ts';
import { LocalIndex } from '../../src/index/local-index.ts';
import { isPresent, locate } from '../../src/index/presence.ts';
import type { Segment } from '../../src/index/segment.ts';
import { directoryOf, type PackRecord } from '../../src/pack/pack-record.ts';
import { toHex } from '../../src/util/bytes.ts';
import {
  bigPackOf,
  listingOf,
  packOf,
  randomIds,
  segmentName,
  segmentOf,
  testRepositoryId,
} from './index-packs.ts';
import { seededRandom } from './seeded-random.ts';

/** Of LMDB, where the system has the usual pages. */
export const PAGE_SIZE = 4096;

export interface NamedSegment {
  name: SegmentName;
  segment: Segment;
}

export interface CacheFixture {
  cacheDir: string;
  /** The environment's directory in it. */
  path: string;
  segments: NamedSegment[];
  packs: PackRecord[];
}

/** Packs of whole blobs, and of deltas on them, in four segments. */
function damageSegments(): NamedSegment[] {
  const random = seededRandom(77);
  return Array.from({ length: 4 }, (_, i) => {
    const ids = randomIds(random, 30);
    const deltas = randomIds(random, 10).map((id, j) => ({ id, base: ids[j] as BlobId }));
    const large = bigPackOf(`large ${i}`, randomIds(random, 300));
    const packs = [packOf(`deltas ${i}`, deltas), bigPackOf(`whole ${i}`, ids), large];
    return { name: segmentName(`segment ${i}`), segment: segmentOf(packs) };
  });
}

/** The base covers the first three segments of the fixture, and more with what is written later. */
const mergeBounds = { min: 500, max: 500 };

export function openFixture({ cacheDir }: { cacheDir: string }): Promise<LocalIndex> {
  return LocalIndex.open({ cacheDir, repositoryId: testRepositoryId, mergeBounds });
}

/** Makes the cache and closes it in order. */
export async function makeCache(cacheDir: string): Promise<CacheFixture> {
  const segments = damageSegments();
  const packs = segments.flatMap(({ segment }) => segment.packs);
  const index = await openFixture({ cacheDir });
  for (const segment of segments.slice(0, 3)) await index.applySegments([segment]);
  await index.updateStates({ listed: listingOf(packs), dead: new Set() });
  await index.applySegments(segments.slice(3));
  await index.close();
  return { cacheDir, path: join(cacheDir, toHex(testRepositoryId)), segments, packs };
}

/** A copy of the cache elsewhere, for one way of damaging it. */
export function copyCache(fixture: CacheFixture, cacheDir: string): CacheFixture {
  rmSync(cacheDir, { recursive: true, force: true });
  cpSync(fixture.cacheDir, cacheDir, { recursive: true, preserveTimestamps: true });
  return { ...fixture, cacheDir, path: join(cacheDir, toHex(testRepositoryId)) };
}

/** A copy of the cache with a change to its data file. */
export function damagedCopy(
  fixture: CacheFixture,
  cacheDir: string,
  change: (bytes: Buffer) => Uint8Array,
): CacheFixture {
  const copy = copyCache(fixture, cacheDir);
  const path = join(copy.path, 'data.mdb');
  writeFileSync(path, change(readFileSync(path)));
  return copy;
}

/** One flipped bit: anywhere, in the head of a page, or in a meta page, by turns. */
export function flipBit(bytes: Buffer, seed: number): Buffer {
  const random = seededRandom(1000 + seed);
  const page = PAGE_SIZE * random.below(bytes.length / PAGE_SIZE);
  const places = [random.below(bytes.length), page + random.below(64), random.below(2 * PAGE_SIZE)];
  const at = places[seed % 3] as number;
  bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
  return bytes;
}

/**
 * Opens the cache and demands what must hold after any damage.
 * @returns how many segments it still knew.
 */
export async function assertUsable(fixture: CacheFixture): Promise<number> {
  const { segments, packs } = fixture;
  const index = await openFixture(fixture);
  const known = index.segmentNames();
  try {
    for (const { name, segment } of segments) {
      for (const pack of segment.packs) assertFound(index, pack, { mustBe: known.has(name) });
    }
    await index.updateStates({ listed: listingOf(packs), dead: new Set() });
    await index.applySegments(segments.filter(({ name }) => !known.has(name)));
    await assertWritable(index);
    for (const pack of packs) assertFound(index, pack, { mustBe: true });
    for (const pack of packs) assertAllPresent(index, pack);
    assert.equal(index.isDamaged, false);
  } finally {
    await index.close();
  }
  await assertComplete(fixture);
  return known.size;
}

/** More packs, so that free pages of the file are used again. */
async function assertWritable(index: LocalIndex): Promise<void> {
  const random = seededRandom(78);
  for (let i = 0; i < 5; i++) {
    const pack = bigPackOf(`later ${i}`, randomIds(random, 300));
    await index.addPack(pack);
    assertFound(index, pack, { mustBe: true });
  }
}

async function assertComplete(fixture: CacheFixture): Promise<void> {
  const index = await openFixture(fixture);
  try {
    assert.equal(index.segmentNames().size, fixture.segments.length);
    for (const pack of fixture.packs) assertFound(index, pack, { mustBe: true });
  } finally {
    await index.close();
  }
}

function assertAllPresent(index: LocalIndex, pack: PackRecord): void {
  for (const { id } of directoryOf(pack).blobs) assert.ok(isPresent(index, id));
}

function assertFound(index: LocalIndex, pack: PackRecord, options: { mustBe: boolean }): void {
  const { blobs, frames } = directoryOf(pack);
  for (const [slot, blob] of blobs.entries()) {
    const locations = locate(index, blob.id);
    assert.equal(locations.length <= 1, true);
    const [location] = locations;
    if (location === undefined) {
      assert.equal(options.mustBe, false, `lost ${toHex(blob.id)}`);
      continue;
    }
    assert.equal(location.pack.name, pack.name);
    assert.equal(location.pack.length, pack.length);
    assert.equal(toHex(location.pack.salt), toHex(pack.salt));
    assert.equal(location.slot, slot);
    assert.equal(location.frame.offset, frames[blob.frame]?.offset);
    assert.equal(toHex(location.blob.id), toHex(blob.id));
  }
}
