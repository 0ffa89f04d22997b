/**
 * What is known of a directory and its entries before the walk comes to it, and how it gets from the
 * thread that found it out to the one that walks: packed, directory after directory, in batches that
 * are moved and not copied.
 *
 *   size u32 | names kept u32 | names n u32 | text t u32 | listed at f64 | stat | n x stat | t bytes | 0..7
 *
 * in the byte order of the machine. A stat is what `packChildStat` writes, or zeros where nothing is
 * known. The text has its parts separated by zeros, which no name and no symlink holds: the names on
 * the way to the directory, but for those kept of the directory before, separated by `/`; then the names
 * in it, sorted; then where symlinks among them lead. The second word of a symlink's stat, of no use to
 * anybody here, says which of those is its own.
 */
import { packedStatSize, type StatViews, statViews, unpackStat } from '../platform/file-stat.ts';
import { assert } from '../util/assert.ts';
import type { KnownStat } from './source-entry.ts';

const headSize = 24;
/** A batch begins with so many bytes, and grows for a directory that needs more. */
const batchSize = 2 ** 17;
const separator = '\0';

/** One batch on its way; the buffer may be larger than what counts of it. */
export interface ListingBatch {
  readonly buffer: ArrayBuffer;
  readonly size: number;
}

/** Milliseconds of a clock that all threads share and nobody sets. */
export function sharedMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e3 + nanoseconds / 1e6;
}

/** Makes batches. A directory is begun, stats and targets are put into it, and it is ended. */
export class ListingWriter {
  #bytes = Buffer.from(new ArrayBuffer(batchSize));
  #views: StatViews = statViews(this.#bytes.buffer);
  /** Where the directory begins that is being written. */
  #start = 0;
  #names: readonly string[] = [];
  readonly #targets: string[] = [];

  /** Bytes of the directories ended. */
  get size(): number {
    return this.#start;
  }

  /** Into which stats are packed, and in which they can be looked at. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  get views(): StatViews {
    return this.#views;
  }

  /** Where the stat of the directory itself belongs. */
  get ownStatAt(): number {
    return this.#start + headSize;
  }

  statAt(position: number): number {
    return this.#start + headSize + (1 + position) * packedStatSize;
  }

  /** @param names in the directory, sorted latin1 text */
  begin(names: readonly string[]): void {
    this.#names = names;
    this.#targets.length = 0;
    this.#ensure(this.statAt(names.length));
    this.#bytes.fill(0, this.#start, this.statAt(names.length));
  }

  /** Says where the symlink leads whose stat is there; undefined: then that does not count either. */
  setTarget(position: number, target: Uint8Array | undefined): void {
    const offset = this.statAt(position);
    if (target === undefined) {
      this.#bytes.fill(0, offset, offset + packedStatSize);
    } else {
      this.#views.u32[(offset >> 2) + 1] = this.#targets.length;
      this.#targets.push(Buffer.from(target).toString('latin1'));
    }
  }

  /** `addedNames` come after so many of those on the way to the directory before. */
  end(keptCount: number, addedNames: string, listedAtMs: number): void {
    const text = [addedNames, ...this.#names, ...this.#targets].join(separator);
    const textAt = this.statAt(this.#names.length);
    const end = (textAt + text.length + 7) & ~7;
    this.#ensure(end);
    this.#bytes.write(text, textAt, 'latin1');
    const word = this.#start >> 2;
    const { u32 } = this.#views;
    u32[word] = end - this.#start;
    u32[word + 1] = keptCount;
    u32[word + 2] = this.#names.length;
    u32[word + 3] = text.length;
    this.#bytes.writeDoubleLE(listedAtMs, this.#start + 16);
    this.#start = end;
  }

  /** What was ended since the last call; as large as it has to be, or at most twice so. */
  take(): ListingBatch {
    const { buffer } = this.#bytes;
    const size = this.#start;
    this.#start = 0;
    // Somebody waits for it: little is copied faster than a new buffer is made.
    if (2 * size < buffer.byteLength) return { buffer: buffer.slice(0, size), size };
    this.#use(batchSize);
    return { buffer, size };
  }

  #ensure(size: number): void {
    if (size <= this.#bytes.length) return;
    const before = this.#bytes;
    this.#use(Math.max(2 * before.length, size));
    this.#bytes.set(before);
  }

  #use(size: number): void {
    this.#bytes = Buffer.from(new ArrayBuffer((size + 7) & ~7));
    this.#views = statViews(this.#bytes.buffer);
  }
}

/** A directory as it was listed, by a handle on it. */
export class Listing {
  /** Of the directory, by the same handle. */
  readonly stat: KnownStat;
  /** In it, as latin1 text, sorted. */
  readonly names: readonly string[];
  readonly listedAtMs: number;
  readonly #views: StatViews;
  readonly #start: number;
  /** Names, then targets. */
  readonly #parts: readonly string[];

