/**
 * The coordinator's side of the save workers: hands batches to free slots, decides for every chunk that
 * comes back whether it is new, and takes packs over as they become durable.
 *
 * A worker is started when all others are busy, so that a snapshot of little costs one at most; the
 * last one, which only fills the time in which others wait, when there turns out to be much. The first
 * failure of any worker ends the run.
 */
import type { BlobId } from '../id.ts';
import type { DeltaCounts } from '../repository/delta-encoder.ts';
import type { DurablePack, HeldFrame } from '../repository/pack-writer.ts';
import { assert } from '../util/assert.ts';
import type { WorkerHandle, WorkerOwner } from '../util/worker.ts';
import type { FilePart } from './file-assembly.ts';
import { type BatchOptions, BatchPart, encodeParts, RunningBatch } from './running-batch.ts';
import {
  CHUNK,
  type SaveReply,
  type SaveRequest,
  type ScannedBatch,
  type SoughtBases,
  slotCount,
} from './save-messages.ts';

/** Batches after which the last worker is worth its start. */
const batchCountMuch = 16;

export type StartSaveWorker = (
  workerNumber: number,
  owner: WorkerOwner<SaveReply>,
) => WorkerHandle<SaveRequest>;

/** What the pool asks of the session, or of what stands in for it in a dry run. */
export interface PoolStore {
  claim(id: BlobId, size: number): boolean;
  addDurable(record: DurablePack): Promise<void>;
  addFrames(frames: readonly HeldFrame[]): Promise<void>;
}

export interface SavePoolOptions extends BatchOptions {
  readonly start: StartSaveWorker;
  readonly workerCount: number;
  readonly store: PoolStore;
  /** Called once, while the first worker starts: there is time for what the batches will need. */
  readonly onStart: () => void;
  /** After every wait for a worker: other work has its turn. @throws to end the run */
  readonly afterWait: () => Promise<void>;
}

