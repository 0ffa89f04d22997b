/**
 * One file on its way from scanned parts to the content of its node. Parts come back in any order;
 * they are taken in the order of the file, and only then is it decided which of their chunks count.
 *
 * Invariants:
 * - The chunks that count are those of one pass over the file. A slice is cut as if a chunk began at its
 *   first byte; from the first cut on that it shares with the slice before, its cuts are those of one
 *   pass, because a cut depends on nothing before its chunk. Where they share none within the overlap,
 *   the next slice is read again from the last cut that counts.
 * - Nothing is cut across a hole: what lies between two holes is cut as a file of its own, and the part that
 *   ends at a hole waits for no other.
 * - A part is decided exactly once; its slot is held until then. The last part that waits for its
 *   successor has that successor in the queue before the first part of any later file, so slots never
 *   wait in a circle.
 */
import { SourceError, unpackError } from '../errors.ts';
import type { BlobId } from '../id.ts';
import type { ChunkHint } from '../repository/base-finder.ts';
import { FlatTrials } from '../similarity/guards.ts';
import type { ChunkListBuilder } from '../tree/chunk-list-builder.ts';
import type { Content } from '../tree/content.ts';
import { assert } from '../util/assert.ts';
import type { Extent } from '../walk/extents.ts';
import type { HeldPath, SourceEntry } from '../walk/source-entry.ts';
import { sourceError } from '../walk/source-error.ts';
import type { ExtrasFailure, SourceExtras } from '../walk/source-extras.ts';
import type { SourceFile, SourceStat } from '../walk/source-file.ts';
import type { OldVersion } from './old-version.ts';
import type { PartExtras, PartFailure } from './save-messages.ts';
import type { Slices } from './slices.ts';

/** A stretch of a file that is read and scanned in one go. */
export interface FilePart {
  readonly file: FileAssembly;
  /** Position among the parts of the file. */
  readonly index: number;
  /** Bytes from the start of the file, and bytes to read at most. */
  readonly offset: number;
  readonly length: number;
  /** Bytes of the hole behind it, across which nothing is cut; 0 for none. */
  readonly holeAfter: number;
  /** It begins at the start of the file or behind a hole, and nothing goes on behind it. */
  readonly isWhole: boolean;
  /** The file should end with it, or with the hole behind it. */
  readonly isLast: boolean;
}

/** A part that has been scanned; its chunks wait in the memory of a worker. */
export interface ScannedPart {
  readonly part: FilePart;
  readonly count: number;
  readonly isAtEnd: boolean;
  readonly isChanged: boolean;
  readonly stat: SourceStat | undefined;
  readonly failure: PartFailure | undefined;
  readonly extras: PartExtras | undefined;
  idAt(i: number): BlobId;
  sizeAt(i: number): number;
  /** Chunk `i` belongs to the file: it is stored unless it is there already. Whether it is new. */
  keep(i: number): boolean;
  /** What new chunk `i` may resemble. */
  hint(i: number, hint: ChunkHint): void;
  /** All chunks that were not kept are dropped. */
  decide(): void;
}

export interface SavedFile {
  readonly content: Content;
  readonly size: number;
  /** Bytes of it that were read: all but holes. */
  readonly bytesRead: number;
  /** How it was when it was opened, where that is not what the walk saw. */
  readonly stat: SourceStat | undefined;
  /** It was written to while it was read. */
  readonly isChanged: boolean;
  readonly extras: SourceExtras | undefined;
}

/** What an assembly needs of the run. */
export interface AssemblyContext {
  readonly slices: Slices;
  readonly takeList: () => ChunkListBuilder;
  /** A builder whose file is finished, to be used again. */
  readonly giveList: (list: ChunkListBuilder) => void;
  /** Reads a part before anything else. */
  readonly readFirst: (part: FilePart) => void;
  readonly onFailure: (error: unknown) => void;
  /** Opens a file that may have holes, to see where they are. @throws SourceError */
  readonly open: (entry: SourceEntry, path: Uint8Array) => SourceFile;
  /** Undefined where no hints are wanted. */
  readonly openOld: ((content: Content) => OldVersion) | undefined;
}

