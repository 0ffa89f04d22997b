/**
 * Copies a cache row by row. LMDB marks in each page whether it may be written in place, and keeps a
 * list of free pages; damage to those is invisible to a reader and deadly later. A copy has neither.
 */
import { type Environment, writeAll } from './environment.ts';

/** Bytes of rows in one transaction; LMDB holds them in memory until it commits. */
const BATCH_SIZE_TARGET: number = 2 ** 25;
/** What a row costs beside its bytes. */
const ROW_OVERHEAD = 32;

interface Row {
  key: Uint8Array;
  value: Uint8Array;
}

/** Fills the empty environment `target` with all rows of `source`. */
export function copyEnvironment(source: Environment, target: Environment): void {
  const { root: _, ...tables } = target;
  for (const [name, table] of Object.entries(tables)) {
    const rows = source[name as keyof typeof tables].getRange();
    for (const batch of batchesOf(rows)) {
      writeAll(target, () => {
        for (const { key, value } of batch) table.putSync(key, value, { append: true });
      });
    }
  }
}

function* batchesOf(rows: Iterable<Row>): Generator<Row[]> {
  let batch: Row[] = [];
  let size = 0;
  for (const row of rows) {
    batch.push(row);
    size += row.key.length + row.value.length + ROW_OVERHEAD;
    if (size < BATCH_SIZE_TARGET) continue;
    yield batch;
    batch = [];
    size = 0;
  }
  if (batch.length > 0) yield batch;
}
