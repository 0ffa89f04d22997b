/**
 * Which snapshot a user means: a whole id, a unique prefix of at least 4 digits, `latest`,
 * `latest~2`, or `@2026-01-31T12:00` for the newest one that is not later. A host, source, path or
 * tag narrows all of them.
 */
import { NotFoundError } from '../errors.ts';
import type { SessionId } from '../id.ts';
import { equalBytes } from '../util/bytes.ts';
import type { SnapshotManifest } from './manifest.ts';

export interface Snapshot {
  id: SessionId;
  /** SHA-256 of the manifest's file, hex. */
  hash: string;
  /** When its manifest was stored, by the clock of the storage, ms since 1970. */
  storedMs: number;
  manifest: SnapshotManifest;
}

/** A snapshot that was forgotten and whose manifest is still there. */
export interface ForgottenSnapshot extends Snapshot {
  /** When it was forgotten, by the clock of the storage, ms since 1970. */
  forgottenMs: number;
}

export interface SnapshotFilter {
  host?: Uint8Array | undefined;
  source?: Uint8Array | undefined;
  /** A root the snapshot must have. */
  path?: Uint8Array | undefined;
  tag?: string | undefined;
}

const PREFIX_LENGTH_MIN = 4;
/** RFC 3339, or the same without an offset for local time; a day alone is its first moment. */
const TIME_PATTERN =
  /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2})?)(?:\.(\d{1,9}))?(Z|[+-]\d{2}:\d{2})?)?$/;

/** Newest last; equal times: the larger id last. */
export function compareSnapshots(a: Snapshot, b: Snapshot): number {
  const difference = a.manifest.startedNs - b.manifest.startedNs;
  if (difference !== 0n) return difference < 0n ? -1 : 1;
  return a.id < b.id ? -1 : 1;
}

export function matchesFilter(snapshot: Snapshot, filter: SnapshotFilter): boolean {
  const { manifest } = snapshot;
  const { host, source, path, tag } = filter;
  return (
    (host === undefined || equalBytes(manifest.host, host)) &&
    (source === undefined || equalBytes(manifest.source, source)) &&
    (path === undefined || manifest.roots.some((root) => equalBytes(root, path))) &&
    (tag === undefined || manifest.tags.includes(tag))
  );
}

/**
 * @param snapshots of the repository, in any order.
 * @throws NotFoundError when no snapshot, or more than one, is meant.
 */
export function selectSnapshot(
  snapshots: readonly Snapshot[],
  selector: string,
  filter: SnapshotFilter = {},
): Snapshot {
  return select(snapshots, { selector, filter, kind: 'snapshot' });
}

/** The same among those that were forgotten. @throws NotFoundError */
export function selectForgotten(
  snapshots: readonly ForgottenSnapshot[],
  selector: string,
  filter: SnapshotFilter = {},
): ForgottenSnapshot {
  return select(snapshots, { selector, filter, kind: 'forgotten snapshot' });
}

function select<T extends Snapshot>(
  snapshots: readonly T[],
  { selector, filter, kind }: { selector: string; filter: SnapshotFilter; kind: string },
): T {
  const candidates = snapshots
    .filter((snapshot) => matchesFilter(snapshot, filter))
    .sort(compareSnapshots);
  const chosen =
    selectLatest(candidates, selector) ??
    selectByTime(candidates, selector) ??
    selectById(candidates, selector, kind);
  if (chosen !== undefined) return chosen;
  const count = candidates.length;
  const among = count === 0 ? `there are no ${kind}s` : `none of ${count} match`;
  throw new NotFoundError(kind, selector, `Cannot find ${kind} "${selector}": ${among}`);
}

function selectLatest<T extends Snapshot>(
  candidates: readonly T[],
  selector: string,
): T | undefined {
  const match = /^latest(?:~([0-9]{1,9}))?$/.exec(selector);
  return match === null ? undefined : candidates.at(-1 - Number(match[1] ?? 0));
}

function selectByTime<T extends Snapshot>(
  candidates: readonly T[],
  selector: string,
): T | undefined {
  if (!selector.startsWith('@')) return undefined;
  const limitNs = parseTime(selector.slice(1));
  if (limitNs === undefined) {
    const expected = 'a time such as @2026-01-31T12:00';
    throw new NotFoundError(
      'snapshot',
      selector,
      `Cannot find snapshot "${selector}": it is no time, expected ${expected}`,
    );
  }
  return candidates.findLast(({ manifest }) => manifest.startedNs <= limitNs);
}

/** Nanoseconds since 1970; undefined for what is no time. */
function parseTime(text: string): bigint | undefined {
  const [, day, clock = '00:00', fraction = '', offset = ''] = TIME_PATTERN.exec(text) ?? [];
  const ms = Date.parse(`${day}T${clock}${offset}`);
  if (Number.isNaN(ms)) return undefined;
  return BigInt(ms) * 1_000_000n + BigInt(fraction.padEnd(9, '0'));
}

function selectById<T extends Snapshot>(
  candidates: readonly T[],
  selector: string,
  kind: string,
): T | undefined {
  if (selector.length < PREFIX_LENGTH_MIN || !/^[0-9a-f]+$/.test(selector)) return undefined;
  const matches = candidates.filter(({ id }) => id.startsWith(selector));
  if (matches.length > 1) {
    const ids = matches.slice(0, 5).map(({ id }) => id.slice(0, 12));
    throw new NotFoundError(
      kind,
      selector,
      `Cannot choose ${kind} "${selector}": it begins ${matches.length} ids (${ids.join(', ')})`,
    );
  }
  return matches[0];
}