interface Member {
  readonly handle: WorkerHandle<SaveRequest>;
  /** Batches by slot; undefined where the slot is free. */
  readonly slots: (readonly FilePart[] | undefined)[];
  /** Those that have been scanned and are not stored yet, by slot. */
  readonly running: (RunningBatch | undefined)[];
  onFinished: (() => void) | undefined;
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class SavePool {
  readonly #options: SavePoolOptions;
  readonly #workers: Member[] = [];
  readonly #queue: (readonly FilePart[])[] = [];
  readonly #waiters: Waiter[] = [];
  #batchCount = 0;
  #durable: Promise<void> = Promise.resolve();
  #failure: { readonly error: unknown } | undefined;
  #isClosing = false;
  /** Bytes of frame contents, and of packs, that the workers have written; after `finish`. */
  compressedSize = 0;
  storedSize = 0;
  readonly deltas: { -readonly [Name in keyof DeltaCounts]: number } = {
    blobs: 0,
    rawSize: 0,
    encodedSize: 0,
    unreadBases: 0,
    wrongDeltas: 0,
  };

  constructor(options: SavePoolOptions) {
    this.#options = options;
  }

  /** Gives a batch to a worker, waiting for a free slot. */
  async submit(batch: readonly FilePart[]): Promise<void> {
    this.#queue.push(batch);
    this.#batchCount += 1;
    this.#dispatch();
    while (this.#queue.includes(batch)) await this.changed();
  }

  /** A part that others wait for: it gets the next free slot. */
  submitFirst(part: FilePart): void {
    this.#queue.unshift([part]);
    this.#dispatch();
  }

  /** Settles when something has come back from a worker. @throws what ended the run */
  async changed(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure.error;
    await new Promise<void>((resolve, reject) => this.#waiters.push({ resolve, reject }));
    try {
      await this.#options.afterWait();
    } catch (error) {
      this.fail(error);
      throw error;
    }
  }

  /** Stores what the workers hold; all of it is durable, or handed to the session, afterwards. */
  async finish(): Promise<void> {
    assert(this.#queue.length === 0, 'all batches have been handed out');
    // Some may still wait for the bases that they asked for.
    while (this.#workers.some((worker) => freeCount(worker) < slotCount)) await this.changed();
    const finished = this.#workers.map(
      (worker) =>
        new Promise<void>((resolve) => {
          worker.onFinished = resolve;
          worker.handle.post({ kind: 'finish' });
        }),
    );
    let isFinished = false;
    const all = Promise.all(finished).then(() => {
      isFinished = true;
      this.wake();
    });
    while (!isFinished) await this.changed();
    await all;
    await this.#durable;
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** Lets the workers end what they are about, and waits for them; what is durable by then counts. */
  async close(): Promise<void> {
    this.#isClosing = true;
    await Promise.all(this.#workers.map(({ handle }) => handle.close()));
    await this.#durable;
  }

  /** Ends the run: whoever waits is told. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    for (const { reject } of this.#waiters.splice(0)) reject(this.#failure.error);
  }

  /** Something has changed that whoever waits may be waiting for. */
  wake(): void {
    for (const { resolve } of this.#waiters.splice(0)) resolve();
  }

  #dispatch(): void {
    while (this.#queue.length > 0 && this.#failure === undefined) {
      const worker = this.#pickWorker();
      if (worker === undefined) return;
      const batch = this.#queue.shift() as readonly FilePart[];
      const slot = worker.slots.indexOf(undefined);
      worker.slots[slot] = batch;
      worker.handle.post({ kind: 'scan', slot, parts: encodeParts(batch) });
    }
  }

  /** The one with the most free slots, the first of equal ones; a new one if all are busy. */
  #pickWorker(): Member | undefined {
    let best: Member | undefined;
    for (const worker of this.#workers)
      if (freeCount(worker) > (best ? freeCount(best) : 0)) best = worker;
    const isIdle = best !== undefined && freeCount(best) === slotCount;
    if (isIdle || this.#workers.length === this.#workerCountMax) return best;
    return this.#startWorker();
  }

  get #workerCountMax(): number {
    const { workerCount } = this.#options;
    return this.#batchCount < batchCountMuch ? Math.max(1, workerCount - 1) : workerCount;
  }

  #startWorker(): Member {
    const number = this.#workers.length;
    const handle = this.#options.start(number, {
      onReply: (reply) => this.#take(this.#workers[number] as Member, reply),
      onFailure: (error) => this.fail(error),
    });
    const worker: Member = {
      handle,
      slots: Array(slotCount).fill(undefined),
      running: Array(slotCount).fill(undefined),
      onFinished: undefined,
    };
    this.#workers.push(worker);
    if (number === 0) this.#options.onStart();
    return worker;
  }

  #take(worker: Member, reply: SaveReply): void {
    if (reply.kind === 'scanned') this.#takeBatch(worker, reply);
    else if (reply.kind === 'seek') this.#sendBases(worker, reply);
    else if (reply.kind === 'stored') {
      worker.running[reply.slot]?.noteTrials(reply.trials);
      this.#free(worker, reply.slot);
    } else if (reply.kind === 'durable')
      this.#later(() => this.#options.store.addDurable(reply.record));
    else {
      this.compressedSize += reply.compressedSize;
      this.storedSize += reply.storedSize;
      for (const name of Object.keys(this.deltas) as (keyof DeltaCounts)[]) {
        this.deltas[name] += reply.deltas[name];
      }
      this.#later(() => this.#options.store.addFrames(reply.frames));
      worker.onFinished?.();
    }
  }

  /** In the order of the replies. */
  #later(action: () => Promise<void>): void {
    this.#durable = this.#durable.then(action).catch((error: unknown) => this.fail(error));
  }

  #takeBatch(worker: Member, scanned: ScannedBatch): void {
    const { slot } = scanned;
    const parts = worker.slots[slot] as readonly FilePart[];
    const batch = new RunningBatch(scanned, this.#options, (verdicts) => {
      const hasNew = verdicts.some((verdict) => verdict !== CHUNK.known);
      if (hasNew) worker.handle.post({ kind: 'store', slot, verdicts });
      else this.#free(worker, slot);
    });
    worker.running[slot] = batch;
    let first = 0;
    for (let i = 0; i < parts.length; i++) {
      const part = parts[i] as FilePart;
      const next = new BatchPart(batch, { part, i, first });
      first += next.count;
      part.file.take(next);
    }
  }

  #sendBases({ running, handle }: Member, sought: SoughtBases): void {
    const { slot } = sought;
    this.#options.bases
      .open()
      .then(() => {
        // The index may be closed by now, and the worker is about to leave.
        if (this.#isClosing) return;
        const bases = (running[slot] as RunningBatch).findBases(sought);
        handle.post({ kind: 'encode', slot, bases });
      })
      .catch((error: unknown) => this.fail(error));
  }

  #free(worker: Member, slot: number): void {
    worker.slots[slot] = undefined;
    worker.running[slot] = undefined;
    this.#dispatch();
    this.wake();
  }
}

function freeCount({ slots }: Member): number {
  let count = 0;
  for (const batch of slots) if (batch === undefined) count++;
  return count;
}
