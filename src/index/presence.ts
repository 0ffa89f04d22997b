/**
 * Questions about single blobs that need more than one row of the index: is a blob present, and where
 * can it be read.
 *
 * Rule PRESENT: a blob counts as present through a copy whose pack is live in the view of this
 * session, or was uploaded by it. Rule CHAIN: a delta copy counts only if its base is present in the
 * same way, down to a whole copy, at most 32 deep. The state of its own pack is not enough: a fenced
 * writer may wake up and publish a delta whose base was deleted meanwhile.
 */
import { BLOB_TYPE } from '../blob/blob-type.ts';
import { type BlobId, blobKey } from '../id.ts';
import { type BlobEntry, DELTA_DEPTH_MAX, type FrameEntry } from '../pack/directory.ts';
import type { PackRecord } from '../pack/pack-record.ts';
import type { BlobCopy, PackState } from './cache-rows.ts';
import { PACK_STATE } from './cache-rows.ts';
import type { LocalIndex } from './local-index.ts';

const SLOT_COUNT_MAX = 2 ** 24;
/** Each takes about 120 bytes. */
const REMEMBERED_CHAINS_MAX = 131_072;

/** A copy of a blob that can be read. */
export interface Location extends BlobCopy {
  /** Record of the pack without its directory. */
  pack: Omit<PackRecord, 'body'>;
  state: PackState;
  frame: FrameEntry;
  blob: BlobEntry;
}

/** Raw size of the blob in that place; undefined when it is another blob than `id`. */
export function rawSizeOf(
  index: LocalIndex,
  id: BlobId,
  { packNo, slot }: Pick<BlobCopy, 'packNo' | 'slot'>,
): number | undefined {
  const blobs = index.openDirectory(packNo)?.blobs;
  return blobs?.isAt(slot, id) === true ? blobs.rawSizeAt(slot) : undefined;
}

/** Whether a blob need not be stored: rules PRESENT and CHAIN. */
export function isPresent(index: LocalIndex, id: BlobId): boolean {
  const found = index.lookUp(id);
  if (found === 'none' || (found === 'whole' && !index.isDistrusting)) return found === 'whole';
  return chainLength(index, { id, lengthMax: DELTA_DEPTH_MAX }, new Map()) >= 0;
}

/** Whether there is a blob of which all copies that would count are known to be damaged. */
export function hasLostBlobs(index: LocalIndex): boolean {
  for (const packNo of index.distrustedPacks()) {
    if (!index.isUsable(packNo)) continue;
    for (const { id } of index.directory(packNo)?.blobs ?? []) {
      if (index.isDistrusted(packNo, id) && !isPresent(index, id)) return true;
    }
  }
  return false;
}

/**
 * Where copies of a blob lie: those in live packs first, and whole copies before deltas, which come
 * by rising depth. Copies in dead or missing packs may still be readable and come later, those that were
 * found damaged last.
 */
export function locate(index: LocalIndex, id: BlobId): Location[] {
  const locations: Location[] = [];
  for (const copy of index.copies(id)) {
    const location = locationOf(index, copy, id);
    if (location !== undefined) locations.push(location);
  }
  if (locations.length < 2) return locations;
  const rankOf = ({ packNo, state }: Location): number =>
    index.isDistrusted(packNo, id) ? DISTRUSTED_RANK : rank(state);
  return locations.sort((a, b) => rankOf(a) - rankOf(b));
}

/**
 * A copy of the blob that counts as present, that of its base, and so on down to a whole copy: what
 * rules PRESENT and CHAIN ask for. Undefined when the blob is not present.
 * @param isUsable whether copies in a pack count; default: as `LocalIndex.isUsable`.
 */
export function usableChain(
  index: LocalIndex,
  id: BlobId,
  isUsable: (packNo: number) => boolean = (packNo) => index.isUsable(packNo),
): Location[] | undefined {
  const chain: Location[] = [];
  const wanted = { id, lengthMax: DELTA_DEPTH_MAX, chain, isUsable };
  return extendChain(index, wanted, new Map()) ? chain : undefined;
}

interface WantedChain {
  id: BlobId;
  lengthMax: number;
  /** Found so far, from the top. */
  chain: Location[];
  isUsable: (packNo: number) => boolean;
}

function extendChain(index: LocalIndex, wanted: WantedChain, failures: Failures): boolean {
  const { lengthMax, chain } = wanted;
  for (const copy of index.copies(wanted.id)) {
    const location = countedLocation(index, copy, wanted);
    if (location === undefined) continue;
    const { delta } = location.blob;
    if (delta !== undefined) {
      const place = placeNumber(copy);
      if ((failures.get(place) ?? 0) >= lengthMax) continue;
      failures.set(place, lengthMax);
    }
    chain.push(location);
    if (delta === undefined) return true;
    const base = { ...wanted, id: delta.base, lengthMax: lengthMax - 1 };
    if (extendChain(index, base, failures)) return true;
    chain.pop();
  }
  return false;
}

