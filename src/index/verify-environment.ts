/**
 * Reads all there is in a cache and compares it with itself: check sums of all rows, each pack with
 * its row, and the blob table with the directories of the packs. The blob table is in another order
 * than the directories, so both are summed up per pack: equal counts and equal sums of a check sum
 * per entry. One pass over each, and 12 bytes of memory per pack.
 *
 * Runs in a child process (`probe.ts`), because reading a damaged LMDB file may kill the reader.
 */
import { crc32 } from 'node:zlib';
import { directoryOf } from '../pack/pack-record.ts';
import { demand } from '../util/byte-reader.ts';
import { compareBytes, fromHex } from '../util/bytes.ts';
import {
  BLOB_KEY_SIZE,
  BLOB_VALUE_SIZE,
  checkCrc,
  decodePack,
  decodePackRow,
  decodeSegmentRow,
  readBlobValue,
  writeBlobValue,
} from './cache-rows.ts';
import type { Environment, Table } from './environment.ts';

/** Blobs of one pack, in any order. */
interface BlobSum {
  count: number;
  sum: number;
}

/** @throws Malformed, or an error of LMDB, when anything is not as written. */
export function verifyEnvironment(environment: Environment): void {
  const { meta, segments, features, packid, blobs } = environment;
  for (const { key, value } of ascending(meta)) checkCrc(key, value);
  for (const { key, value } of ascending(features)) checkCrc(key, value);
  for (const { key, value } of ascending(segments)) decodeSegmentRow(key, value);
  const expected = sumOfPacks(environment);
  let packCount = 0;
  for (const { key, value } of ascending(packid)) {
    demand(expected.has(decodePackRow(key, value).packNo), 'row of an unknown pack');
    packCount++;
  }
  demand(packCount === expected.size, 'number of packs');
  const found = sumOfBlobs(blobs);
  for (const [packNo, { count, sum }] of expected) {
    const blobSum = found.get(packNo) ?? { count: 0, sum: 0 };
    demand(blobSum.count === count && blobSum.sum === sum, `blobs of pack ${packNo}`);
    found.delete(packNo);
  }
  demand(found.size === 0, 'blobs of an unknown pack');
}

function sumOfPacks(environment: Environment): Map<number, BlobSum> {
  const sums = new Map<number, BlobSum>();
  const value = new Uint8Array(BLOB_VALUE_SIZE);
  for (const entry of ascending(environment.packs)) {
    const packNo = Buffer.from(entry.key).readUInt32BE();
    const record = decodePack(entry.key, entry.value);
    const { blobs } = directoryOf(record);
    const nameKey = fromHex(record.name);
    const row = decodePackRow(nameKey, environment.packid.get(nameKey) ?? new Uint8Array(0));
    const isSame = row.packNo === packNo && row.length === record.length;
    demand(isSame && row.blobCount === blobs.length, 'row of another pack');
    const total = { count: 0, sum: 0 };
    for (const [slot, blob] of blobs.entries()) {
      writeBlobValue(value, 0, { packNo, slot, depth: blob.delta?.depth ?? 0 });
      addTo(total, blob.id.subarray(0, BLOB_KEY_SIZE), value);
    }
    sums.set(packNo, total);
  }
  return sums;
}

function sumOfBlobs(blobs: Table): Map<number, BlobSum> {
  const sums = new Map<number, BlobSum>();
  for (const { key, value } of ascending(blobs)) {
    const { packNo } = readBlobValue(value);
    const total = sums.get(packNo) ?? { count: 0, sum: 0 };
    sums.set(packNo, total);
    addTo(total, key, value);
  }
  return sums;
}

/** Sums of 32-bit numbers stay exact for 2^21 blobs, twice what a pack may hold. */
function addTo(total: BlobSum, key: Uint8Array, value: Uint8Array): void {
  total.count++;
  total.sum += crc32(value, crc32(key));
}

/** All entries of a table. A damaged one may lead in a circle; then its keys do not ascend. */
function* ascending(table: Table): Generator<{ key: Uint8Array; value: Uint8Array }> {
  let previous: { key: Uint8Array; value: Uint8Array } | undefined;
  for (const entry of table.getRange()) {
    if (previous !== undefined) {
      const order = compareBytes(previous.key, entry.key);
      const isAscending =
        order < 0 || (order === 0 && compareBytes(previous.value, entry.value) < 0);
      demand(isAscending, 'keys out of order');
    }
    yield entry;
    previous = entry;
  }
}
