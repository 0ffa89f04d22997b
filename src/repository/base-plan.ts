/**
 * Where the bases of deltas lie, for a worker, which has no index: for every base one copy, whole or
 * a delta on another base of the plan. The plan is the shortest way to what is almost always there,
 * and no more: a base that is missing, of another type, in a circle or too deep has no place in it,
 * and whoever uses the plan leaves such deltas, and all that do not decode by it, to `BlobReader`,
 * which tries every copy and says what is wrong.
 */
import type { BlobType } from '../blob/blob-type.ts';
import { FRAME_KIND } from '../frame/frame-record.ts';
import { type BlobId, blobKey, type PackName } from '../id.ts';
import type { BlobCopy } from '../index/cache-rows.ts';
import type { LocalIndex } from '../index/local-index.ts';
import { type Location, locate } from '../index/presence.ts';
import type { BlobTable } from '../pack/blob-table.ts';
import { type BlobEntry, DELTA_DEPTH_MAX, type FrameEntry } from '../pack/directory.ts';
import type { PackRecord } from '../pack/pack-record.ts';
import { concatBytes } from '../util/bytes.ts';

/** A frame that holds bases. */
export interface BaseFrame {
  readonly pack: Omit<PackRecord, 'body'>;
  readonly frame: FrameEntry;
}

/** Plain data, flat where there is much of it. */
export interface BasePlan {
  readonly frames: readonly BaseFrame[];
  /** Rows of `baseFieldCount` numbers, read by `basePlace`; a base stands before its deltas. */
  readonly places: Int32Array;
  /** Of each row, 32 bytes. */
  readonly ids: Uint8Array;
}

/** The bases of all deltas in a pack. */
export interface PackBases extends BasePlan {
  /** By slot of the pack: the row of the base of that delta, or one of `baseRow`. */
  readonly baseRows: Int32Array;
}

/** Instead of a row. */
export const baseRow = {
  /** A whole blob, or a delta without a way to its base. */
  none: -1,
  /** A delta that need not be decoded. */
  notWanted: -2,
} as const;

/** A place in the index. */
export type CopyPlace = Pick<BlobCopy, 'packNo' | 'slot'>;

/** One base. */
export interface BasePlace {
  /** Position in `frames`. */
  readonly frame: number;
  readonly rawOffset: number;
  readonly rawSize: number;
  /** Of a delta; 0 and 0 for a whole blob. */
  readonly encodedOffset: number;
  readonly encodedSize: number;
  /** Row of the base of this base; none when it is whole. */
  readonly base: number;
}

const baseFieldCount = 6;

export function basePlace({ places }: BasePlan, row: number): BasePlace {
  const at = row * baseFieldCount;
  return {
    frame: places[at] as number,
    rawOffset: places[at + 1] as number,
    rawSize: places[at + 2] as number,
    encodedOffset: places[at + 3] as number,
    encodedSize: places[at + 4] as number,
    base: places[at + 5] as number,
  };
}

/**
 * The bases of the deltas in a pack, and for each row the copy that it is; undefined when it has none.
 * @param isWanted false for deltas that need no base.
 * @throws Malformed
 */
export function planBases(
  index: LocalIndex,
  blobs: BlobTable,
  isWanted: (slot: number) => boolean = () => true,
): { plan: PackBases; copies: readonly CopyPlace[] } | undefined {
  if (!blobs.frames.some(({ kind }) => kind === FRAME_KIND.delta)) return undefined;
  const planner = new BasePlanner(index);
  const baseRows = new Int32Array(blobs.count).fill(baseRow.none);
  for (let slot = 0; slot < blobs.count; slot++) {
    const { type, delta } = blobs.at(slot) as BlobEntry;
    if (delta === undefined) continue;
    baseRows[slot] = isWanted(slot) ? planner.rowOf(delta.base, type) : baseRow.notWanted;
  }
  const { copies } = planner.rows;
  return { plan: { ...planner.rows.finish(), baseRows }, copies };
}

/**
 * Looks for the way from each base to a whole blob.
 * @throws Malformed from all of its methods
 */
export class BasePlanner {
  readonly rows: PlanRows = new PlanRows();
  readonly #index: LocalIndex;
  /** By blob; none while it is looked for, and when there is no way to it. */
  readonly #rowsByBlob = new Map<string, number>();

  constructor(index: LocalIndex) {
    this.#index = index;
  }

  /** @param depthMax deltas that may lie between the base and a whole blob, itself included. */
  rowOf(id: BlobId, type: BlobType, depthMax: number = DELTA_DEPTH_MAX - 1): number {
    const key = blobKey(id);
    const known = this.#rowsByBlob.get(key);
    if (known !== undefined) return this.rows.depthOf(known) > depthMax ? baseRow.none : known;
    this.#rowsByBlob.set(key, baseRow.none);
    const location = locate(this.#index, id)[0];
    if (location === undefined || location.blob.type !== type) return baseRow.none;
    const { delta } = location.blob;
    if (delta !== undefined && depthMax === 0) return baseRow.none;
    const base = delta === undefined ? baseRow.none : this.rowOf(delta.base, type, depthMax - 1);
    if (delta !== undefined && base < 0) return baseRow.none;
    const row = this.rows.add(location, base);
    this.#rowsByBlob.set(key, row);
    return row;
  }
}

/** The rows of a plan, as they are put together. */
export class PlanRows {
  /** What each row is. */
  readonly copies: CopyPlace[] = [];
  readonly #frames: BaseFrame[] = [];
  readonly #places: number[] = [];
  readonly #ids: BlobId[] = [];
  /** Deltas from each row to a whole blob. */
  readonly #depths: number[] = [];
  /** Positions in `frames` by name of the pack and offset. */
  readonly #positions = new Map<string, number>();
  readonly #packs = new Map<PackName, BaseFrame['pack']>();

  finish(): BasePlan {
    return {
      frames: this.#frames,
      places: Int32Array.from(this.#places),
      ids: concatBytes(...this.#ids),
    };
  }

  /** The row of a copy whose base, if it is a delta, has that row. */
  add({ packNo, slot, pack, frame, blob }: Location, base: number): number {
    const { id, rawOffset, rawSize, encodedOffset, delta } = blob;
    this.#ids.push(id);
    this.copies.push({ packNo, slot });
    const encoded = delta === undefined ? [0, 0] : [encodedOffset, delta.encodedSize];
    this.#places.push(this.#position({ pack, frame }), rawOffset, rawSize, ...encoded, base);
    this.#depths.push(delta === undefined ? 0 : this.depthOf(base) + 1);
    return this.#depths.length - 1;
  }

  depthOf(row: number): number {
    return this.#depths[row] ?? 0;
  }

  #position(held: BaseFrame): number {
    const key = frameKey(held);
    const known = this.#positions.get(key);
    if (known !== undefined) return known;
    this.#positions.set(key, this.#frames.length);
    return this.#frames.push({ pack: this.#packHead(held.pack), frame: held.frame }) - 1;
  }

  /** One object for all frames of a pack: a message has it once. */
  #packHead(pack: BaseFrame['pack']): BaseFrame['pack'] {
    const known = this.#packs.get(pack.name);
    if (known !== undefined) return known;
    // The salt is a view of a row of the index.
    const head = { ...pack, salt: pack.salt.slice() };
    this.#packs.set(pack.name, head);
    return head;
  }
}

/** Tells a frame from those of all packs. */
export function frameKey({ pack, frame }: BaseFrame): string {
  return `${pack.name}:${frame.offset}`;
}
