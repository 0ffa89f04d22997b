/**
 * The worker of a snapshot: reads files straight into the scanners' memory, cuts and identifies
 * them, and puts the chunks that it is told are new into packs, which it writes to storage itself: as
 * deltas where there is a base that is worth it.
 *
 * Invariant: the chunks of a slot stay where they were read until their batch was stored; a chunk is
 * copied once, into the frame being filled.
 */
import type { BlobIdentifier } from '../blob/blob-ids.ts';
import { BLOB_TYPE } from '../blob/blob-type.ts';
import { createScanner } from '../chunk/scanner.ts';
import type { BlobId } from '../id.ts';
import { createWorkerPacks, type PackWriter } from '../repository/pack-writer.ts';
import type { WorkerCore } from '../repository/repository.ts';
import type { ProbeCounts } from '../similarity/guards.ts';
import { assert } from '../util/assert.ts';
import type { Post, WorkerBody } from '../util/worker.ts';
import type { SourceFs } from '../walk/source-fs.ts';
import { BatchScan } from './batch-scan.ts';
import { type BatchSlot, DeltaTrials } from './delta-trials.ts';
import { type BatchParts, CHUNK, type SaveReply, type SaveRequest } from './save-messages.ts';
import { planSlices, slotCapacity } from './slices.ts';

const idSize = 32;

export interface SaveWorkerOptions {
  readonly core: WorkerCore;
  readonly fs: SourceFs;
  readonly sessionId: string;
  readonly writerId: string;
  readonly dataTarget: number;
  /** Tells the workers of one session apart. */
  readonly workerNumber: number;
  /** Shared by the workers of a session; undefined where no chunk is kept as a delta. */
  readonly probeCounts: ProbeCounts | undefined;
}

export function startSaveWorker(
  options: SaveWorkerOptions,
  reply: Post<SaveReply>,
): WorkerBody<SaveRequest> {
  return new SaveWorker(options, reply);
}

class SaveWorker implements WorkerBody<SaveRequest> {
  readonly #fs: SourceFs;
  readonly #identify: BlobIdentifier;
  readonly #reply: Post<SaveReply>;
  readonly #packs: PackWriter;
  readonly #trials: DeltaTrials;
  readonly #newSlot: () => BatchSlot;
  readonly #slots: (BatchSlot | undefined)[] = [];
  /** Blobs are stored batch by batch. */
  #lastStore: Promise<void> = Promise.resolve();

  constructor(options: SaveWorkerOptions, reply: Post<SaveReply>) {
    const { core, fs, probeCounts, ...packOptions } = options;
    const { keys, config } = core;
    this.#fs = fs;
    this.#identify = core.identify;
    this.#reply = reply;
    this.#packs = createWorkerPacks(core, {
      ...packOptions,
      keepsRecent: probeCounts !== undefined,
      onDurable: async (record) => reply({ kind: 'durable', record }),
    });
    this.#trials = new DeltaTrials(core, this.#packs, probeCounts);
    this.#newSlot = () => {
      const capacity = slotCapacity(planSlices(config.chunker));
      const scanner = createScanner(keys.chunker, config.chunker, { capacity });
      return this.#trials.openSlot(scanner);
    };
  }

  handle(request: SaveRequest): void | Promise<void> {
    if (request.kind === 'scan') this.#scan(request);
    else if (request.kind === 'store') return this.#inTurn(() => this.#store(request));
    else if (request.kind === 'encode') return this.#inTurn(() => this.#encode(request));
    else return this.#inTurn(() => this.#finish());
  }

  /** Waits for packs under way; what is not stored by then is given up, or was asked to `finish`. */
  async close(): Promise<void> {
    await this.#lastStore.catch(() => {});
    await this.#packs.abandon();
  }

  #inTurn(action: () => Promise<void>): Promise<void> {
    this.#lastStore = this.#lastStore.then(action);
    return this.#lastStore;
  }

  #scan({ slot: slotNumber, parts }: { slot: number; parts: BatchParts }): void {
    this.#slots[slotNumber] ??= this.#newSlot();
    const slot = this.#slots[slotNumber];
    const scan = new BatchScan(slot.scanner, this.#identify, parts);
    for (let part = 0; part < parts.pathEnds.length; part++) scan.read(part, this.#fs);
    const { chunks, isAtEnd, isChanged, chunkCounts, stats, failures, extras } = scan;
    slot.ids = chunks.ids.subarray(0, chunks.count * idSize);
    slot.starts = chunks.starts;
    slot.sizes = chunks.sizes.slice(0, chunks.count);
    const { ids, sizes } = slot;
    this.#reply({
      kind: 'scanned',
      slot: slotNumber,
      ids,
      sizes,
      chunkCounts,
      isAtEnd,
      isChanged,
      stats,
      failures,
      extras,
    });
  }

  async #store({ slot: number, verdicts }: { slot: number; verdicts: Uint8Array }): Promise<void> {
    const slot = this.#slotAt(number);
    assert(verdicts.length === slot.sizes.length, 'answer to a scanned batch');
    slot.verdicts = verdicts;
    const sought = this.#trials.seek(slot);
    if (sought === undefined) await this.#storeAll(number, slot);
    else this.#reply({ kind: 'seek', slot: number, ...sought });
  }

  async #encode({ slot: number, bases }: SaveRequest & { kind: 'encode' }): Promise<void> {
    const slot = this.#slotAt(number);
    this.#trials.takeBases(slot, bases);
    await this.#storeAll(number, slot);
  }

  async #storeAll(number: number, slot: BatchSlot): Promise<void> {
    const { ids, verdicts } = slot;
    for (let i = 0; i < verdicts.length; i++) {
      if (verdicts[i] === CHUNK.known) continue;
      const sought = this.#trials.tryDeltas(slot, i);
      const { delta, features, isFlat, plaintext } =
        sought instanceof Promise ? await sought : sought;
      const stored = this.#packs.add({
        id: ids.subarray(i * idSize, (i + 1) * idSize) as BlobId,
        type: BLOB_TYPE.data,
        plaintext,
        features,
        delta,
        isFlat,
      });
      if (stored !== undefined) await stored;
    }
    this.#reply({ kind: 'stored', slot: number, trials: this.#trials.closeSlot(slot) });
  }

  async #finish(): Promise<void> {
    const frames = await this.#packs.takeHeld();
    await this.#packs.flush();
    const { compressedSize, storedSize } = this.#packs;
    const deltas = this.#trials.counts;
    this.#reply({ kind: 'finished', frames, compressedSize, storedSize, deltas });
  }

  #slotAt(number: number): BatchSlot {
    const slot = this.#slots[number];
    assert(slot !== undefined, 'a slot that was scanned into');
    return slot;
  }
}
