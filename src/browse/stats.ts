/**
 * What snapshots hold and what that takes. Nothing is read but trees and the local index; what
 * directories hold is remembered, so that one that many snapshots share is walked once.
 */
import { NotFoundError } from '../errors.ts';
import { type BlobId, blobKey } from '../id.ts';
import type { LongCall } from '../progress.ts';
import { BlobCensus, type BlobSums } from '../repository/blob-census.ts';
import type { ReadAccess } from '../repository/read-access.ts';
import type { Snapshot } from '../snapshot/selection.ts';
import type { Content } from '../tree/content.ts';
import type { DirectoryEntry, DirectoryRoot } from '../tree/node.ts';
import { toHex } from '../util/bytes.ts';
import { systemClock } from '../util/clock.ts';
import { Turns } from '../util/turns.ts';

/** Entries of trees, as often as they occur. */
export interface EntryCounts {
  files: number;
  directories: number;
  others: number;
}

/** All sizes are in bytes. */
export interface SnapshotStats extends EntryCounts, BlobSums {
  snapshots: number;
  /** Of all files of all these snapshots, as often as they occur. */
  rawSize: bigint;
}

/** Directories remembered, each with about 200 bytes; beyond that some are walked again. */
const knownDirectoriesMax = 2 ** 18;

/** @throws NotFoundError, CorruptionError, StorageError when something cannot be read. */
export async function countSnapshots(
  access: ReadAccess,
  snapshots: readonly Snapshot[],
  options: LongCall,
): Promise<SnapshotStats> {
  const counter = new Counter(access, snapshots, options);
  const counts = noEntries();
  let rawSize = 0n;
  for (const { manifest } of snapshots) {
    addCounts(counts, await counter.count(manifest.root));
    rawSize += manifest.root.bytes;
  }
  return { snapshots: snapshots.length, ...counts, rawSize, ...counter.census.sums() };
}

class Counter {
  readonly census: BlobCensus;
  readonly #access: ReadAccess;
  readonly #onProgress: LongCall['onProgress'];
  readonly #turns: Turns;
  readonly #known = new Map<string, EntryCounts>();
  readonly #entriesTotal: number;
  #entriesDone = 0;

  constructor(access: ReadAccess, snapshots: readonly Snapshot[], options: LongCall) {
    this.census = new BlobCensus(access.sync.index);
    this.#access = access;
    this.#onProgress = options.onProgress;
    this.#turns = new Turns(systemClock, options.signal);
    const entries = snapshots.reduce((sum, { manifest }) => sum + manifest.root.entries, 0n);
    this.#entriesTotal = Number(entries);
  }

  /** Counts what is below a directory, at any depth. */
  async count(root: DirectoryRoot): Promise<EntryCounts> {
    const key = blobKey(root.id);
    const known = this.#known.get(key);
    if (known !== undefined) {
      this.#entriesDone += Number(root.entries);
      return known;
    }
    const counts = noEntries();
    for await (const entries of this.#access.directory(root)) {
      this.#entriesDone += entries.length;
      for (const entry of entries) await this.#countEntry(counts, entry);
      await this.#takeTurn();
    }
    if (this.#known.size >= knownDirectoriesMax) this.#known.clear();
    this.#known.set(key, counts);
    return counts;
  }

  async #countEntry(counts: EntryCounts, entry: DirectoryEntry): Promise<void> {
    const { type, directory } = entry;
    if (type === 'f') counts.files += 1;
    else if (type === 'd') counts.directories += 1;
    else counts.others += 1;
    if (directory !== undefined) addCounts(counts, await this.count(directory));
    if (type === 'f' && entry.content !== undefined) await this.#countContent(entry.content);
  }

  async #countContent(content: Content): Promise<void> {
    if (content.kind === 'blob') this.#countBlob(content.id);
    if (content.kind !== 'list') return;
    for await (const chunks of this.#access.chunks(content)) {
      for (const { id } of chunks) if (id !== undefined) this.#countBlob(id);
      await this.#takeTurn();
    }
  }

  #countBlob(id: BlobId): void {
    if (!this.census.add(id)) throw new NotFoundError('data chunk', toHex(id));
  }

  async #takeTurn(): Promise<void> {
    if (!this.#turns.isOver) return;
    const done = { filesDone: this.#entriesDone, filesTotal: this.#entriesTotal, bytesDone: 0 };
    this.#onProgress?.({ phase: 'trees', ...done });
    await this.#turns.next();
  }
}

function noEntries(): EntryCounts {
  return { files: 0, directories: 0, others: 0 };
}

function addCounts(sum: EntryCounts, { files, directories, others }: EntryCounts): void {
  sum.files += files;
  sum.directories += directories;
  sum.others += others;
}
