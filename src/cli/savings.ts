/**
 * What of the bytes of files is left after each step of storing them, from what they are (raw) through
 * deduplication (unique), similarity (delta) and compression to what lies in the storage (stored).
 * The words are those of docs/command-line.md, for a repository, a snapshot and a run alike.
 */
import { formatBytes, formatCount } from './format.ts';
import type { JsonFields } from './json.ts';
import { formatTable } from './table.ts';

/** Sizes are in bytes. */
export interface Savings {
  /** Of files, as often as they occur. */
  rawSize: number | bigint;
  /** Of the distinct blobs of their content. */
  uniqueSize: number | bigint;
  /** Those among them that are kept as deltas, bytes of their plaintexts, and of the deltas. */
  deltaBlobs: number;
  deltaRawSize: number;
  deltaStoredSize: number;
  compressedSize: number;
  /** Undefined where it is not known, or means nothing. */
  storedSize: number | undefined;
}

/** What stands behind the figures of a step. */
export interface SavingsNotes {
  raw?: string;
  unique?: string;
  stored?: string;
}

/**
 * A line for each step: its name, its bytes, how many bytes of files there are to one of them.
 *
 *     raw         8.8 GiB            229,354 files
 *     unique      3.8 GiB  2.31 : 1  156,231 blobs
 *     delta       2.9 GiB  3.03 : 1  20,119 blobs of 1.0 GiB as deltas of 90.2 MiB
 *     compressed  1.1 GiB  8.00 : 1
 *     stored      1.1 GiB  7.90 : 1  24 packs
 */
export function savingsLines(savings: Savings, notes: SavingsNotes = {}): string[] {
  const { rawSize, uniqueSize, compressedSize, storedSize } = savings;
  const row = (name: string, size: number | bigint, note = ''): string[] => {
    return [name, formatBytes(size), formatFactor(rawSize, size), note];
  };
  const rows = [
    ['raw', formatBytes(rawSize), '', notes.raw ?? ''],
    row('unique', uniqueSize, notes.unique),
    row('delta', deltaSizeOf(savings), deltaNote(savings)),
    row('compressed', compressedSize),
  ];
  if (storedSize !== undefined) rows.push(row('stored', storedSize, notes.stored));
  return formatTable(rows, ['left', 'right', 'right', 'left']);
}

/** The same for programs; a factor is left out where there is nothing to compare. */
export function savingsFields(savings: Savings): JsonFields {
  const { rawSize, uniqueSize, compressedSize, storedSize } = savings;
  const deltaSize = deltaSizeOf(savings);
  return {
    raw_size: rawSize,
    unique_size: uniqueSize,
    unique_factor: factorOf(rawSize, uniqueSize),
    delta_size: deltaSize,
    delta_factor: factorOf(rawSize, deltaSize),
    delta_blob_count: savings.deltaBlobs,
    delta_raw_size: savings.deltaRawSize,
    delta_stored_size: savings.deltaStoredSize,
    compressed_size: compressedSize,
    compressed_factor: factorOf(rawSize, compressedSize),
    stored_size: storedSize,
    stored_factor: storedSize === undefined ? undefined : factorOf(rawSize, storedSize),
  };
}

/** What is left to compress once blobs that resemble others are deltas. */
function deltaSizeOf({ uniqueSize, deltaRawSize, deltaStoredSize }: Savings): number | bigint {
  if (typeof uniqueSize === 'number') return uniqueSize - deltaRawSize + deltaStoredSize;
  return uniqueSize - BigInt(deltaRawSize) + BigInt(deltaStoredSize);
}

function deltaNote({ deltaBlobs, deltaRawSize, deltaStoredSize }: Savings): string {
  if (deltaBlobs === 0) return '';
  const [raw, stored] = [formatBytes(deltaRawSize), formatBytes(deltaStoredSize)];
  return `${formatCount(deltaBlobs, 'blob')} of ${raw} as deltas of ${stored}`;
}

/** "7.90 : 1"; empty where there is nothing to compare. */
export function formatFactor(rawSize: number | bigint, size: number | bigint): string {
  const factor = factorOf(rawSize, size);
  return factor === undefined ? '' : `${factor.toFixed(2)} : 1`;
}

export function factorOf(rawSize: number | bigint, size: number | bigint): number | undefined {
  return Number(size) === 0 ? undefined : Number(rawSize) / Number(size);
}
