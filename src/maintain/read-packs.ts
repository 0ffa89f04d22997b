/**
 * The near half of `check --read-data`: hands packs to workers and takes their reports. A worker has
 * two packs at a time, one that it reads and one that waits, and gets another one only after its
 * report was dealt with: this bounds the deltas that are held. Results stand in the order of the
 * packs, whoever was first.
 */
import { VarveError } from '../errors.ts';
import type { BlobId } from '../id.ts';
import type { PackInfo } from '../index/pack-states.ts';
import type { FrameEntry } from '../pack/directory.ts';
import { packStorageName } from '../pack/pack-record.ts';
import type { ReadAccess } from '../repository/read-access.ts';
import type { Repository } from '../repository/repository.ts';
import { type CoreSetup, coreSetup } from '../repository/worker-core.ts';
import { startInline, startThread, type WorkerHandle, type WorkerOwner } from '../util/worker.ts';
import { type DataFinding, damagedBlob } from './check-frames.ts';
import { type PackReport, type PackRequest, startPackData } from './pack-data.ts';

const requestsPerWorker = 2;
/** What a worker takes: its heap, one piece of a pack, one frame sealed, opened and decoded. */
const workerMemory = 2 ** 26;

export interface PackResult {
  findings: DataFinding[];
  badBlobs: BlobId[];
}

export interface ReadPacksOptions {
  repository: Repository;
  /** Its index must stay as it is meanwhile. */
  access: ReadAccess;
  packs: readonly PackInfo[];
  signal: AbortSignal | undefined;
  /** Called after each pack. */
  onRead: (bytes: number) => void;
}

/** Reads whole packs. @throws the signal's reason, or whatever a worker failed with */
export async function readPacks(options: ReadPacksOptions): Promise<PackResult[]> {
  return await new Reading(options).execute();
}

class Reading {
  readonly #options: ReadPacksOptions;
  readonly #results: PackResult[] = [];
  readonly #workers: WorkerHandle<PackRequest>[] = [];
  #next = 0;
  #left: number;

  constructor(options: ReadPacksOptions) {
    this.#options = options;
    this.#left = options.packs.length;
  }

  async execute(): Promise<PackResult[]> {
    const { signal } = this.#options;
    signal?.throwIfAborted();
    let cancel = (): void => {};
    try {
      await new Promise<void>((resolve, reject) => {
        cancel = () => reject(signal?.reason);
        signal?.addEventListener('abort', cancel);
        this.#startAll(resolve, reject);
      });
    } finally {
      signal?.removeEventListener('abort', cancel);
      await Promise.all(this.#workers.map((worker) => worker.close()));
    }
    return this.#results;
  }

  #startAll(onEnd: () => void, onFailure: (error: unknown) => void): void {
    const { repository } = this.#options;
    const count = workerCount(repository, this.#left);
    for (let i = 0; i < count; i++) {
      const onReply = (report: PackReport): void => {
        this.#take(report)
          .then(() => {
            this.#feed(worker);
            if (this.#left === 0) onEnd();
          })
          .catch(onFailure);
      };
      const worker = startWorker(repository, { onReply, onFailure });
      this.#workers.push(worker);
      for (let request = 0; request < requestsPerWorker; request++) this.#feed(worker);
    }
    if (this.#left === 0) onEnd();
  }

  /** Gives a worker the next pack, if there is one. */
  #feed(worker: WorkerHandle<PackRequest>): void {
    const { packs, access } = this.#options;
    for (;;) {
      const position = this.#next;
      const pack = packs[position];
      if (pack === undefined) return;
      this.#next += 1;
      const record = access.sync.index.record(pack.packNo);
      if (record !== undefined) {
        worker.post({ position, record });
        return;
      }
      this.#finish(position, { findings: [], badBlobs: [] });
    }
  }

  async #take(report: PackReport): Promise<void> {
    const result = { findings: [...report.findings], badBlobs: [...report.badBlobs] };
    await this.#verifyDeltas(report, result);
    this.#finish(report.position, result);
    this.#options.onRead(report.bytesRead);
  }

  #finish(position: number, result: PackResult): void {
    this.#results[position] = result;
    this.#left -= 1;
  }

  async #verifyDeltas({ position, deltaFrames }: PackReport, result: PackResult): Promise<void> {
    if (deltaFrames.length === 0) return;
    const { access, packs, signal } = this.#options;
    const pack = packs[position] as PackInfo;
    const { frames, blobs } = access.sync.index.directory(pack.packNo) ?? { frames: [], blobs: [] };
    const contents = new Map(deltaFrames.map((opened) => [opened.position, opened.content]));
    for (const blob of blobs) {
      const content = contents.get(blob.frame);
      if (content === undefined) continue;
      signal?.throwIfAborted();
      try {
        await access.verifyCopy(blob, { frame: frames[blob.frame] as FrameEntry, content });
      } catch (error) {
        if (!(error instanceof VarveError)) throw error;
        result.findings.push(damagedBlob(blob, { pack: packStorageName(pack), error }));
        result.badBlobs.push(blob.id);
      }
    }
  }
}

function workerCount({ jobs, memory }: Repository, packCount: number): number {
  const affordable = Math.floor(memory / 2 / workerMemory);
  return Math.min(packCount, Math.max(1, Math.min(jobs, affordable)));
}

function startWorker(
  repository: Repository,
  owner: WorkerOwner<PackReport>,
): WorkerHandle<PackRequest> {
  if (repository.jobs === 0) {
    return startInline<PackRequest, PackReport>((reply) => startPackData(repository, reply), owner);
  }
  const entry = new URL('./pack-data-thread.js', import.meta.url);
  const setup: CoreSetup = coreSetup(repository);
  return startThread<PackRequest, PackReport>(entry, setup, owner);
}
