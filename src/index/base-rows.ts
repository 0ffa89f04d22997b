/**
 * The bytes of the base: all entries of the packs up to one number, sorted, in pages of LMDB's own
 * page size.
 *
 *   key                        value
 *   side u32 | page u32        up to 169 entries (`blob-entries.ts`) | generation u32 | crc u32
 *   side u32 | 2^31 + i u32    prefixes of first entries of 4,096 pages, u32 | generation u32 | crc u32
 *
 * Key fields are big-endian. There are two sides: the base that counts stands on one, the next is
 * written over the older one on the other. (Removing the old one would leave LMDB a list of free
 * pages as long as the base, which it goes through in every commit.) A side is the lowest bit of
 * the generation; rows of any other generation are garbage. `meta` has, under "base", the
 * generation that counts with the last pack in it and the number of entries, and under "building"
 * the generation being written.
 */
import { crc32 } from 'node:zlib';
import { demand, Malformed } from '../util/byte-reader.ts';
import { viewOf } from '../util/bytes.ts';
import { blobEntrySize } from './blob-entries.ts';
import { checkCrc, withCrc } from './cache-rows.ts';
import { type Environment, putMeta, readMeta } from './environment.ts';

/** With its generation, check sum and LMDB's header a page of entries fills 4,096 bytes. */
export const pageEntryCount = 169;
const PAGE_TAIL_SIZE = 8;
export const pageSizeMax: number = pageEntryCount * blobEntrySize + PAGE_TAIL_SIZE;
const FENCES_PER_ROW = 4096;
const FENCE_ROW_FIRST = 2 ** 31;

/** Which base counts. */
export interface BaseSummary {
  generation: number;
  /** The last pack whose blobs are in it. */
  packNo: number;
  entryCount: number;
}

/** Memory of its own: LMDB takes the address of a key, and small arrays move. */
export function newBaseKey(): Uint8Array {
  return new Uint8Array(new ArrayBuffer(8));
}

export function setBaseKey(key: Uint8Array, generation: number, row: number): void {
  for (let i = 0; i < 4; i++) {
    key[i] = i < 3 ? 0 : generation & 1;
    key[4 + i] = row >>> (24 - 8 * i);
  }
}

export function pageCountOf({ entryCount }: BaseSummary): number {
  return Math.ceil(entryCount / pageEntryCount);
}

/** Entries in one page of a base. */
export function entryCountOf({ entryCount }: BaseSummary, page: number): number {
  return Math.min(pageEntryCount, entryCount - page * pageEntryCount);
}

/** The generation after `generation` on the other side than the one that counts. */
export function nextGeneration(counting: number, building: number): number {
  const next = Math.max(counting, building) + 1;
  return (next & 1) === (counting & 1) ? next + 1 : next;
}

/** A page of `count` entries with its tail, which covers the key too. */
export function sealPage(
  key: Uint8Array,
  page: Uint8Array,
  { count, generation }: { count: number; generation: number },
): Uint8Array {
  const size = count * blobEntrySize;
  const view = viewOf(page);
  view.setUint32(size, generation);
  view.setUint32(size + 4, crc32(page.subarray(0, size + 4), crc32(key)), true);
  return page.subarray(0, size + PAGE_TAIL_SIZE);
}

/** Whether a page with so many entries is of this generation; asked at every look-up. */
export function isPageOf(page: Uint8Array, count: number, generation: number): boolean {
  const at = count * blobEntrySize;
  if (page.length !== at + PAGE_TAIL_SIZE) return false;
  const high = ((page[at] as number) << 8) | (page[at + 1] as number);
  const low = ((page[at + 2] as number) << 8) | (page[at + 3] as number);
  return high * 65_536 + low === generation;
}

export function checkPage(key: Uint8Array, page: Uint8Array, count: number): void {
  const size = count * blobEntrySize + 4;
  const crc = crc32(page.subarray(0, size), crc32(key));
  demand(viewOf(page).getUint32(size, true) === crc, 'page check sum');
}

export function readBaseSummary(environment: Environment): BaseSummary {
  const text = readMeta(environment, 'base') ?? '0 0 0';
  const [generation, packNo, entryCount] = text.split(' ').map(Number);
  return { generation, packNo, entryCount } as BaseSummary;
}

/** Inside a transaction. */
export function putBaseSummary(environment: Environment, base: BaseSummary): void {
  putMeta(environment, 'base', `${base.generation} ${base.packNo} ${base.entryCount}`);
}

/** Inside a transaction. */
export function putFences(
  environment: Environment,
  generation: number,
  fences: readonly number[],
): void {
  const key = newBaseKey();
  for (let first = 0; first < fences.length; first += FENCES_PER_ROW) {
    setBaseKey(key, generation, FENCE_ROW_FIRST + first / FENCES_PER_ROW);
    const count = Math.min(FENCES_PER_ROW, fences.length - first);
    const row = new Uint8Array(4 * count + 4);
    const view = viewOf(row);
    for (let i = 0; i < count; i++) view.setUint32(4 * i, fences[first + i] as number);
    view.setUint32(4 * count, generation);
    environment.base.putSync(key, withCrc(key, row));
  }
}

/** For every page the prefix of its first entry. */
export function readFences(environment: Environment, base: BaseSummary): Uint32Array {
  const fences = new Uint32Array(pageCountOf(base));
  const key = newBaseKey();
  for (let first = 0; first < fences.length; first += FENCES_PER_ROW) {
    setBaseKey(key, base.generation, FENCE_ROW_FIRST + first / FENCES_PER_ROW);
    const row = environment.base.get(key);
    if (row === undefined) throw new BaseMoved();
    const reader = checkCrc(key, row);
    const view = viewOf(reader.rest());
    const count = Math.min(FENCES_PER_ROW, fences.length - first);
    const isSame = view.byteLength === 4 * count + 4;
    if (!isSame || view.getUint32(4 * count) !== base.generation) throw new BaseMoved();
    for (let i = 0; i < count; i++) fences[first + i] = view.getUint32(4 * i);
  }
  return fences;
}

/** A row of a base is not there or of another one: another process has written a new base, or it is damage. */
export class BaseMoved extends Malformed {
  constructor() {
    super('no such row in the base');
    this.name = 'BaseMoved';
  }
}
