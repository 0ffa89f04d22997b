/**
 * Bringing the local index up to date with the repository: the index segments it has not applied
 * yet, which packs are listed with the right size, and which are dead. What cannot be read is
 * reported, never fatal: a pack whose segment is lost is indexed again from its own directory.
 */

import { CorruptionError, NotFoundError, VarveError } from '../errors.ts';
import type { PackName, SegmentName } from '../id.ts';
import { CacheFailed } from '../index/environment.ts';
import type { LocalIndex } from '../index/local-index.ts';
import { parseSegment, type Segment } from '../index/segment.ts';
import { type PackRecord, packStorageName } from '../pack/pack-record.ts';
import type { LongCall } from '../progress.ts';
import { isAdoptable } from '../protocol/adoption.ts';
import { OBJECT_KIND, type PackKind } from '../record/object-kind.ts';
import { mapConcurrent } from '../util/concurrent.ts';
import { readPackDirectory } from './pack-access.ts';
import type { Repository } from './repository.ts';
import { decodeStored, readStoredRecord } from './stored-records.ts';
import type { DamagedObject, View } from './view.ts';

const SEGMENT_NAME = /^index\/([0-3])-([0-9a-f]{64})$/;
const PACK_NAME = /^(data|meta)\/[0-9a-f]{2}\/([0-9a-f]{64})$/;
const READS_IN_FLIGHT = 4;
/** Segments applied in one transaction: so many, and so many bytes; bounds what is held in memory. */
const SEGMENT_BATCH_COUNT = 16;
const SEGMENT_BATCH_SIZE = 2 ** 26;

export interface ListedPack {
  name: PackName;
  kind: PackKind;
  size: number;
  /** When it was stored, by the clock of the storage, ms since 1970. */
  storedMs: number;
}

export interface ListedSegment {
  name: SegmentName;
  storageName: string;
  level: number;
  size: number;
  /** When it was stored, by the clock of the storage, ms since 1970. */
  storedMs: number;
}

export interface IndexSync {
  index: LocalIndex;
  /** Every pack file of the repository, by name. */
  listed: Map<PackName, ListedPack>;
  /**
   * Packs that may be adopted, because no segment and no collector names them: of a session that has
   * not ended, or of one that was killed.
   */
  unindexed: ListedPack[];
  /** Storage names of segments taken over by an earlier run, which this one did not read. */
  unread: string[];
  /** Every segment that was listed, by name. */
  segments: ReadonlyMap<SegmentName, ListedSegment>;
  /** Segments and packs that cannot be read. */
  damaged: DamagedObject[];
}

/** Applies what is new since the last time. `view` must have been loaded before. */
export async function syncIndex(
  repository: Repository,
  view: View,
  options: LongCall = {},
): Promise<IndexSync> {
  try {
    return await syncOnce(repository, view, options);
  } catch (error) {
    if (!(error instanceof CacheFailed)) throw error;
    await repository.index.moveToTemporary(error);
    return await syncOnce(repository, view, options);
  }
}

async function syncOnce(repository: Repository, view: View, options: LongCall): Promise<IndexSync> {
  const damaged: DamagedObject[] = [];
  const segments = await listSegments(repository);
  const index = await openFitting(repository, segments);
  const known = index.segmentNames();
  const unread = [...segments.values()]
    .filter(({ name }) => known.has(name))
    .map(({ storageName }) => storageName);
  await applyMissing(repository, { index, segments, known }, { ...options, damaged });
  const listed = await listPacks(repository);
  const sizes = new Map([...listed.values()].map(({ name, size }) => [name, size]));
  await index.updateStates({ listed: sizes, dead: view.collector.deadPacks });
  index.distrust(await repository.ledger.damage());
  const indexed = new Set<PackName>();
  for (const { name, isIndexed } of index.packs()) if (isIndexed) indexed.add(name);
  const dead = view.collector.deadPacks;
  const unindexed = [...listed.values()].filter(({ name }) => isAdoptable(name, { indexed, dead }));
  return { index, listed, unindexed, unread, segments, damaged };
}

/** The local index; a new one when a segment was lost, since what came from it alone no longer counts. */
async function openFitting(
  repository: Repository,
  segments: ReadonlyMap<SegmentName, ListedSegment>,
): Promise<LocalIndex> {
  const index = await repository.index.open();
  const gone = [...index.segmentNames()].filter((name) => !segments.has(name));
  if (gone.length === 0) return index;
  const superseded = index.supersededNames();
  if (gone.every((name) => superseded.has(name))) {
    index.dropSegments(gone);
    return index;
  }
  await repository.index.discard();
  return await repository.index.open();
}

/** Segments of higher levels come first: what they supersede need not be read. */
async function applyMissing(
  repository: Repository,
  from: {
    index: LocalIndex;
    segments: ReadonlyMap<SegmentName, ListedSegment>;
    known: ReadonlySet<SegmentName>;
  },
  options: LongCall & { damaged: DamagedObject[] },
): Promise<void> {
  const { index, segments, known } = from;
  let missing = [...segments.values()]
    .filter(({ name }) => !known.has(name))
    .sort((a, b) => b.level - a.level);
  const filesTotal = missing.length;
  while (missing.length > 0) {
    const batch = missing.splice(0, batchCount(missing));
    const filesDone = filesTotal - missing.length - batch.length;
    options.onProgress?.({ phase: 'index', filesDone, filesTotal, bytesDone: 0 });
    const read = await readSegments(repository, batch, options);
    await index.applySegments(read);
    if (!read.some(({ segment }) => segment.superseded.length > 0)) continue;
    const superseded = index.supersededNames();
    missing = missing.filter(({ name }) => !superseded.has(name));
  }
}

