/**
 * From a log of writes and flushes to the disks that may be found after the power was cut: all up to
 * a flush, and any subset of the writes between it and the next one, whole or in pages (torn). The
 * same seed gives the same states.
 */
import type { BlockRequest } from './block-recorder.ts';
import { seededRandom } from './seeded-random.ts';

/**
 * What a disk writes whole. With sectors of 512 bytes ext4 and xfs are sometimes not to be mounted
 * any more, which says nothing of what lies on them.
 */
const PAGE_SIZE = 4096;
/** One subset in so many, and every one that would come twice, is of pages instead of writes. */
const TORN_INTERVAL = 6;

/** Bytes as they lie on the disk. */
export interface DiskWrite {
  readonly offset: number;
  readonly bytes: Buffer;
}

export interface BlockState {
  /** Everything before this place in the log is on the disk. */
  readonly flush: number;
  /** The power was cut before this place. */
  readonly end: number;
  /** What else is on the disk. */
  readonly writes: readonly DiskWrite[];
  readonly name: string;
}

/** States in the order of the log, from the place `start` on. */
export function* blockStates(
  log: readonly BlockRequest[],
  options: { start: number; subsetsPerFlush: number; salt: number },
): Generator<BlockState> {
  const random = seededRandom(options.salt);
  for (const { flush, end } of windows(log, options.start)) {
    const later = log.slice(flush + 1, end).filter(isWrite);
    yield { flush, end, writes: [], name: `flush ${flush}` };
    for (const { writes, name } of subsets(later, options.subsetsPerFlush, random.below)) {
      yield { flush, end, writes, name: `flush ${flush}, ${name}` };
    }
  }
}

/** Some of the subsets of writes that may have reached the disk, each of them once. */
function* subsets(
  later: readonly DiskWrite[],
  countMax: number,
  below: (bound: number) => number,
): Generator<Pick<BlockState, 'writes' | 'name'>> {
  const pages = later.flatMap(pagesOf);
  const all = pages.length < 10 ? 2 ** pages.length - 1 : Infinity;
  const seen = new Set<string>();
  for (let i = 0; i < Math.min(countMax, all); i++) {
    const isTorn = later.length < pages.length && below(TORN_INTERVAL) === 0;
    let from = isTorn ? pages : later;
    let chosen = chooseIndexes(from.length, below);
    if (seen.has(`${from.length} ${chosen}`)) {
      from = pages;
      chosen = chooseIndexes(from.length, below);
    }
    const key = `${from.length} ${chosen}`;
    if (seen.has(key)) continue;
    seen.add(key);
    const what = from === pages ? 'pages' : 'writes';
    yield {
      writes: chosen.map((index) => from[index] as DiskWrite),
      name: `subset ${i} (${chosen.length} of ${from.length} ${what})`,
    };
  }
}

function* windows(
  log: readonly BlockRequest[],
  start: number,
): Generator<{ flush: number; end: number }> {
  let flush = -1;
  for (let i = start; i < log.length; i++) {
    if (log[i]?.bytes !== undefined) continue;
    const hasWrites = flush < 0 || i > flush + 1;
    if (flush >= 0 && hasWrites) yield { flush, end: i };
    flush = i;
  }
  if (flush >= 0) yield { flush, end: log.length };
}

function isWrite(request: BlockRequest): request is DiskWrite {
  return request.bytes !== undefined;
}

/** At least one number below `count`, in order. */
function chooseIndexes(count: number, below: (bound: number) => number): number[] {
  const left = Array.from({ length: count }, (_, i) => i);
  const chosen: number[] = [];
  const size = 1 + below(count);
  for (let i = 0; i < size; i++) chosen.push(...left.splice(below(left.length), 1));
  return chosen.sort((a, b) => a - b);
}

/** A write as what a disk writes whole. */
function pagesOf({ offset, bytes }: DiskWrite): DiskWrite[] {
  const pages: DiskWrite[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + PAGE_SIZE - ((offset + at) % PAGE_SIZE));
    pages.push({ offset: offset + at, bytes: bytes.subarray(at, end) });
    at = end;
  }
  return pages;
}

/** A disk as the log leaves it, which only goes forward; knows which of its pages are not zero. */
export class ReplayedDisk {
  readonly #log: readonly BlockRequest[];
  readonly #disk: Buffer;
  readonly #pages = new Set<number>();
  #place = 0;

  constructor(log: readonly BlockRequest[], size: number) {
    this.#log = log;
    this.#disk = Buffer.alloc(size);
  }

  /** Applies everything before the place in the log. */
  advance(place: number): void {
    for (; this.#place < place; this.#place++) {
      const { offset, bytes } = this.#log[this.#place] as BlockRequest;
      if (bytes === undefined) continue;
      bytes.copy(this.#disk, offset);
      const last = Math.floor((offset + bytes.length - 1) / PAGE_SIZE);
      for (let page = Math.floor(offset / PAGE_SIZE); page <= last; page++) this.#note(page);
    }
  }

  #note(page: number): void {
    const content = this.#disk.subarray(page * PAGE_SIZE, (page + 1) * PAGE_SIZE);
    if (content.equals(ZERO_PAGE)) this.#pages.delete(page);
    else this.#pages.add(page);
  }

  /** What is not zero, in as few pieces as there are. */
  *pieces(): Generator<DiskWrite> {
    const pages = [...this.#pages].sort((a, b) => a - b);
    for (let i = 0; i < pages.length; ) {
      const first = pages[i] as number;
      let count = 1;
      while (pages[i + count] === first + count) count += 1;
      const offset = first * PAGE_SIZE;
      yield { offset, bytes: this.#disk.subarray(offset, offset + count * PAGE_SIZE) };
      i += count;
    }
  }
}

const ZERO_PAGE = Buffer.alloc(PAGE_SIZE);
