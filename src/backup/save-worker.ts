/**
 * The worker of a snapshot: reads files straight into the scanners' memory, cuts and identifies
 * them, and puts the chunks that it is told are new into packs, which it writes to storage itself.
 *
 * Invariant: the chunks of a slot stay where they were read until their batch was answered; a chunk is
 * copied once, into the frame being filled.
 */
import type { BlobIdentifier } from '../blob/blob-ids.ts';
import { BLOB_TYPE } from '../blob/blob-type.ts';
import { createScanner } from '../chunk/scanner.ts';
import type { Scanner } from '../chunk/scanner-contract.ts';
import { packError, SourceError } from '../errors.ts';
import type { BlobId } from '../id.ts';
import { createWorkerPacks, type PackWriter } from '../repository/pack-writer.ts';
import type { WorkerCore } from '../repository/repository.ts';
import { assert } from '../util/assert.ts';
import type { Post, WorkerBody } from '../util/worker.ts';
import { openSourceFile, type SourceFile, type SourceStat } from '../walk/source-file.ts';
import type { SourceFs } from '../walk/source-fs.ts';
import type { BatchParts, PartFailure, SaveReply, SaveRequest } from './save-messages.ts';
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
}

export function startSaveWorker(
  options: SaveWorkerOptions,
  reply: Post<SaveReply>,
): WorkerBody<SaveRequest> {
  return new SaveWorker(options, reply);
}

/** Memory of one batch, and where its chunks lie in it. */
interface Slot {
  readonly scanner: Scanner;
  ids: Uint8Array;
  starts: Uint32Array;
  sizes: Uint32Array;
}

class SaveWorker implements WorkerBody<SaveRequest> {
  readonly #fs: SourceFs;
  readonly #identify: BlobIdentifier;
  readonly #reply: Post<SaveReply>;
  readonly #packs: PackWriter;
  readonly #newSlot: () => Slot;
  readonly #slots: (Slot | undefined)[] = [];
  /** Blobs are stored batch by batch. */
  #lastStore: Promise<void> = Promise.resolve();

  constructor(options: SaveWorkerOptions, reply: Post<SaveReply>) {
    const { core, fs, ...packOptions } = options;
    const { keys, config } = core;
    this.#fs = fs;
    this.#identify = core.identify;
    this.#reply = reply;
    this.#packs = createWorkerPacks(core, {
      ...packOptions,
      onDurable: async (record) => reply({ kind: 'durable', record }),
    });
    this.#newSlot = () => {
      const capacity = slotCapacity(planSlices(config.chunker));
      const scanner = createScanner(keys.chunker, config.chunker, { capacity });
      const none = new Uint32Array(0);
      return { scanner, ids: new Uint8Array(0), starts: none, sizes: none };
    };
  }

  handle(request: SaveRequest): void | Promise<void> {
    if (request.kind === 'scan') this.#scan(request);
    else if (request.kind === 'store') return this.#inTurn(() => this.#store(request));
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
    const { chunks, isAtEnd, isChanged, chunkCounts, stats, failures } = scan;
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
    });
  }

  async #store({ slot: number, isNew }: { slot: number; isNew: Uint8Array }): Promise<void> {
    const slot = this.#slots[number];
    assert(slot !== undefined && isNew.length === slot.sizes.length, 'answer to a scanned batch');
    const { scanner, ids, starts, sizes } = slot;
    for (let i = 0; i < isNew.length; i++) {
      if (isNew[i] === 0) continue;
      const start = starts[i] as number;
      const stored = this.#packs.add({
        id: ids.subarray(i * idSize, (i + 1) * idSize) as BlobId,
        type: BLOB_TYPE.data,
        plaintext: scanner.buffer.subarray(start, start + (sizes[i] as number)),
      });
      if (stored !== undefined) await stored;
    }
    this.#reply({ kind: 'stored', slot: number });
  }

  async #finish(): Promise<void> {
    const frames = await this.#packs.takeHeld();
    await this.#packs.flush();
    const { compressedSize, storedSize } = this.#packs;
    this.#reply({ kind: 'finished', frames, compressedSize, storedSize });
  }
}