/** How many of the first ones are read together; one at least. */
function batchCount(missing: readonly ListedSegment[]): number {
  let size = 0;
  const end = missing.findIndex((segment, i) => {
    size += segment.size;
    return i >= SEGMENT_BATCH_COUNT || (i > 0 && size > SEGMENT_BATCH_SIZE);
  });
  return end < 0 ? missing.length : end;
}

/** Throws the local index away and builds it again from the repository. */
export async function rebuildIndex(
  repository: Repository,
  view: View,
  options: LongCall = {},
): Promise<IndexSync> {
  await repository.index.discard();
  const sync = await syncIndex(repository, view, options);
  await indexFromPacks(repository, sync, options);
  return sync;
}

/** Reads the segments that the local index made unnecessary to read: are they still good? */
export async function verifySegments(
  repository: Repository,
  sync: IndexSync,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<void> {
  const { damaged } = sync;
  await mapConcurrent(sync.unread, READS_IN_FLIGHT, async (name) => {
    await readSegment(repository, name, { damaged, ...options });
  });
}

/** The packs that segments name, as far as these can be read now, whatever the local index knows. */
export async function readNamedPacks(
  repository: Repository,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<{ named: Set<PackName>; damaged: DamagedObject[] }> {
  const named = new Set<PackName>();
  const damaged: DamagedObject[] = [];
  const segments = (await listSegments(repository)).values();
  await mapConcurrent(segments, READS_IN_FLIGHT, async ({ storageName }) => {
    const segment = await readSegment(repository, storageName, { damaged, ...options });
    for (const pack of segment?.packs ?? []) named.add(pack.name);
  });
  return { named, damaged };
}

/**
 * Reads the directories of packs that no segment names into the local index, so that their blobs
 * are found. Whoever relies on them in a new snapshot must adopt them first (`session.ts`).
 */
export async function indexFromPacks(
  repository: Repository,
  sync: IndexSync,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<PackRecord[]> {
  const records = await readUnindexed(repository, sync, options);
  await indexPacks(repository, sync, records);
  return records;
}

/** Takes packs that no segment names into the local index, as far as its disk allows. */
export async function indexPacks(
  repository: Repository,
  sync: IndexSync,
  records: readonly PackRecord[],
): Promise<void> {
  try {
    for (const record of records) await sync.index.addPack(record);
  } catch (error) {
    if (!(error instanceof CacheFailed)) throw error;
    repository.onNotice(`Cannot write the cache: ${error.message}`);
  }
}

/** Records of the packs that no segment names, from their own directories. */
export async function readUnindexed(
  repository: Repository,
  sync: IndexSync,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<PackRecord[]> {
  const records: PackRecord[] = [];
  await mapConcurrent(sync.unindexed, READS_IN_FLIGHT, async (pack) => {
    try {
      const { record } = await readPackDirectory(repository, pack, options);
      records.push(record);
    } catch (error) {
      if (error instanceof NotFoundError) return;
      if (!(error instanceof CorruptionError)) throw error;
      sync.damaged.push({ name: packStorageName(pack), error });
    }
  });
  return records;
}

/** Every index segment of the repository, by name. */
export async function listSegments(
  repository: Repository,
): Promise<Map<SegmentName, ListedSegment>> {
  const segments = new Map<SegmentName, ListedSegment>();
  for await (const { name: storageName, size, modifiedMs } of repository.storage.list('index/')) {
    const match = SEGMENT_NAME.exec(storageName);
    if (match === null) continue;
    const [, level, hash] = match;
    const name = hash as SegmentName;
    const storedMs = Math.floor(modifiedMs);
    segments.set(name, { name, storageName, level: Number(level), size, storedMs });
  }
  return segments;
}

async function listPacks(repository: Repository): Promise<Map<PackName, ListedPack>> {
  const packs = new Map<PackName, ListedPack>();
  for (const prefix of ['data/', 'meta/']) {
    for await (const { name, size, modifiedMs } of repository.storage.list(prefix)) {
      const match = PACK_NAME.exec(name);
      if (match === null) continue;
      const kind = match[1] === 'data' ? OBJECT_KIND.dataPack : OBJECT_KIND.metadataPack;
      const pack = match[2] as PackName;
      packs.set(pack, { name: pack, kind, size, storedMs: Math.floor(modifiedMs) });
    }
  }
  return packs;
}

async function readSegments(
  repository: Repository,
  wanted: readonly ListedSegment[],
  options: { damaged: DamagedObject[]; signal?: AbortSignal | undefined },
): Promise<{ name: SegmentName; segment: Segment }[]> {
  const segments: { name: SegmentName; segment: Segment }[] = [];
  await mapConcurrent(wanted, READS_IN_FLIGHT, async ({ name, storageName }) => {
    const segment = await readSegment(repository, storageName, options);
    if (segment !== undefined) segments.push({ name, segment });
  });
  return segments;
}

/** Undefined when it is damaged, which is noted, or gone. */
export async function readSegment(
  repository: Repository,
  name: string,
  { damaged, signal }: { damaged: DamagedObject[]; signal?: AbortSignal | undefined },
): Promise<Segment | undefined> {
  const expected = { kinds: [OBJECT_KIND.segment], isHashNamed: true, signal };
  try {
    const { payload } = await readStoredRecord(repository, name, expected);
    return decodeStored({ kind: 'index segment', which: name }, () => parseSegment(payload));
  } catch (error) {
    // A segment that vanished was compacted; one listing later its successor is seen.
    if (error instanceof NotFoundError) return undefined;
    if (!(error instanceof VarveError) || error.code === 'STORAGE') throw error;
    damaged.push({ name, error });
    return undefined;
  }
}
