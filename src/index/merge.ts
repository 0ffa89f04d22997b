/**
 * Writing a new base: the old one and the blobs of all packs after it, merged in the order of ids and
 * written page by page, all full, over what was the base before the old one.
 *
 * Memory is bounded: the new entries are taken from the pack directories in LMDB and sorted in
 * several rounds, each for one range of ids.
 *
 * Two processes may want to merge at once. `meta` names the generation that is being written; every
 * transaction of a merge looks whether it is still its own, and gives up when another one began.
 * The summary, written last, makes the new base count; until then it is garbage, and so is what a
 * process leaves that dies or gives up. The next merge writes over it.
 */
import { demand } from '../util/byte-reader.ts';
import { BaseBlobs } from './base-blobs.ts';
import {
  BaseMoved,
  entryCountOf,
  newBaseKey,
  nextGeneration,
  pageCountOf,
  pageEntryCount,
  pageSizeMax,
  putBaseSummary,
  putFences,
  sealPage,
  setBaseKey,
} from './base-rows.ts';
import {
  BlobEntries,
  blobEntrySize,
  compareKeys,
  type PrefixRange,
  prefixOf,
} from './blob-entries.ts';
import { lastPackNo, packBody, packKey } from './cache-rows.ts';
import { type Environment, putMeta, readMeta, writeAll } from './environment.ts';

/** Of the new entries, at most 50 MB and half as much for sorting; every round reads all packs. */
const ROUND_ENTRIES = { min: 2 ** 19, max: 2 ** 21, rounds: 8 } as const;
/** Pages in one transaction, 8 MiB; LMDB holds them in memory until it commits. */
const PAGES_PER_COMMIT = 2048;
const PACKS_PER_STEP = 256;
const ENTRIES_PER_STEP = 262_144;

/**
 * Merges in steps of less than 0.2 s; whoever stops between two leaves garbage and nothing else.
 * @param entryCount of the new packs, about; it decides how many rounds there are.
 * @throws CacheFailed, Malformed; the old base counts then.
 */
export function* mergeBlobs(
  environment: Environment,
  { entryCount, rounds = roundsFor(entryCount) }: { entryCount: number; rounds?: number },
): Generator<void, void> {
  const { base, writer } = beginMerge(environment);
  try {
    yield* mergeInto(writer, { environment, base, entryCount, rounds });
  } catch (error) {
    // Another merge ended, and a third one writes over what this one reads.
    if (!(error instanceof BaseMoved) || writer.askOwn()) throw error;
  }
}

function* mergeInto(
  writer: BaseWriter,
  from: { environment: Environment; base: BaseBlobs; entryCount: number; rounds: number },
): Generator<void, void> {
  const { environment, base, entryCount, rounds } = from;
  const packs = { after: base.summary.packNo, last: lastPackNo(environment.packs) };
  const source = new BaseSource(base);
  for (let round = 0; round < rounds && writer.isOwn; round++) {
    const range = {
      from: Math.floor((2 ** 32 * round) / rounds),
      below: Math.floor((2 ** 32 * (round + 1)) / rounds),
    };
    // Ids are spread evenly, and two per cent are room enough.
    const entries = new BlobEntries(Math.ceil((1.02 * entryCount) / rounds));
    yield* collect(environment, packs, { entries, range });
    yield* mergeRound(entries, source, writer);
  }
  source.moveAll(writer);
  writer.finish(packs.last);
}

function roundsFor(entryCount: number): number {
  const { min, max, rounds } = ROUND_ENTRIES;
  return Math.ceil(entryCount / Math.max(min, Math.min(max, entryCount / rounds))) || 1;
}

/** From here on no other process that has begun before can make its base count. */
function beginMerge(environment: Environment): { base: BaseBlobs; writer: BaseWriter } {
  return writeAll(environment, () => {
    const base = new BaseBlobs(environment);
    const generation = nextGeneration(base.summary.generation, buildingOf(environment));
    putMeta(environment, 'building', String(generation));
    return { base, writer: new BaseWriter(environment, generation) };
  });
}

/** Takes in the blobs of the packs after `after` that lie in the range. */
function* collect(
  environment: Environment,
  { after, last }: { after: number; last: number },
  { entries, range }: { entries: BlobEntries; range: PrefixRange },
): Generator<void, void> {
  for (let packNo = after + 1; packNo <= last; packNo++) {
    const key = packKey(packNo);
    const value = environment.packs.getBinaryFast(key);
    demand(value !== undefined, `pack ${packNo} is missing`);
    entries.addPack(packNo, packBody(key, value), range);
    if (packNo % PACKS_PER_STEP === 0) yield;
  }
}

function* mergeRound(
  entries: BlobEntries,
  source: BaseSource,
  writer: BaseWriter,
): Generator<void, void> {
  let stepAt = writer.entryCount + ENTRIES_PER_STEP;
  const order = entries.sorted();
  for (let i = 0; i < order.length; i++) {
    const start = (order[i] as number) * blobEntrySize;
    source.moveUpTo(entries.bytes, start, writer);
    writer.write(entries.bytes, start, 1);
    if (writer.entryCount < stepAt) continue;
    stepAt = writer.entryCount + ENTRIES_PER_STEP;
    yield;
    if (!writer.isOwn) return;
  }
}

