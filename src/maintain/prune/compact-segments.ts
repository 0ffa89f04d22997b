/**
 * Compaction of index segments: many small ones become few large ones, so that a repository of ten
 * thousand snapshots is opened with a few requests (docs/repository-format.md section 21).
 *
 * - The new segment names exactly those that were read as superseded, and is read back and compared
 *   with them before any of them is deleted.
 * - Only swept packs are left out, never condemned ones, which a sweep may rescue.
 * - Two compactors at once make equal unions; nobody waits for anybody.
 */
import { createHash } from 'node:crypto';
import { CorruptionError } from '../../errors.ts';
import type { PackName, SegmentName } from '../../id.ts';
import { encodeSegment, type Segment } from '../../index/segment.ts';
import type { PackRecord } from '../../pack/pack-record.ts';
import { compactSegments as unionOf } from '../../protocol/segments.ts';
import { OBJECT_KIND } from '../../record/object-kind.ts';
import { sealObject } from '../../record/sealed-object.ts';
import type { ChainWriter } from '../../repository/chain-writer.ts';
import { type ListedSegment, listSegments, readSegment } from '../../repository/index-sync.ts';
import { relyOn } from '../../repository/rely-on.ts';
import type { Repository } from '../../repository/repository.ts';
import type { DamagedObject } from '../../repository/view.ts';
import { equalBytes, toHex } from '../../util/bytes.ts';
import { nowMs } from '../../util/clock.ts';
import { pass } from './failpoints.ts';

/** Small segments of one level, and bytes of them, that are left alone. */
const smallCountMax = 32;
const smallSizeMax = 2 ** 26;
/**
 * Bytes of a segment that is written, of half a million blobs or so. Whoever reads one has all of it in
 * memory, twice as large unpacked.
 */
const segmentSizeMax = 2 ** 24;
const levelMax = 3;
/** Others may have listed what was superseded; they list again, but need not. */
const keptMs = 60 * 60 * 1000;

export interface CompactOptions {
  repository: Repository;
  writer: ChainWriter;
  swept: ReadonlySet<PackName>;
  /** Last generation swept. */
  generation: number;
  /** By the clock of the storage. */
  nowMs: number;
}

/** Writes larger segments where there are many, and deletes what others have long taken the place of. */
export async function compactIndex(options: CompactOptions): Promise<void> {
  await deleteSuperseded(options);
  for (let level = 0; level < levelMax; level++) {
    const segments = [...(await listSegments(options.repository)).values()]
      .filter((segment) => segment.level === level && segment.size < segmentSizeMax / 2)
      .sort((a, b) => a.storedMs - b.storedMs || (a.name < b.name ? -1 : 1));
    const size = segments.reduce((sum, segment) => sum + segment.size, 0);
    if (segments.length <= smallCountMax && size < smallSizeMax) continue;
    for (const batch of batches(segments)) {
      if (batch.length > 1) await compactBatch(batch, level + 1, options);
    }
  }
}

function batches(segments: readonly ListedSegment[]): ListedSegment[][] {
  const all: ListedSegment[][] = [];
  let size = 0;
  for (const segment of segments) {
    size += segment.size;
    const last = all.at(-1);
    if (last === undefined || size > segmentSizeMax) {
      all.push([segment]);
      size = segment.size;
    } else last.push(segment);
  }
  return all;
}

async function compactBatch(
  batch: readonly ListedSegment[],
  level: number,
  { repository, writer, swept, generation }: CompactOptions,
): Promise<void> {
  const inputs: { name: SegmentName; packs: string[] }[] = [];
  const records = new Map<string, PackRecord>();
  for (const { name, storageName } of batch) {
    const segment = await readSegment(repository, storageName, { damaged: [] });
    // Damaged, or compacted by somebody else: it is none of those that were read.
    if (segment === undefined) continue;
    inputs.push({ name, packs: segment.packs.map((pack) => pack.name) });
    for (const pack of segment.packs) {
      const known = records.get(pack.name);
      if (known !== undefined && !isSame(known, pack)) throw different(storageName, pack.name);
      records.set(pack.name, known ?? pack);
    }
  }
  if (inputs.length < 2) return;
  const { packs, superseded } = unionOf(inputs, swept as ReadonlySet<string>);
  const { random, clock, keys, storage } = repository;
  const segment: Segment = {
    level,
    sessionId: toHex(random.bytes(16)),
    writerId: writer.writerId,
    createdMs: nowMs(clock),
    applied: generation,
    superseded: [...superseded],
    packs: [...packs].map((name) => records.get(name) as PackRecord),
  };
  const identity = { kind: OBJECT_KIND.segment, name: '' };
  const payload = encodeSegment(segment);
  const file = sealObject(keys, identity, { payload, salt: writer.newSalt });
  const hash = toHex(createHash('sha256').update(file).digest());
  const storageName = `index/${level}-${hash}`;
  await pass('compact.before');
  await storage.put(storageName, file);
  await storage.sync();
  await pass('compact.after');
  await verifyWritten(repository, storageName, segment);
}

/** The segments that were read may go only when all that they said is there again. */
async function verifyWritten(
  repository: Repository,
  storageName: string,
  { packs, superseded }: Segment,
): Promise<void> {
  const damaged: DamagedObject[] = [];
  const written = await readSegment(repository, storageName, { damaged });
  const expected = new Map(packs.map((pack) => [pack.name, pack]));
  const isWhole =
    written !== undefined &&
    written.packs.length === expected.size &&
    written.superseded.length === superseded.length &&
    written.packs.every((pack) => isSame(pack, expected.get(pack.name)));
  if (isWhole) return;
  // It would take the place of what it does not hold.
  await repository.storage.delete(storageName);
  const found = damaged[0]?.error.message ?? 'other packs';
  const object = { kind: 'new index segment', which: storageName };
  throw new CorruptionError({ ...object, found, expected: 'what was just written' });
}

function isSame(a: PackRecord, b: PackRecord | undefined): boolean {
  return (
    b !== undefined &&
    a.name === b.name &&
    a.kind === b.kind &&
    a.length === b.length &&
    a.generation === b.generation &&
    equalBytes(a.salt, b.salt) &&
    equalBytes(a.body, b.body)
  );
}

function different(segment: string, pack: string): CorruptionError {
  const found = `another record of pack ${pack} than in other segments`;
  const expected = 'the same one; nothing was compacted';
  return new CorruptionError({ kind: 'index segment', which: segment, found, expected });
}

/** Deletes segments that others took the place of more than an hour ago. */
async function deleteSuperseded({ repository, nowMs: now }: CompactOptions): Promise<void> {
  const segments = await listSegments(repository);
  const all = [...segments.values()];
  for (const { level, storedMs, storageName } of all) {
    if (level === 0 || now - storedMs < keptMs) continue;
    // It took the place of older ones; where there are none any more it need not be read.
    if (!all.some((other) => other.level < level && other.storedMs <= storedMs)) continue;
    const segment = await readSegment(repository, storageName, { damaged: [] });
    const inputs = (segment?.superseded ?? []).flatMap((name) => segments.get(name) ?? []);
    if (inputs.length > 0) await relyOn(repository.storage, [storageName]);
    for (const input of inputs) {
      await repository.storage.delete(input.storageName);
      await pass('compact.deleted');
    }
  }
  await repository.storage.sync();
}
