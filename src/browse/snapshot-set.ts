/**
 * Sets of snapshots by their place in a row of them, as runs of neighbours: `[0, 30]` are the first
 * thirty. What is in a tree usually is in the next one, too, so that a set is a few numbers, however
 * many snapshots there are. Sets are never changed.
 */
import { compareSnapshots, type Snapshot } from '../snapshot/selection.ts';
import { compareBytes, equalBytes } from '../util/bytes.ts';

/** Start and end (exclusive) of each run, ascending; runs do not touch. */
export type SnapshotSet = readonly number[];

/** Snapshots of one host and source that follow each other. */
export interface SnapshotRange {
  first: Snapshot;
  last: Snapshot;
  count: number;
}

export function setOf(position: number): SnapshotSet {
  return [position, position + 1];
}

export function unite(a: SnapshotSet, b: SnapshotSet): SnapshotSet {
  if (a === b || b.length === 0) return a;
  if (a.length === 0) return b;
  const runs: number[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    const isFromA = j >= b.length || (i < a.length && (a[i] as number) <= (b[j] as number));
    const [start, end] = isFromA ? [a[i], a[i + 1]] : [b[j], b[j + 1]];
    if (isFromA) i += 2;
    else j += 2;
    const last = runs.at(-1);
    if (last === undefined || (start as number) > last) runs.push(start as number, end as number);
    else runs[runs.length - 1] = Math.max(last, end as number);
  }
  return runs;
}

/** By host and source, as bytes, each oldest first, as `rangesOf` takes them. */
export function inSeries(snapshots: readonly Snapshot[]): Snapshot[] {
  return [...snapshots].sort((a, b) => compareSeries(a, b) || compareSnapshots(a, b));
}

export function isSameSeries({ manifest: a }: Snapshot, { manifest: b }: Snapshot): boolean {
  return equalBytes(a.host, b.host) && equalBytes(a.source, b.source);
}

/** The runs of a set, none of which goes over the end of a series. */
export function rangesOf(set: SnapshotSet, row: readonly Snapshot[]): SnapshotRange[] {
  const ranges: SnapshotRange[] = [];
  for (let i = 0; i < set.length; i += 2) {
    let range: SnapshotRange | undefined;
    for (const snapshot of row.slice(set[i], set[i + 1])) {
      if (range !== undefined && isSameSeries(range.last, snapshot)) {
        range.last = snapshot;
        range.count += 1;
      } else {
        range = { first: snapshot, last: snapshot, count: 1 };
        ranges.push(range);
      }
    }
  }
  return ranges;
}

function compareSeries({ manifest: a }: Snapshot, { manifest: b }: Snapshot): number {
  return compareBytes(a.host, b.host) || compareBytes(a.source, b.source);
}
