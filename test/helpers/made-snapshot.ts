/** Snapshots that nobody took, for what judges them by their manifests alone. */
import { type BlobId, type SessionId, shortId } from '../../src/id.ts';
import type { Snapshot } from '../../src/snapshot/selection.ts';
import { encodeUtf8 } from '../../src/util/bytes.ts';

export interface SnapshotPlan {
  /** Gives the id; equal numbers, same snapshot. */
  readonly number: number;
  readonly startedNs: bigint;
  readonly timeZone?: string;
  readonly host?: string;
  readonly source?: string;
  readonly tags?: readonly string[];
  /** When it was stored; default: when it was started. */
  readonly storedMs?: number;
  readonly writer?: number;
  /** Number of the record of its writer; default: its first. */
  readonly writerSeq?: number;
}

export function madeSnapshot(plan: SnapshotPlan): Snapshot {
  const { number, startedNs, timeZone = 'UTC', host = 'host', source = '/source' } = plan;
  const { tags = [], storedMs = Number(startedNs / 1_000_000n), writer = 0, writerSeq = 1 } = plan;
  return {
    id: hexOf(number, 32) as SessionId,
    hash: hexOf(number, 64),
    storedMs,
    manifest: {
      chain: {
        repositoryId: '00'.repeat(32),
        writerId: hexOf(writer, 32),
        writerSeq,
        previous: '00'.repeat(32),
        seen: [],
        gcGeneration: 0,
        configNumber: 0,
        program: 'test',
      },
      sessionId: hexOf(number, 32) as SessionId,
      startedNs,
      endedNs: startedNs,
      timeZone,
      host: encodeUtf8(host),
      user: encodeUtf8('user'),
      source: encodeUtf8(source),
      roots: [encodeUtf8(source)],
      tags: [...tags],
      parents: [],
      root: { id: new Uint8Array(32) as BlobId, height: 0, entries: 0n, bytes: 0n },
      segments: [],
      stats: {},
      excludeHash: '',
      errorCount: 0,
      errorSample: [],
      isPartial: false,
    },
  };
}

/** "2026-01-31T12:00Z" as nanoseconds since 1970. */
export function ns(time: string): bigint {
  const ms = Date.parse(time);
  if (Number.isNaN(ms)) throw new Error(`no time: ${time}`);
  return BigInt(ms) * 1_000_000n;
}

/** For messages of tests. */
export function named(snapshots: readonly Snapshot[]): string[] {
  return snapshots.map(({ id }) => shortId(id));
}

function hexOf(number: number, length: number): string {
  // Short ids differ, too.
  return number.toString(16).padStart(8, '0').padEnd(length, '0');
}