  constructor(opened: OpenedBatch, start: number, parts: string[]) {
    const { views } = opened;
    const nameCount = views.u32[(start >> 2) + 2] as number;
    const stat = unpackStat(views, start + headSize);
    assert(stat.type === 'd', 'what was listed is a directory');
    this.stat = stat as KnownStat;
    this.names = parts.length === nameCount ? parts : parts.slice(0, nameCount);
    this.listedAtMs = opened.bytes.readDoubleLE(start + 16);
    this.#views = views;
    this.#start = start;
    this.#parts = parts;
  }

  /** What `lstat` said of the name at the position; undefined where it was not asked or failed. */
  statOf(position: number): KnownStat | undefined {
    const offset = this.#statAt(position);
    if (this.#views.u32[offset >> 2] === 0) return undefined;
    return unpackStat(this.#views, offset) as KnownStat;
  }

  /** Where the symlink at the position leads; undefined where its stat is. */
  targetOf(position: number): Uint8Array | undefined {
    const offset = this.#statAt(position);
    const { u32 } = this.#views;
    if (u32[offset >> 2] === 0) return undefined;
    const part = this.#parts[this.names.length + (u32[(offset >> 2) + 1] as number)];
    return part === undefined ? undefined : new Uint8Array(Buffer.from(part, 'latin1'));
  }

  #statAt(position: number): number {
    return this.#start + headSize + (1 + position) * packedStatSize;
  }
}

interface OpenedBatch {
  readonly bytes: Buffer;
  readonly views: StatViews;
}

/** Reads batches, one directory after the other, and keeps the names on the way to the one at hand. */
export class ListingReader {
  #batch: OpenedBatch = { bytes: Buffer.alloc(0), views: statViews(new ArrayBuffer(0)) };
  #size = 0;
  #start = 0;
  #next = 0;
  readonly #way: string[] = [];
  #parts: string[] = [];

  /** Takes the next batch, when all of the one before has been read. */
  open({ buffer, size }: ListingBatch): void {
    this.#batch = { bytes: Buffer.from(buffer), views: statViews(buffer) };
    this.#size = size;
    this.#next = 0;
  }

  /** Goes to the next directory; false at the end of the batch. */
  advance(): boolean {
    if (this.#next === this.#size) return false;
    const start = this.#next;
    const { bytes, views } = this.#batch;
    const word = start >> 2;
    const size = views.u32[word] as number;
    const keptCount = views.u32[word + 1] as number;
    const nameCount = views.u32[word + 2] as number;
    const textAt = start + headSize + (1 + nameCount) * packedStatSize;
    const text = bytes.toString('latin1', textAt, textAt + (views.u32[word + 3] as number));
    this.#parts = text.split(separator);
    this.#way.length = keptCount;
    for (const name of (this.#parts.shift() as string).split('/')) {
      if (name !== '') this.#way.push(name);
    }
    this.#start = start;
    this.#next = start + size;
    return true;
  }

  /** Names from `/` to the directory at hand, as latin1 text. */
  get way(): readonly string[] {
    return this.#way;
  }

  /** The directory at hand. */
  get listing(): Listing {
    return new Listing(this.#batch, this.#start, this.#parts);
  }
}
