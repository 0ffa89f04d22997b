/**
 * The near half of `check --read-data`: hands packs to workers and takes their reports. Deltas that a
 * worker could not make right are looked at here, where all copies of their bases are known.
 *
 * To decode a delta is to decode the whole chain below it. So packs with the longest chains come
 * first, and deltas that were decoded as bases are not decoded again. Results stand in the order of
 * the packs all the same, whoever was first.
 */
import { VarveError } from '../errors.ts';
import type { BlobId } from '../id.ts';
import type { LocalIndex } from '../index/local-index.ts';
import type { PackInfo } from '../index/pack-states.ts';
import { type BlobEntry, type FrameEntry, scanBlobs } from '../pack/directory.ts';
import { packStorageName } from '../pack/pack-record.ts';
import { type CopyPlace, planBases } from '../repository/base-plan.ts';
import { shareForCheck } from '../repository/memory-shares.ts';
import type { ReadAccess } from '../repository/read-access.ts';
import type { Repository } from '../repository/repository.ts';
import { coreSetup } from '../repository/worker-core.ts';
import { startInline, startThread } from '../util/worker.ts';
import { type Numbered, WorkerPool } from '../util/worker-pool.ts';
import { type DataFinding, damagedBlob } from './check-frames.ts';
import { type PackReport, type PackRequest, startPackData } from './pack-data.ts';
import { VerifiedCopies } from './verified-copies.ts';

export interface PackResult {
  findings: DataFinding[];
  badBlobs: BlobId[];
  /** The storage failed in a way that may be over at the next try. */
  isTransient: boolean;
}

export interface ReadPacksOptions {
  repository: Repository;
  /** Its index must stay as it is meanwhile. */
  access: ReadAccess;
  packs: readonly PackInfo[];
  signal: AbortSignal | undefined;
  /** Called after each pack. */
  onRead: (bytes: number) => void;
  /** Told of each pack when all is known of it. */
  onResult?: (pack: PackInfo, result: PackResult) => void;
}

/** Reads whole packs. @throws the signal's reason, or whatever a worker failed with */
export async function readPacks(options: ReadPacksOptions): Promise<PackResult[]> {
  const { repository, access, packs, signal, onRead, onResult } = options;
  const { index } = access.sync;
  const results: PackResult[] = packs.map(() => ({
    findings: [],
    badBlobs: [],
    isTransient: false,
  }));
  const pool = startPool(repository);
  const verified = new VerifiedCopies();
  const unverified: { pack: PackInfo; result: PackResult; slots: readonly number[] }[] = [];
  const verifyLeft = async (): Promise<void> => {
    for (const { pack, result, slots } of unverified.splice(0)) {
      await verifyDeltas(access, { pack, slots }, result);
      onResult?.(pack, result);
    }
  };
  try {
    for (const position of deepestFirst(index, packs)) {
      const pack = packs[position] as PackInfo;
      const { packNo } = pack;
      // No more than the workers take: a record holds the whole directory of its pack.
      await pool.until(() => pool.isPosted, signal);
      const record = index.record(packNo);
      const opened = index.openDirectory(packNo);
      if (record === undefined || opened === undefined) continue;
      const isWanted = (slot: number) => !verified.has({ packNo, slot });
      const bases = planBases(index, opened.blobs, isWanted);
      pool.submit({ record, bases: bases?.plan }, (report) => {
        const { isTransient } = report;
        const result = {
          findings: [...report.findings],
          badBlobs: [...report.badBlobs],
          isTransient,
        };
        results[position] = result;
        unverified.push({ pack, result, slots: report.deltas.unverified });
        for (const row of report.deltas.verifiedRows) {
          const copy = bases?.copies[row] as CopyPlace;
          verified.add(copy, index.pack(copy.packNo)?.blobCount ?? 0);
        }
        onRead(report.bytesRead);
      });
      await verifyLeft();
    }
    await pool.until(() => pool.isIdle, signal);
    await verifyLeft();
  } finally {
    await pool.close();
  }
  return results;
}

/** Positions of the packs by falling depth of their deepest delta; the others come last. */
function deepestFirst(index: LocalIndex, packs: readonly PackInfo[]): number[] {
  const depths = packs.map(({ packNo }) => {
    let depthMax = 0;
    const record = index.record(packNo);
    if (record === undefined) return depthMax;
    scanBlobs(record.body, (_idOffset, depth) => {
      if (depth > depthMax) depthMax = depth;
    });
    return depthMax;
  });
  return [...packs.keys()].sort((a, b) => (depths[b] as number) - (depths[a] as number));
}

function startPool(repository: Repository): WorkerPool<PackRequest, PackReport> {
  if (repository.jobs === 0) {
    return new WorkerPool(1, (owner) =>
      startInline<Numbered<PackRequest>, Numbered<PackReport>>(
        (reply) => startPackData(repository, reply),
        owner,
      ),
    );
  }
  const entry = new URL('./pack-data-thread.js', import.meta.url);
  const setup = coreSetup(repository);
  return new WorkerPool(shareForCheck(repository), (owner) => startThread(entry, setup, owner));
}

/** Reads each of these deltas by itself, and tells what is wrong with it. */
async function verifyDeltas(
  access: ReadAccess,
  { pack, slots }: { pack: PackInfo; slots: readonly number[] },
  result: PackResult,
): Promise<void> {
  const opened = access.sync.index.openDirectory(pack.packNo);
  if (opened === undefined) return;
  for (const slot of slots) {
    const blob = opened.blobs.at(slot) as BlobEntry;
    const frame = opened.blobs.frames[blob.frame] as FrameEntry;
    try {
      await access.verifyCopy({ pack: opened.pack, frame, blob });
    } catch (error) {
      if (!(error instanceof VarveError)) throw error;
      result.findings.push(damagedBlob(blob, { pack: packStorageName(pack), error }));
      result.badBlobs.push(blob.id);
    }
  }
}