/** The entries of the old base, in order. */
class BaseSource {
  readonly #base: BaseBlobs;
  readonly #pageCount: number;
  readonly #page = new Uint8Array(pageEntryCount * blobEntrySize);
  #next = 0;
  /** Of the page that was read: the entry to go on with, and how many there are. */
  #at = 0;
  #count = 0;

  constructor(base: BaseBlobs) {
    this.#base = base;
    this.#pageCount = pageCountOf(base.summary);
  }

  /** Moves all entries whose key is not behind that of the given one. */
  moveUpTo(entries: Uint8Array, start: number, writer: BaseWriter): void {
    while (this.#fill()) {
      const last = (this.#count - 1) * blobEntrySize;
      const isAll = compareKeys(this.#page, last, entries, start) <= 0;
      this.#move(isAll ? this.#count : this.#upperBound(entries, start), writer);
      if (!isAll) return;
    }
  }

  moveAll(writer: BaseWriter): void {
    while (writer.isOwn && this.#fill()) this.#move(this.#count, writer);
  }

  /** Whether there is an entry at `#at`. */
  #fill(): boolean {
    if (this.#at < this.#count) return true;
    if (this.#next === this.#pageCount) return false;
    this.#base.copyPage(this.#next, this.#page);
    this.#count = entryCountOf(this.#base.summary, this.#next);
    this.#at = 0;
    this.#next++;
    return true;
  }

  #move(end: number, writer: BaseWriter): void {
    if (end > this.#at) writer.write(this.#page, this.#at * blobEntrySize, end - this.#at);
    this.#at = end;
  }

  #upperBound(entries: Uint8Array, start: number): number {
    let low = this.#at;
    let high = this.#count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compareKeys(this.#page, middle * blobEntrySize, entries, start) <= 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Appends entries to a new base. */
class BaseWriter {
  readonly #environment: Environment;
  readonly #generation: number;
  /** Pages that are not written yet, the last one not full. */
  readonly #pending = new Uint8Array(PAGES_PER_COMMIT * pageEntryCount * blobEntrySize);
  #pendingSize = 0;
  readonly #fences: number[] = [];
  #writtenPages = 0;
  entryCount = 0;
  /** False once another process has begun a merge of its own. */
  isOwn = true;

  constructor(environment: Environment, generation: number) {
    this.#environment = environment;
    this.#generation = generation;
  }

  write(entries: Uint8Array, start: number, count: number): void {
    let from = start;
    const end = start + count * blobEntrySize;
    while (from < end) {
      if (this.#pendingSize === this.#pending.length) this.#commit();
      const to = Math.min(end, from + this.#pending.length - this.#pendingSize);
      copyEntries(entries, from, to, this.#pending, this.#pendingSize);
      this.#pendingSize += to - from;
      from = to;
    }
    this.entryCount += count;
  }

  /** Makes the new base count. */
  finish(packNo: number): void {
    this.#commit();
    this.#ifOwn(() => {
      const generation = this.#generation;
      putFences(this.#environment, generation, this.#fences);
      putBaseSummary(this.#environment, { generation, packNo, entryCount: this.entryCount });
    });
  }

  #commit(): void {
    const fullSize = pageEntryCount * blobEntrySize;
    const generation = this.#generation;
    this.#ifOwn(() => {
      const key = newBaseKey();
      const page = new Uint8Array(pageSizeMax);
      for (let start = 0; start < this.#pendingSize; start += fullSize) {
        const size = Math.min(fullSize, this.#pendingSize - start);
        page.set(this.#pending.subarray(start, start + size));
        setBaseKey(key, generation, this.#writtenPages);
        const count = size / blobEntrySize;
        this.#environment.base.putSync(key, sealPage(key, page, { count, generation }));
        this.#fences.push(prefixOf(this.#pending, start));
        this.#writtenPages++;
      }
    });
    this.#pendingSize = 0;
  }

  /** Whether no other process has begun a merge meanwhile. */
  askOwn(): boolean {
    this.#ifOwn(() => {});
    return this.isOwn;
  }

  #ifOwn(action: () => void): void {
    writeAll(this.#environment, () => {
      this.isOwn &&= buildingOf(this.#environment) === this.#generation;
      if (this.isOwn) action();
    });
  }
}

function buildingOf(environment: Environment): number {
  return Number(readMeta(environment, 'building') ?? 0);
}

/** A call costs more than a few entries. */
function copyEntries(
  source: Uint8Array,
  from: number,
  to: number,
  target: Uint8Array,
  at: number,
): void {
  if (to - from > 8 * blobEntrySize) {
    target.set(source.subarray(from, to), at);
    return;
  }
  for (let i = from; i < to; i++) target[at + i - from] = source[i] as number;
}
