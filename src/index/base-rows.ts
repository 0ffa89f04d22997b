/**
 * The bytes of the base: all entries of the packs up to one number, sorted, in pages of LMDB's own
 * page size.
 *
 *   key                                     value
 *   generation u32 | page u32               up to 169 entries (`blob-entries.ts`) | crc u32
 *   generation u32 | 2^31 + i u32           prefixes of first entries of 4,096 pages, u32 | crc u32
 *
 * Key fields are big-endian. `meta` has, under "base", the generation that counts with the last pack
 * in it and the number of entries, and under "building" the generation being written. All rows of
 * other generations are garbage.
 */
import { crc32 } from 'node:zlib';
import { demand, Malformed } from '../util/byte-reader.ts';
import { viewOf } from '../util/bytes.ts';
import { blobEntrySize } from './blob-entries.ts';
import { checkCrc, withCrc } from './cache-rows.ts';
import { type Environment, putMeta, readMeta } from './environment.ts';

/** With its check sum and LMDB's header a page of entries fills 4,096 bytes. */
export const pageEntryCount = 169;
export const pageSizeMax: number = pageEntryCount * blobEntrySize + 4;
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
    key[i] = generation >>> (24 - 8 * i);
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

/** Puts the check sum behind `size` bytes of entries, covering the key too. */
export function sealPage(key: Uint8Array, page: Uint8Array, size: number): void {
  viewOf(page).setUint32(size, crc32(page.subarray(0, size), crc32(key)), true);
}

export function checkPage(key: Uint8Array, page: Uint8Array, count: number): void {
  const size = count * blobEntrySize;
  demand(page.length === size + 4, 'length of a page');
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
    const row = new Uint8Array(4 * Math.min(FENCES_PER_ROW, fences.length - first));
    const view = viewOf(row);
    for (let i = 0; i < row.length / 4; i++) view.setUint32(4 * i, fences[first + i] as number);
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
    demand(view.byteLength === 4 * count, 'length of a fence row');
    for (let i = 0; i < count; i++) fences[first + i] = view.getUint32(4 * i);
  }
  return fences;
}

/** A row of a base is not there: another process has written a new base, or it is damage. */
export class BaseMoved extends Malformed {
  constructor() {
    super('no such row in the base');
    this.name = 'BaseMoved';
  }
}