function countedLocation(
  index: LocalIndex,
  copy: BlobCopy,
  { id, isUsable }: WantedChain,
): Location | undefined {
  const mayCount = isUsable(copy.packNo) && !index.isDistrusted(copy.packNo, id);
  return mayCount ? locationOf(index, copy, id) : undefined;
}

function isUsableCopy(index: LocalIndex, { packNo }: BlobCopy, id: BlobId): boolean {
  return index.isUsable(packNo) && !index.isDistrusted(packNo, id);
}

function locationOf(index: LocalIndex, copy: BlobCopy, id: BlobId): Location | undefined {
  const isOfId = index.openDirectory(copy.packNo)?.blobs.isAt(copy.slot, id);
  return isOfId === true ? locationAt(index, copy) : undefined;
}

/** Undefined when there is no such place. */
export function locationAt(
  index: LocalIndex,
  { packNo, slot }: Pick<BlobCopy, 'packNo' | 'slot'>,
): Location | undefined {
  const opened = index.openDirectory(packNo);
  const state = index.pack(packNo)?.state;
  const blob = opened?.blobs.at(slot);
  if (opened === undefined || state === undefined || blob === undefined) return undefined;
  const frame = opened.blobs.frames[blob.frame] as FrameEntry;
  const depth = blob.delta?.depth ?? 0;
  return { packNo, slot, depth, pack: opened.pack, state, frame, blob };
}

/**
 * The blob in a place that the table of features gave, if it may be the base of a delta (rule BASE):
 * a data blob with features, in a copy that counts as present. The place may be stale or another
 * cache's; whatever is wrong with it is a miss.
 */
export function candidateAt(
  index: LocalIndex,
  place: Pick<BlobCopy, 'packNo' | 'slot'>,
): Location | undefined {
  const location = index.isUsable(place.packNo) ? locationAt(index, place) : undefined;
  if (location === undefined) return undefined;
  const { id, type, features, delta } = location.blob;
  if (type !== BLOB_TYPE.data || features === undefined) return undefined;
  if (index.isDistrusted(place.packNo, id)) return undefined;
  if (delta === undefined) return location;
  const baseLength = chainLength(
    index,
    { id: delta.base, lengthMax: DELTA_DEPTH_MAX - 1 },
    new Map(),
  );
  return baseLength < 0 ? undefined : location;
}

/** Behind that of every state. */
const DISTRUSTED_RANK = 4;

function rank(state: PackState): number {
  return state === PACK_STATE.live || state === PACK_STATE.unindexed ? 0 : state;
}

function placeNumber({ packNo, slot }: BlobCopy): number {
  return packNo * SLOT_COUNT_MAX + slot;
}

/** Failures so far: the longest chain that was tried from a delta copy in vain. */
type Failures = Map<number, number>;

/**
 * Deltas from `id` up to a whole copy in usable packs, by a chain no longer than `lengthMax`; -1 when
 * there is none. Lengths found are remembered in the index. Failures are remembered for one
 * question, each with its bound: so cycles end, and the answer is exact all the same.
 */
function chainLength(
  index: LocalIndex,
  wanted: { id: BlobId; lengthMax: number },
  failures: Failures,
): number {
  const { id, lengthMax } = wanted;
  const known = index.chainLengths.get(blobKey(id));
  if (known !== undefined && known <= lengthMax) return known;
  for (const copy of index.copies(id)) {
    if (!isUsableCopy(index, copy, id)) continue;
    if (copy.depth === 0) return 0;
    if (lengthMax === 0) break;
    const length = deltaChainLength(index, { id, copy, lengthMax }, failures);
    if (length >= 0) return length;
  }
  return -1;
}

function deltaChainLength(
  index: LocalIndex,
  wanted: { id: BlobId; copy: BlobCopy; lengthMax: number },
  failures: Failures,
): number {
  const { id, copy, lengthMax } = wanted;
  const place = placeNumber(copy);
  if ((failures.get(place) ?? 0) >= lengthMax) return -1;
  failures.set(place, lengthMax);
  const base = baseOf(index, copy, id);
  if (base === undefined) return -1;
  const baseLength = chainLength(index, { id: base, lengthMax: lengthMax - 1 }, failures);
  if (baseLength < 0) return -1;
  if (index.chainLengths.size >= REMEMBERED_CHAINS_MAX) index.chainLengths.clear();
  index.chainLengths.set(blobKey(id), baseLength + 1);
  return baseLength + 1;
}

/** The base of a delta copy, when the copy really is one of `id`. */
function baseOf(index: LocalIndex, copy: BlobCopy, id: BlobId): BlobId | undefined {
  const blobs = index.openDirectory(copy.packNo)?.blobs;
  return blobs?.isAt(copy.slot, id) === true ? blobs.at(copy.slot)?.delta?.base : undefined;
}