/** A part whose chunks count from `from` on, waiting for the part behind it. */
interface Tail {
  readonly scanned: ScannedPart;
  readonly from: number;
}

export class FileAssembly {
  readonly entry: SourceEntry;
  readonly held: HeldPath;
  readonly #context: AssemblyContext;
  readonly #onDone: (outcome: SavedFile | SourceError) => void;
  /** The previous version of the file. */
  readonly #previous: Content | undefined;
  #old: OldVersion | undefined;
  /** Parts that came before those in front of them; most files never have one. */
  #arrived: Map<number, ScannedPart> | undefined;
  #next = 0;
  /** Parts planned so far. */
  #partCount = 0;
  #tail: Tail | undefined;
  #list: ChunkListBuilder | undefined;
  #size = 0;
  /** Bytes of it in holes. */
  #holeSize = 0;
  /** How it was when holes were looked for, where that is not what the walk saw. */
  #mapped: { readonly stat: SourceStat | undefined } | undefined;
  #stat: SourceStat | undefined;
  #isChanged = false;
  #extras: PartExtras | undefined;
  #isRunning = false;
  #isDone = false;

  /** @param previous what the parent snapshot has in its place */
  constructor(
    { entry, previous }: { entry: SourceEntry; previous: Content | undefined },
    context: AssemblyContext,
    onDone: (outcome: SavedFile | SourceError) => void,
  ) {
    this.entry = entry;
    this.#previous = context.openOld === undefined ? undefined : previous;
    this.held = entry.hold();
    this.#context = context;
    this.#onDone = onDone;
  }

  /**
   * The parts to read, by the size that the walk saw. More follow where the file has grown; none when
   * it turns out to have ended.
   */
  *parts(): Generator<FilePart, void, void> {
    const source = this.#openSparse();
    if (source === undefined) {
      yield* this.#partsOf({ start: 0, end: this.#sizeSeen, holeAfter: 0, isLast: true });
      return;
    }
    try {
      for (const extent of source.extents(this.#context.slices.holeSizeMin)) {
        yield* this.#partsOf(extent);
      }
    } finally {
      source.close();
    }
  }

  /** Undefined where there are no holes to look for, or whoever reads will meet the same error. */
  #openSparse(): SourceFile | undefined {
    const { entry } = this;
    const { slices, open } = this.#context;
    if (!entry.mayHaveHoles(slices.holeSizeMin)) return undefined;
    try {
      const source = open(entry, this.held.path);
      this.#mapped = { stat: isAsSeen(source.stat, entry) ? undefined : source.stat };
      // It has become empty since, and has no stretch to begin with.
      if (source.stat.size > 0n) return source;
      source.close();
    } catch (error) {
      if (!(error instanceof SourceError)) throw error;
    }
    return undefined;
  }

