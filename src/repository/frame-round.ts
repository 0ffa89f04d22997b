/**
 * Frames of any packs, read at once. What is wanted is gathered first and then read by pack and offset,
 * with one request for what lies side by side: so whoever knows beforehand what he will need waits for
 * the storage once, and not once for each frame.
 */
import { VarveError } from '../errors.ts';
import { FRAME_KIND } from '../frame/frame-record.ts';
import type { PackName } from '../id.ts';
import { packStorageName } from '../pack/pack-record.ts';
import type { ByteRange } from '../storage/storage.ts';
import { mapConcurrent } from '../util/concurrent.ts';
import { type BaseFrame, frameKey } from './base-plan.ts';
import { GRID_SIZE, rangeOnGrid } from './pack-access.ts';
import type { WorkerCore } from './repository.ts';

/** Requests that a storage gets at the same time. */
const requestsMax = 16;

/** How much may come with one round, bytes. */
export interface RoundLimits {
  /** Read from the storage. */
  readonly readSize: number;
  /** Of frames when they are opened: plaintexts of whole ones, contents of delta frames. */
  readonly openedSize: number;
}

/** What is wanted of a pack. */
interface WantedPack {
  readonly pack: BaseFrame['pack'];
  readonly frames: BaseFrame[];
  /** Places of the grid that they lie in. */
  readonly cells: Set<number>;
}

interface RangeOfPack extends ByteRange {
  readonly wanted: WantedPack;
}

export class FrameRound {
  readonly #limits: RoundLimits;
  readonly #keys = new Set<string>();
  readonly #packs = new Map<PackName, WantedPack>();
  #readSize = 0;
  #openedSize = 0;

  constructor(limits: RoundLimits) {
    this.#limits = limits;
  }

  /** False when there is no room for it; the first has room however large it is. */
  add(held: BaseFrame): boolean {
    const key = frameKey(held);
    if (this.#keys.has(key)) return true;
    const { pack } = held;
    const wanted = this.#packs.get(pack.name) ?? { pack, frames: [], cells: new Set() };
    const cells = cellsOf(held).filter((cell) => !wanted.cells.has(cell));
    let readSize = this.#readSize;
    for (const cell of cells) readSize += Math.min(GRID_SIZE, pack.length - cell * GRID_SIZE);
    const openedSize = this.#openedSize + openedSizeOf(held);
    const isTooMuch = readSize > this.#limits.readSize || openedSize > this.#limits.openedSize;
    if (isTooMuch && this.#keys.size > 0) return false;
    this.#keys.add(key);
    this.#packs.set(pack.name, wanted);
    wanted.frames.push(held);
    for (const cell of cells) wanted.cells.add(cell);
    this.#readSize = readSize;
    this.#openedSize = openedSize;
    return true;
  }

  /**
   * Reads them all; what cannot be read is left out.
   * @param options.memory where what is read lies, if it is large enough and the storage can fill it
   * @param onRead the sealed frame is a view
   * @throws the signal's reason
   */
  async read(
    { storage }: WorkerCore,
    options: { memory: Uint8Array; signal: AbortSignal | undefined },
    onRead: (held: BaseFrame, sealed: Uint8Array) => void,
  ): Promise<void> {
    const { memory, signal } = options;
    const found = new Map<RangeOfPack, Uint8Array>();
    const ranges = [...this.#packs.values()].flatMap(rangesOf);
    const places = placesIn(memory, ranges);
    await mapConcurrent(ranges.entries(), requestsMax, async ([i, range]) => {
      const { wanted, offset, length } = range;
      const name = packStorageName(wanted.pack);
      const into = places[i];
      try {
        found.set(range, await storage.getRange(name, { offset, length }, { signal, into }));
      } catch (error) {
        if (!(error instanceof VarveError)) throw error;
      }
    });
    for (const [{ wanted, offset, length }, bytes] of found) {
      for (const held of wanted.frames) {
        const { frame } = held;
        const start = frame.offset - offset;
        if (start < 0 || start >= length) continue;
        onRead(held, bytes.subarray(start, start + frame.storedSize));
      }
    }
  }
}

function cellsOf({ pack, frame }: BaseFrame): number[] {
  const { offset, length } = rangeOnGrid(
    pack.length,
    frame.offset,
    frame.offset + frame.storedSize,
  );
  const first = offset / GRID_SIZE;
  return Array.from({ length: Math.ceil(length / GRID_SIZE) }, (_, i) => first + i);
}

function openedSizeOf({ frame }: BaseFrame): number {
  return frame.kind === FRAME_KIND.delta ? frame.storedSize : frame.rawSize;
}

/** Cells side by side make one range. */
function rangesOf(wanted: WantedPack): RangeOfPack[] {
  const cells = [...wanted.cells].sort((a, b) => a - b);
  const firsts = cells.filter((cell) => !wanted.cells.has(cell - 1));
  const lasts = cells.filter((cell) => !wanted.cells.has(cell + 1));
  return firsts.map((first, i) => {
    const start = first * GRID_SIZE;
    const end = ((lasts[i] as number) + 1) * GRID_SIZE;
    return { wanted, ...rangeOnGrid(wanted.pack.length, start, end) };
  });
}

/** One behind the other; undefined for all of them when there is no room for all. */
function placesIn(memory: Uint8Array, ranges: readonly ByteRange[]): readonly Uint8Array[] {
  const places: Uint8Array[] = [];
  let end = 0;
  for (const { length } of ranges) {
    places.push(memory.subarray(end, end + length));
    end += length;
  }
  return end > memory.length ? [] : places;
}