/** Chunks of one batch, in arrays that grow. */
class ChunkTable {
  ids = new Uint8Array(256 * idSize);
  starts = new Uint32Array(256);
  sizes = new Uint32Array(256);
  count = 0;

  add(id: Uint8Array, start: number, size: number): void {
    if (this.count === this.sizes.length) this.#grow();
    this.ids.set(id, this.count * idSize);
    this.starts[this.count] = start;
    this.sizes[this.count] = size;
    this.count++;
  }

  #grow(): void {
    const { ids, starts, sizes } = this;
    this.ids = new Uint8Array(2 * ids.length);
    this.starts = new Uint32Array(2 * starts.length);
    this.sizes = new Uint32Array(2 * sizes.length);
    this.ids.set(ids);
    this.starts.set(starts);
    this.sizes.set(sizes);
  }
}

/** Reads the parts of one batch, one behind the other, into a scanner's memory. */
class BatchScan {
  readonly chunks = new ChunkTable();
  readonly chunkCounts: Uint32Array;
  readonly isAtEnd: Uint8Array;
  readonly isChanged: Uint8Array;
  readonly stats: Map<number, SourceStat> = new Map();
  readonly failures: Map<number, PartFailure> = new Map();
  readonly #scanner: Scanner;
  readonly #identify: BlobIdentifier;
  readonly #parts: BatchParts;
  /** Bytes of the scanner's memory that are taken. */
  #filled = 0;

  constructor(scanner: Scanner, identify: BlobIdentifier, parts: BatchParts) {
    const count = parts.pathEnds.length;
    this.#scanner = scanner;
    this.#identify = identify;
    this.#parts = parts;
    this.chunkCounts = new Uint32Array(count);
    this.isAtEnd = new Uint8Array(count);
    this.isChanged = new Uint8Array(count);
  }

  read(part: number, fs: SourceFs): void {
    try {
      const file = this.#open(part, fs);
      try {
        this.#take(part, file);
      } finally {
        file.close();
      }
    } catch (error) {
      if (!(error instanceof SourceError)) throw error;
      const { operation, reason, cause } = error;
      const packed = cause === undefined ? undefined : packError(cause);
      this.failures.set(part, { operation, reason, cause: packed });
    }
  }

  #open(part: number, fs: SourceFs): SourceFile {
    const { paths, pathEnds, devices, inodes, offsets } = this.#parts;
    const path = paths.subarray(pathEnds[part - 1] ?? 0, pathEnds[part]);
    const identity = { device: devices[part] as number, inode: inodes[part] as bigint };
    return openSourceFile({ fs, path, identity, offset: offsets[part] as number });
  }

  #take(part: number, file: SourceFile): void {
    const { buffer, cuts } = this.#scanner;
    const start = this.#filled;
    const length = this.#parts.lengths[part] as number;
    const size = file.read(buffer.subarray(start, start + length));
    const isAtEnd = size < length;
    this.isChanged[part] = file.finish().isChanged ? 1 : 0;
    if (!this.#isAsSeen(part, file.stat)) this.stats.set(part, file.stat);
    this.isAtEnd[part] = isAtEnd ? 1 : 0;
    const count = this.#scanner.scan(start, start + size, isAtEnd);
    this.chunkCounts[part] = count;
    let chunkStart = start;
    for (let i = 0; i < count; i++) {
      const cut = cuts[i] as number;
      const id = this.#identify(BLOB_TYPE.data, buffer.subarray(chunkStart, cut));
      this.chunks.add(id, chunkStart, cut - chunkStart);
      chunkStart = cut;
    }
    this.#filled = start + size;
  }

  /** Whether the file is as the walk saw it: then the walk's metadata stand. */
  #isAsSeen(part: number, stat: SourceStat): boolean {
    const { sizes, seconds, nanoseconds } = this.#parts;
    const { mtime, ctime } = stat;
    return (
      Number(stat.size) === sizes[part] &&
      mtime.seconds === seconds[2 * part] &&
      ctime.seconds === seconds[2 * part + 1] &&
      mtime.nanoseconds === nanoseconds[2 * part] &&
      ctime.nanoseconds === nanoseconds[2 * part + 1]
    );
  }
}
