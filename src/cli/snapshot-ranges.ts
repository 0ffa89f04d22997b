/** Runs of snapshots that have the same, for people and for programs. */
import { shortId } from '../id.ts';
import type { Snapshot, SnapshotRange } from '../index.ts';
import { printable } from '../util/printable.ts';
import { formatCount, formatLocalTime, secondsOfNs } from './format.ts';
import { type JsonFields, outsideText, rfc3339OfNs } from './json.ts';

/** "3f2a1b4c 2026-01-01 12:00:00 to 9c8d7e6f 2026-01-30 12:00:00, 30 snapshots". */
export function rangeText({ first, last, count }: SnapshotRange): string {
  if (count === 1) return nameOf(first);
  return `${nameOf(first)} to ${nameOf(last)}, ${formatCount(count, 'snapshot')}`;
}

export function seriesText({ manifest }: Snapshot): string {
  return `${printable(manifest.host)}  ${printable(manifest.source)}`;
}

export function rangeFields({ first, last, count }: SnapshotRange): JsonFields {
  return {
    ...outsideText('hostname', first.manifest.host),
    ...outsideText('source', first.manifest.source),
    first: first.id,
    first_time: rfc3339OfNs(first.manifest.startedNs),
    last: last.id,
    last_time: rfc3339OfNs(last.manifest.startedNs),
    count,
  };
}

function nameOf({ id, manifest }: Snapshot): string {
  return `${shortId(id)} ${formatLocalTime(secondsOfNs(manifest.startedNs))}`;
}