  *#partsOf(extent: Extent): Generator<FilePart, void, void> {
    const { size } = this.#context.slices;
    const { start, end, holeAfter } = extent;
    for (let offset = start; !this.#isDone; offset += size) {
      const length = this.#lengthOf(extent, offset);
      const isEnd = offset + length >= end && (holeAfter > 0 || end - offset <= size);
      yield {
        file: this,
        index: this.#partCount++,
        offset,
        length,
        holeAfter: isEnd ? holeAfter : 0,
        isWhole: isEnd && offset === start,
        isLast: isEnd && extent.isLast,
      };
      if (isEnd) return;
    }
  }

  /**
   * Slices reach into the next one. One byte more than is expected shows that the file ends where it
   * should; what ends at a hole has to be read to there and no further.
   */
  #lengthOf({ end, holeAfter }: Extent, offset: number): number {
    const { size, overlap } = this.#context.slices;
    const left = end - offset;
    if (holeAfter > 0) return Math.min(left, size + overlap);
    return left <= size ? left + 1 : size + overlap;
  }

  get #sizeSeen(): number {
    return Number(this.entry.metadata.size ?? 0n);
  }

  /** Takes a part that came back. */
  take(scanned: ScannedPart): void {
    const { index } = scanned.part;
    if (!this.#isRunning && index === this.#next) {
      this.#run(scanned);
      return;
    }
    this.#arrived ??= new Map();
    this.#arrived.set(index, scanned);
  }

  /** Takes a part, and those behind it that are there; without a promise where nothing is stored. */
  #run(first: ScannedPart | undefined): void {
    for (let scanned = first; scanned !== undefined; scanned = this.#takeArrived()) {
      this.#next += 1;
      const stored = this.#isDone ? scanned.decide() : this.#advance(scanned);
      if (stored === undefined) continue;
      this.#isRunning = true;
      stored
        .then(() => {
          this.#isRunning = false;
          this.#run(this.#takeArrived());
        })
        .catch((error: unknown) => this.#context.onFailure(error));
      return;
    }
  }

  #takeArrived(): ScannedPart | undefined {
    const scanned = this.#arrived?.get(this.#next);
    this.#arrived?.delete(this.#next);
    return scanned;
  }

  /** Takes the next part of the file. */
  #advance(scanned: ScannedPart): Promise<void> | undefined {
    const { part, failure } = scanned;
    if (failure !== undefined) return this.#fail(scanned, failure);
    this.#note(scanned);
    const isOnly = part.index === 0 && scanned.isAtEnd && scanned.count <= 1;
    // The list of a file that was longer must be read for the hint.
    const hasList = scanned.count === 1 && this.#previous?.kind === 'list';
    return isOnly && !hasList ? this.#takeWhole(scanned) : this.#takeInOrder(scanned);
  }

  /** Most files: one chunk or none, and no more before. */
  #takeWhole(scanned: ScannedPart): undefined {
    let content: Content = { kind: 'empty' };
    if (scanned.count === 1) {
      const length = scanned.sizeAt(0);
      this.#size = length;
      content = { kind: 'blob', id: scanned.idAt(0).slice() as BlobId, length: BigInt(length) };
      const isNew = scanned.keep(0);
      const previous = this.#previous;
      if (isNew && previous?.kind === 'blob') {
        scanned.hint(0, { id: previous.id, flatTrials: new FlatTrials() });
      }
    }
    scanned.decide();
    this.#finish(content);
  }

  async #takeInOrder(scanned: ScannedPart): Promise<void> {
    const tail = this.#tail;
    this.#tail = undefined;
    let from = 0;
    if (tail !== undefined) {
      const meeting = findMeeting(tail, scanned);
      await this.#keep(tail.scanned, tail.from, meeting?.tailCount ?? tail.scanned.count);
      // Before any slot is free, so that this part is the first to get one.
      if (meeting === undefined) this.#readAgain(scanned.part, endOf(tail.scanned));
      tail.scanned.decide();
      if (meeting === undefined) return scanned.decide();
      from = meeting.count;
    }
    const { isLast, holeAfter } = scanned.part;
    if (!scanned.isAtEnd && !isLast && holeAfter === 0) {
      this.#tail = { scanned, from };
      return;
    }
    await this.#keep(scanned, from, scanned.count);
    const isAtHole = !scanned.isAtEnd && holeAfter > 0;
    if (isAtHole) this.#keepHole(holeAfter);
    else if (!scanned.isAtEnd) this.#readOn(endOf(scanned));
    scanned.decide();
    if (scanned.isAtEnd || (isAtHole && isLast)) await this.#finishList();
  }

  #keepHole(size: number): void {
    this.#list?.addHole(BigInt(size));
    this.#size += size;
    this.#holeSize += size;
  }

  #note({ stat, isChanged, part, extras }: ScannedPart): void {
    this.#extras ??= extras;
    // A file whose slices do not agree was written to between them.
    this.#isChanged ||= isChanged || (part.index > 0 && !isSameStat(stat, this.#stat));
    if (part.index > 0) return;
    this.#stat = stat;
    // Where holes were then there may be data by now.
    if (this.#mapped !== undefined) this.#isChanged ||= !isSameStat(stat, this.#mapped.stat);
  }

  async #keep(scanned: ScannedPart, from: number, to: number): Promise<void> {
    this.#list ??= this.#context.takeList();
    const list = this.#list;
    const old = this.#openOld();
    if (old !== undefined) await old.reach(this.#size);
    for (let i = from; i < to; i++) {
      const size = scanned.sizeAt(i);
      const id = scanned.idAt(i);
      const isNew = scanned.keep(i);
      if (old !== undefined && !isNew) old.noteDuplicate(this.#size, id);
      const hint = isNew ? old?.hintFor(this.#size, size) : undefined;
      if (hint !== undefined) scanned.hint(i, hint);
      this.#size += size;
      const stored = list.add(id, size);
      if (stored !== undefined) await stored;
    }
  }

  #openOld(): OldVersion | undefined {
    if (this.#previous === undefined || this.#previous.kind === 'empty') return undefined;
    this.#old ??= this.#context.openOld?.(this.#previous);
    return this.#old;
  }

  async #finishList(): Promise<void> {
    const list = this.#list;
    assert(list !== undefined, 'a file of parts has a list');
    const content = await list.finish();
    this.#list = undefined;
    this.#context.giveList(list);
    this.#finish(content);
  }

  #finish(content: Content): void {
    this.#end({
      content,
      size: this.#size,
      bytesRead: this.#size - this.#holeSize,
      stat: this.#stat,
      isChanged: this.#isChanged,
      extras: this.#extras && unpackExtras(this.#extras),
    });
  }

  #fail(scanned: ScannedPart, failure: PartFailure): undefined {
    this.#tail?.scanned.decide();
    this.#tail = undefined;
    scanned.decide();
    this.#end(sourceError({ path: this.entry.path, ...unpackFailure(failure) }));
  }

  #end(outcome: SavedFile | SourceError): void {
    this.#isDone = true;
    this.held.release();
    this.#onDone(outcome);
  }

  /** The slices before and at `part` share no cut: cut through from where the one before ends. */
  #readAgain(part: FilePart, offset: number): void {
    const end = part.offset + part.length;
    this.#next -= 1;
    this.#context.readFirst({ ...part, offset, length: end - offset });
  }

  /** The file goes on behind what was its end. */
  #readOn(offset: number): void {
    this.#context.readFirst({
      file: this,
      index: this.#partCount++,
      offset,
      length: this.#context.slices.size,
      holeAfter: 0,
      isWhole: false,
      isLast: true,
    });
  }
}

