/**
 * Frames of any packs, read at once. What is wanted is gathered first and then read by pack and offset,
 * with one request for what lies side by side: so whoever knows beforehand what he will need waits for
 * the storage once, and not once for each frame.
 */
import { VarveError } from '../errors.ts';
import type { PackName } from '../id.ts';
import { packStorageName } from '../pack/pack-record.ts';
import type { ByteRange } from '../storage/storage.ts';
import { mapConcurrent } from '../util/concurrent.ts';
import type { BaseFrame } from './base-plan.ts';
import { gridSize, rangeOnGrid } from './pack-access.ts';
import type { WorkerCore } from './repository.ts';

/** Requests that a storage gets at the same time. */
const requestsMax = 16;

/** A stretch of a pack, sealed. */
export interface PackWindow {
  readonly pack: PackName;
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** What is wanted of a pack. */
interface WantedPack {
  readonly pack: BaseFrame['pack'];
  /** Places of the grid that frames lie in. */
  readonly cells: Set<number>;
}

interface PackRange extends ByteRange {
  readonly pack: BaseFrame['pack'];
}

export class FrameRound {
  readonly #sizeMax: number;
  readonly #packs = new Map<PackName, WantedPack>();
  #size = 0;

  /** @param sizeMax bytes that may be read, unless a single frame takes more */
  constructor(sizeMax: number) {
    this.#sizeMax = sizeMax;
  }

  /** Bytes that will be read. */
  get size(): number {
    return this.#size;
  }

  /** False when there is no room for it; the first has room, however large it is. */
  add(held: BaseFrame): boolean {
    const { pack } = held;
    const wanted = this.#packs.get(pack.name) ?? { pack, cells: new Set() };
    const cells = cellsOf(held).filter((cell) => !wanted.cells.has(cell));
    let size = this.#size;
    for (const cell of cells) size += Math.min(gridSize, pack.length - cell * gridSize);
    if (size > this.#sizeMax && this.#size > 0) return false;
    this.#size = size;
    this.#packs.set(pack.name, wanted);
    for (const cell of cells) wanted.cells.add(cell);
    return true;
  }

  /**
   * Reads what the frames lie in; what cannot be read is left out.
   * @param memory of `size` bytes, which the windows lie in one behind the other
   * @throws the signal's reason
   */
  async read(
    { storage }: WorkerCore,
    { memory, signal }: { memory: Uint8Array; signal: AbortSignal | undefined },
  ): Promise<PackWindow[]> {
    const windows: (PackWindow | undefined)[] = [];
    const ranges = rangesIn(memory, [...this.#packs.values()].flatMap(rangesOf));
    await mapConcurrent(ranges.entries(), requestsMax, async ([i, { pack, offset, into }]) => {
      const range = { offset, length: into.length };
      try {
        const bytes = await storage.getRange(packStorageName(pack), range, { signal, into });
        if (bytes.buffer !== into.buffer) into.set(bytes);
        windows[i] = { pack: pack.name, offset, bytes: into };
      } catch (error) {
        if (!(error instanceof VarveError)) throw error;
      }
    });
    return windows.filter((window) => window !== undefined);
  }
}

function cellsOf({ pack, frame }: BaseFrame): number[] {
  const { offset, length } = rangeOnGrid(
    pack.length,
    frame.offset,
    frame.offset + frame.storedSize,
  );
  const first = offset / gridSize;
  return Array.from({ length: Math.ceil(length / gridSize) }, (_, i) => first + i);
}

/** Cells side by side make one range. */
function rangesOf({ pack, cells }: WantedPack): PackRange[] {
  const ordered = [...cells].sort((a, b) => a - b);
  const firsts = ordered.filter((cell) => !cells.has(cell - 1));
  const lasts = ordered.filter((cell) => !cells.has(cell + 1));
  return firsts.map((first, i) => {
    const start = first * gridSize;
    const end = ((lasts[i] as number) + 1) * gridSize;
    return { pack, ...rangeOnGrid(pack.length, start, end) };
  });
}

/** Each with its place in the memory. */
function rangesIn(
  memory: Uint8Array,
  ranges: readonly PackRange[],
): (PackRange & { into: Uint8Array })[] {
  let end = 0;
  return ranges.map(({ pack, offset, length }) => {
    const start = end;
    end += length;
    return { pack, offset, length, into: memory.subarray(start, end) };
  });
}
