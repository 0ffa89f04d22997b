/**
 * Reads all there is in a cache and compares it with itself: check sums of all rows, each pack with
 * its row, and the base with the directories of the packs it covers. The base is in another order
 * than the directories, so both are summed up per pack: equal counts and equal sums of a hash per
 * entry. One pass over each, and 12 bytes of memory per pack.
 *
 * Runs in a child process (`probe.ts`), because reading a damaged LMDB file may kill the reader.
 */
import { directoryHeadOf } from '../pack/pack-record.ts';
import { demand } from '../util/byte-reader.ts';
import { compareBytes, fromHex } from '../util/bytes.ts';
import {
  type BaseSummary,
  checkPage,
  entryCountOf,
  isPageOf,
  newBaseKey,
  pageCountOf,
  readBaseSummary,
  readFences,
  setBaseKey,
} from './base-rows.ts';
import { BlobEntries, blobEntrySize, compareKeys, entryPackNo, prefixOf } from './blob-entries.ts';
import { checkCrc, decodePack, decodePackRow, decodeSegmentRow } from './cache-rows.ts';
import type { Environment, Table } from './environment.ts';

/** Blobs of one pack, in any order. */
interface BlobSum {
  count: number;
  sum: number;
}

/** @throws Malformed, or an error of LMDB, when anything is not as written. */
export function verifyEnvironment(environment: Environment): void {
  const { meta, segments, features, packid, base } = environment;
  for (const { key, value } of ascending(meta)) checkCrc(key, value);
  for (const { key, value } of ascending(features)) checkCrc(key, value);
  for (const { key, value } of ascending(segments)) decodeSegmentRow(key, value);
  for (const { key, value } of ascending(base)) checkCrc(key, value);
  const summary = readBaseSummary(environment);
  const sums = new Map<number, BlobSum>();
  const packCount = sumPacks(environment, summary, sums);
  let rowCount = 0;
  for (const { key, value } of ascending(packid)) {
    demand(decodePackRow(key, value).packNo <= packCount, 'row of an unknown pack');
    rowCount++;
  }
  demand(rowCount === packCount, 'number of packs');
  subtractBase(environment, summary, sums);
  for (const [packNo, { count, sum }] of sums) {
    demand(count === 0 && sum === 0, `blobs of pack ${packNo}`);
  }
}

/** Adds up the blobs of the packs that the base covers. Answers how many packs there are in all. */
function sumPacks(
  environment: Environment,
  summary: BaseSummary,
  sums: Map<number, BlobSum>,
): number {
  let packCount = 0;
  for (const { key, value } of ascending(environment.packs)) {
    packCount++;
    const packNo = Buffer.from(key).readUInt32BE();
    demand(packNo === packCount, 'packs without gaps');
    const record = decodePack(key, value);
    const { blobCount } = directoryHeadOf(record);
    const nameKey = fromHex(record.name);
    const row = decodePackRow(nameKey, environment.packid.get(nameKey) ?? new Uint8Array(0));
    const isSame = row.packNo === packNo && row.length === record.length;
    demand(isSame && row.blobCount === blobCount, 'row of another pack');
    if (packNo > summary.packNo) continue;
    const entries = new BlobEntries();
    entries.addPack(packNo, record.body, { from: 0, below: 2 ** 32 });
    for (let i = 0; i < entries.count; i++) add(sums, entries.bytes, { at: i, sign: 1 });
  }
  demand(packCount >= summary.packNo, 'packs of the base');
  return packCount;
}

/** Takes all entries of the base off the sums; its pages must be in order. */
function subtractBase(
  environment: Environment,
  summary: BaseSummary,
  sums: Map<number, BlobSum>,
): void {
  const key = newBaseKey();
  const fences = readFences(environment, summary);
  const last = new Uint8Array(blobEntrySize);
  for (let page = 0; page < pageCountOf(summary); page++) {
    setBaseKey(key, summary.generation, page);
    const value = environment.base.get(key) ?? new Uint8Array(0);
    const count = entryCountOf(summary, page);
    demand(isPageOf(value, count, summary.generation), 'page of another base');
    checkPage(key, value, count);
    demand(prefixOf(value, 0) === fences[page], 'fence of a page');
    for (let i = 0; i < count; i++) {
      const start = i * blobEntrySize;
      demand(compareKeys(last, 0, value, start) <= 0, 'entries out of order');
      last.set(value.subarray(start, start + blobEntrySize));
      add(sums, value, { at: i, sign: -1 });
    }
  }
}

/** Sums of 32-bit numbers stay exact for 2^21 blobs, twice what a pack may hold. */
function add(
  sums: Map<number, BlobSum>,
  entries: Uint8Array,
  { at, sign }: { at: number; sign: number },
): void {
  const start = at * blobEntrySize;
  const packNo = entryPackNo(entries, start);
  const total = sums.get(packNo) ?? { count: 0, sum: 0 };
  sums.set(packNo, total);
  total.count += sign;
  total.sum += sign * hashOf(entries, start);
}

/** FNV-1a. What is hashed has check sums; this tells entries apart. */
function hashOf(entries: Uint8Array, start: number): number {
  let hash = 0x811c9dc5;
  for (let i = start; i < start + blobEntrySize; i++) {
    hash = Math.imul(hash ^ (entries[i] as number), 0x01000193);
  }
  return hash >>> 0;
}

/** All entries of a table. A damaged one may lead in a circle; then its keys do not ascend. */
function* ascending(table: Table): Generator<{ key: Uint8Array; value: Uint8Array }> {
  let previous: Uint8Array | undefined;
  for (const entry of table.getRange()) {
    const isAscending = previous === undefined || compareBytes(previous, entry.key) < 0;
    demand(isAscending, 'keys out of order');
    yield entry;
    previous = entry.key;
  }
}