function unpackExtras({ attributes, flags, failure }: PartExtras): SourceExtras {
  return { attributes, flags, failure: failure && unpackFailure(failure) };
}

function unpackFailure({ operation, reason, cause }: PartFailure): ExtrasFailure {
  const unpacked = cause === undefined ? undefined : unpackError(cause);
  return { operation, reason: reason as ExtrasFailure['reason'], cause: unpacked };
}

/** Bytes from the start of the file to the last cut of the part. */
function endOf(scanned: ScannedPart): number {
  let end = scanned.part.offset;
  for (let i = 0; i < scanned.count; i++) end += scanned.sizeAt(i);
  return end;
}

/** The first cut that both parts have: how many chunks of either lie before it. */
function findMeeting(
  tail: Tail,
  next: ScannedPart,
): { tailCount: number; count: number } | undefined {
  let [i, count] = [0, 0];
  let end = tail.scanned.part.offset;
  let nextEnd = next.part.offset;
  while (i < tail.scanned.count) {
    end += tail.scanned.sizeAt(i++);
    while (nextEnd < end && count < next.count) nextEnd += next.sizeAt(count++);
    if (end === nextEnd) return { tailCount: i, count };
  }
  return undefined;
}

/** Whether the file is as the walk saw it. */
function isAsSeen(stat: SourceStat, { metadata }: SourceEntry): boolean {
  const seen = { size: metadata.size ?? 0n, mtime: metadata.mtime, ctime: metadata.ctime };
  return isSameStat(stat, seen);
}

type Seen = Pick<SourceStat, 'size' | 'mtime' | 'ctime'>;

function isSameStat(a: Seen | undefined, b: Seen | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return (
    a.size === b.size &&
    a.mtime.seconds === b.mtime.seconds &&
    a.mtime.nanoseconds === b.mtime.nanoseconds &&
    a.ctime.seconds === b.ctime.seconds &&
    a.ctime.nanoseconds === b.ctime.nanoseconds
  );
}
