/**
 * The snapshot manifest: the commit record of one snapshot (docs/repository-format.md section 6).
 * Its name is the id of the session that made it; its existence is what makes a snapshot exist.
 */
import type { BlobId, SegmentName, SessionId } from '../id.ts';
import type { JsonObject } from '../record/canonical-json.ts';
import {
  type ChainFields,
  encodeChain,
  encodeRecord,
  parseChain,
  parseRecord,
} from '../record/record.ts';
import {
  booleanField,
  bytesField,
  decimalField,
  decodeOutsideText,
  encodeOutsideText,
  hexField,
  hexListField,
  integerField,
  objectField,
  objectListField,
  textField,
  textListField,
} from '../record/record-fields.ts';
import { demand } from '../util/byte-reader.ts';
import { toHex } from '../util/bytes.ts';

/** At most this many failed paths stand in a manifest; `errorCount` counts all. */
export const ERROR_SAMPLE_COUNT_MAX = 1000;

/** Root page of the whole tree, with the exact totals below it. */
export interface SnapshotRoot {
  id: BlobId;
  height: number;
  entries: bigint;
  bytes: bigint;
}

export interface SnapshotManifest {
  chain: ChainFields;
  sessionId: SessionId;
  startedNs: bigint;
  endedNs: bigint;
  timeZone: string;
  /** Text from outside, raw bytes. */
  host: Uint8Array;
  user: Uint8Array;
  /** What snapshots are grouped by, beside the host. */
  source: Uint8Array;
  /** Absolute paths of the sources, raw bytes. */
  roots: Uint8Array[];
  tags: string[];
  parents: SessionId[];
  root: SnapshotRoot;
  segments: SegmentName[];
  /** Counts of the run that made it; for people, nothing depends on them. */
  stats: Record<string, number>;
  excludeHash: string;
  errorCount: number;
  errorSample: { path: Uint8Array; code: string }[];
  /** Something was skipped. */
  isPartial: boolean;
  /** What a later version has said besides; whoever makes another manifest of this one says it again. */
  laterFields?: JsonObject | undefined;
}

/** Keys of this version. A signature is about one record: no other one may have it. */
const knownKeys: ReadonlySet<string> = new Set([
  ...['schema', 'requires', 'repo_id', 'writer_id', 'writer_seq', 'previous', 'seen'],
  ...['gc_generation', 'config_number', 'program', 'signature', 'session_id', 'started_ns'],
  ...['ended_ns', 'time_zone', 'host', 'host_b64', 'user', 'user_b64', 'source', 'source_b64'],
  ...['roots', 'tags', 'parents', 'root', 'segments', 'stats', 'exclude_hash', 'errors', 'partial'],
]);

export function encodeManifest(manifest: SnapshotManifest): Uint8Array {
  const { root } = manifest;
  return encodeRecord('snapshot', {
    ...manifest.laterFields,
    ...encodeChain(manifest.chain),
    session_id: manifest.sessionId,
    started_ns: String(manifest.startedNs),
    ended_ns: String(manifest.endedNs),
    time_zone: manifest.timeZone,
    ...encodeOutsideText('host', manifest.host),
    ...encodeOutsideText('user', manifest.user),
    ...encodeOutsideText('source', manifest.source),
    roots: manifest.roots.map((path) => encodeOutsideText('path', path)),
    tags: manifest.tags,
    parents: manifest.parents,
    root: {
      id: toHex(root.id),
      height: root.height,
      entries: encodeTotal(root.entries),
      bytes: encodeTotal(root.bytes),
    },
    segments: manifest.segments,
    stats: manifest.stats,
    exclude_hash: manifest.excludeHash,
    errors: {
      count: manifest.errorCount,
      sample: manifest.errorSample.map(({ path, code }) => ({
        ...encodeOutsideText('path', path),
        code,
      })),
    },
    partial: manifest.isPartial,
  });
}

/**
 * @throws Malformed when it is not a snapshot manifest.
 * @throws VersionError for a later one.
 */
export function parseManifest(payload: Uint8Array): SnapshotManifest {
  const record = parseRecord(payload, 'snapshot');
  const root = objectField(record, 'root');
  const errors = objectField(record, 'errors');
  const sample = objectListField(errors, 'sample');
  demand(sample.length <= ERROR_SAMPLE_COUNT_MAX, 'sample of errors too long');
  const later = Object.entries(record).filter(([key]) => !knownKeys.has(key));
  return {
    chain: parseChain(record),
    sessionId: hexField(record, 'session_id', 16) as SessionId,
    startedNs: decimalField(record, 'started_ns'),
    endedNs: decimalField(record, 'ended_ns'),
    timeZone: textField(record, 'time_zone'),
    host: decodeOutsideText(record, 'host'),
    user: decodeOutsideText(record, 'user'),
    source: decodeOutsideText(record, 'source'),
    roots: objectListField(record, 'roots').map((entry) => decodeOutsideText(entry, 'path')),
    tags: textListField(record, 'tags'),
    parents: hexListField(record, 'parents', 16) as SessionId[],
    root: {
      id: bytesField(root, 'id', 32) as BlobId,
      height: integerField(root, 'height'),
      entries: decodeTotal(root, 'entries'),
      bytes: decodeTotal(root, 'bytes'),
    },
    segments: hexListField(record, 'segments', 32) as SegmentName[],
    stats: numbersOf(record, 'stats'),
    excludeHash: record['exclude_hash'] === undefined ? '' : textField(record, 'exclude_hash'),
    errorCount: integerField(errors, 'count'),
    errorSample: sample.map((entry) => ({
      path: decodeOutsideText(entry, 'path'),
      code: textField(entry, 'code'),
    })),
    isPartial: record['partial'] === undefined ? false : booleanField(record, 'partial'),
    ...(later.length > 0 && { laterFields: Object.fromEntries(later) }),
  };
}

/** Totals stand as a number while it is exact, beyond 2^53 as decimal text. */
function encodeTotal(total: bigint): number | string {
  return total <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(total) : String(total);
}

function decodeTotal(record: JsonObject, key: string): bigint {
  if (typeof record[key] === 'number') return BigInt(integerField(record, key));
  const total = decimalField(record, key);
  demand(total > BigInt(Number.MAX_SAFE_INTEGER), `${key} is text though a number would do`);
  return total;
}

function numbersOf(record: JsonObject, key: string): Record<string, number> {
  const numbers: Record<string, number> = {};
  for (const [name, value] of Object.entries(objectField(record, key))) {
    if (typeof value === 'number') numbers[name] = value;
  }
  return numbers;
}
