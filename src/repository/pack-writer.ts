/**
 * Turns new blobs into durable packs. Blobs fill frames, frames fill packs, a full pack is verified
 * with the reader's code, stored, and compared in size; only then does it count.
 *
 * While a session's new data is small its frames are kept unsealed: such a session ends with one
 * metadata pack that holds them too, so that hourly snapshots cost three objects each.
 */
import { BLOB_TYPE, type BlobType } from '../blob/blob-type.ts';
import { CorruptionError, StorageError } from '../errors.ts';
import { type BlobRecord, type EncodedFrame, FrameBuilder } from '../frame/frame-builder.ts';
import { FRAME_KIND } from '../frame/frame-record.ts';
import type { BlobId } from '../id.ts';
import { KEY_CLASS } from '../keys/key-hierarchy.ts';
import { createSaltSource, type SaltSource } from '../keys/salt-source.ts';
import { type FinishedPack, PackBuilder } from '../pack/pack-builder.ts';
import { openNamedPack, verifyPack } from '../pack/pack-reader.ts';
import { type PackRecord, packStorageName } from '../pack/pack-record.ts';
import { OBJECT_KIND, type PackKind } from '../record/object-kind.ts';
import { Acceptance } from '../similarity/acceptance.ts';
import { assert } from '../util/assert.ts';
import { Malformed } from '../util/byte-reader.ts';
import { equalBytes, fromHex, toHex } from '../util/bytes.ts';
import { nowMs } from '../util/clock.ts';
import { release } from '../util/release.ts';
import type { NewDelta } from './delta-encoder.ts';
import { pass } from './failpoints.ts';
import { RecentFrames } from './recent-frames.ts';
import type { WorkerCore } from './repository.ts';

/** Below this much new data (compressed) a session writes one pack in all. */
const SMALL_SESSION_SIZE_MAX = 2 ** 22;
/** And with more blobs than that it is not small, however well they are compressed. */
const SMALL_SESSION_BLOB_COUNT_MAX = 2 ** 14;
/** Packs being stored while the next one fills. */
const UPLOADS_IN_FLIGHT_MAX = 1;

export interface PackWriterOptions {
  newSalt: SaltSource;
  sessionId: string;
  writerId: string;
  /** Size of a data pack, bytes. */
  dataTarget: number;
  /** Whether what is stored may be a delta against what was stored right before. */
  keepsRecent?: boolean;
  /** Called for each pack once it is stored and durable, in any order but one at a time. */
  onDurable: (record: PackRecord) => Promise<void>;
}

/** Data that a writer held back because it was little. */
export type HeldFrame = EncodedFrame;
/** What there is to know of a pack once it is durable. */
export type DurablePack = PackRecord;

/** Whose packs a worker writes. */
export interface WorkerPacksOptions extends Omit<PackWriterOptions, 'newSalt'> {
  /** Tells the workers of one session apart. */
  workerNumber: number;
}

/** The pack writer of a worker, in the name of a session that another thread holds. */
export function createWorkerPacks(core: WorkerCore, options: WorkerPacksOptions): PackWriter {
  const { keys, random, clock } = core;
  const { writerId, workerNumber } = options;
  const hedge = { writerId: fromHex(writerId), random, clock, workerNumber };
  return new PackWriter(core, { ...options, newSalt: createSaltSource(keys.current, hedge) });
}

export interface NewBlob {
  readonly id: BlobId;
  readonly type: BlobType;
  readonly plaintext: Uint8Array;
  /** Three super-features of 8 bytes each, of a chunk that may become a base. */
  readonly features?: Uint8Array | undefined;
  /** The chunk as a delta, which is then all that is stored of it. */
  readonly delta?: NewDelta | undefined;
  /** Compressing it would be in vain. */
  readonly isFlat?: boolean;
}

export class PackWriter {
  readonly #core: WorkerCore;
  readonly #options: PackWriterOptions;
  /** What was stored last, for deltas against it; where there are none, none is kept. */
  readonly recent: RecentFrames | undefined;
  readonly #dataFrame: FrameBuilder;
  readonly #flatFrame = new FrameBuilder(KEY_CLASS.data, FRAME_KIND.stored);
  readonly #deltaFrame = new FrameBuilder(KEY_CLASS.data, FRAME_KIND.delta);
  readonly #metadataFrame = new FrameBuilder(KEY_CLASS.metadata);
  /** Data frames of a session that is still small; undefined once it is not. */
  #heldFrames: EncodedFrame[] | undefined = [];
  #heldSize = 0;
  #heldBlobCount = 0;
  #dataPack: PackBuilder | undefined;
  #metadataPack: PackBuilder | undefined;
  readonly #uploads = new Set<Promise<void>>();
  #uploadFailure: { error: unknown } | undefined;
  /** Bytes of packs stored so far, and of frame contents in them. */
  storedSize = 0;
  compressedSize = 0;
  /** Learns from the frames closed here what a chunk would take whole. */
  readonly acceptance: Acceptance = new Acceptance();

  constructor(core: WorkerCore, options: PackWriterOptions) {
    this.#core = core;
    this.#options = options;
    this.recent = options.keepsRecent === true ? new RecentFrames() : undefined;
    const { recent } = this;
    const onClosed =
      recent && ((raw: Uint8Array, blobs: readonly BlobRecord[]) => recent.add(raw, blobs));
    this.#dataFrame = new FrameBuilder(KEY_CLASS.data, FRAME_KIND.zstd, onClosed);
  }

  /**
   * Takes a new blob, whose plaintext is borrowed until this is done. A promise that comes back
   * must be awaited before the next call: a frame was full, and perhaps packs have to be stored.
   */
  add(blob: NewBlob): Promise<void> | undefined {
    const builder = this.#builderFor(blob);
    const { id, type, plaintext, features, delta } = blob;
    const record: BlobRecord = { id, rawSize: plaintext.length, type };
    if (delta !== undefined) record.delta = delta.delta;
    if (features !== undefined) record.features = features;
    const bytes = delta?.encoded ?? plaintext;
    if (!builder.hasRoomFor(record.rawSize)) return this.#addToNext(builder, record, bytes);
    builder.add(record, bytes);
    return builder.isFull ? this.#closeFrame(builder) : undefined;
  }

  #builderFor({ type, delta, isFlat = false }: NewBlob): FrameBuilder {
    if (type !== BLOB_TYPE.data) return this.#metadataFrame;
    if (delta !== undefined) return this.#deltaFrame;
    return isFlat ? this.#flatFrame : this.#dataFrame;
  }

  async #addToNext(builder: FrameBuilder, record: BlobRecord, bytes: Uint8Array): Promise<void> {
    // Closing uses the memory of the codec, in which a delta lies.
    const kept = record.delta === undefined ? bytes : bytes.slice();
    await this.#closeFrame(builder);
    builder.add(record, kept);
    if (builder.isFull) await this.#closeFrame(builder);
  }

  /** Takes a frame of another pack as it is. */
  async moveFrame(frame: EncodedFrame): Promise<void> {
    if (frame.record.class === KEY_CLASS.data) await this.addFrame(frame);
    else await this.#appendTo(OBJECT_KIND.metadataPack, frame);
  }

  /** Takes a data frame that another writer of this session has held. */
  async addFrame(frame: EncodedFrame): Promise<void> {
    this.compressedSize += frame.content.length;
    await this.#takeDataFrame(frame);
  }

  /**
   * Gives away the data of a writer that is still small, so that the session's own writer puts it
   * where the rest of a small session goes; nothing if packs have been begun.
   */
  async takeHeld(): Promise<EncodedFrame[]> {
    await this.#closeDataFrames();
    const held = this.#heldFrames ?? [];
    this.#heldFrames = undefined;
    for (const { content } of held) this.compressedSize -= content.length;
    return held;
  }

  /** Stores everything added; all of it is durable when this returns. Nothing is added after it. */
  async flush(): Promise<void> {
    await this.#closeDataFrames();
    await this.#closeFrame(this.#metadataFrame);
    // What is small enough to have been held goes into the metadata pack.
    for (const frame of this.#heldFrames ?? [])
      await this.#appendTo(OBJECT_KIND.metadataPack, frame);
    this.#heldFrames = undefined;
    await this.#closePack(OBJECT_KIND.dataPack);
    await this.#closePack(OBJECT_KIND.metadataPack);
    await Promise.all(this.#uploads);
    this.#throwUploadFailure();
  }

  /** Waits for uploads under way and forgets what is not stored: the session is being given up. */
  async abandon(): Promise<void> {
    await Promise.all(this.#uploads);
  }

  async #closeDataFrames(): Promise<void> {
    await this.#closeFrame(this.#dataFrame);
    await this.#closeFrame(this.#flatFrame);
    await this.#closeFrame(this.#deltaFrame);
  }

  async #closeFrame(builder: FrameBuilder): Promise<void> {
    if (builder.isEmpty) return;
    const { codec, config } = this.#core;
    const { isFull } = builder;
    const frame = builder.finish(codec, config.compressionLevel);
    const { length } = frame.content;
    this.compressedSize += length;
    if (builder === this.#dataFrame && isFull) {
      this.acceptance.noteFrame(frame.record.rawSize, length);
    }
    if (builder === this.#metadataFrame) await this.#appendTo(OBJECT_KIND.metadataPack, frame);
    else await this.#takeDataFrame(frame);
  }

  async #takeDataFrame(frame: EncodedFrame): Promise<void> {
    if (this.#heldFrames === undefined) {
      await this.#appendTo(OBJECT_KIND.dataPack, frame);
      return;
    }
    this.#heldFrames.push({ ...frame, content: frame.content.slice() });
    this.#heldSize += frame.content.length;
    this.#heldBlobCount += frame.blobs.length;
    const isFew = this.#heldBlobCount < SMALL_SESSION_BLOB_COUNT_MAX;
    if (isFew && this.#heldSize < SMALL_SESSION_SIZE_MAX) return;
    const held = this.#heldFrames;
    this.#heldFrames = undefined;
    for (const heldFrame of held) await this.#appendTo(OBJECT_KIND.dataPack, heldFrame);
  }

  async #appendTo(kind: PackKind, frame: EncodedFrame): Promise<void> {
    if (this.#openPack(kind)?.hasRoomFor(frame) === false) await this.#closePack(kind);
    let pack = this.#openPack(kind);
    if (pack === undefined) {
      pack = this.#newPack(kind);
      this.#setOpenPack(kind, pack);
    }
    pack.append(frame);
  }

  #openPack(kind: PackKind): PackBuilder | undefined {
    return kind === OBJECT_KIND.dataPack ? this.#dataPack : this.#metadataPack;
  }

  #setOpenPack(kind: PackKind, pack: PackBuilder | undefined): void {
    if (kind === OBJECT_KIND.dataPack) this.#dataPack = pack;
    else this.#metadataPack = pack;
  }

  #newPack(kind: PackKind): PackBuilder {
    const { keys, config, clock } = this.#core;
    const { newSalt, sessionId, writerId } = this.#options;
    const isData = kind === OBJECT_KIND.dataPack;
    const sizeTarget = isData ? this.#options.dataTarget : config.pack.metadataTarget;
    return new PackBuilder({
      keys,
      kind,
      newSalt,
      sessionId,
      writerId,
      createdMs: nowMs(clock),
      sizeTarget,
    });
  }

  async #closePack(kind: PackKind): Promise<void> {
    const builder = this.#openPack(kind);
    if (builder === undefined) return;
    this.#setOpenPack(kind, undefined);
    const pack = builder.finish();
    this.#verify(pack);
    while (this.#uploads.size >= UPLOADS_IN_FLIGHT_MAX) await Promise.race(this.#uploads);
    this.#throwUploadFailure();
    const upload = this.#upload(pack)
      .catch((error: unknown) => {
        this.#uploadFailure ??= { error };
      })
      .finally(() => {
        this.#uploads.delete(upload);
        release(pack.buffer);
      });
    this.#uploads.add(upload);
  }

  /** Opens the finished bytes as a reader would: catches compressor and memory errors in time. */
  #verify(pack: FinishedPack): void {
    const { keys, codec, identify } = this.#core;
    try {
      const opened = openNamedPack(keys, { ...pack.record, bytes: pack.bytes });
      let next = 0;
      // A delta was decoded when it was made; it must have the digest it had then.
      verifyPack(opened, { codec, identify }, ({ id }, encoded) => {
        const actual = identify(BLOB_TYPE.data, encoded);
        const digest = pack.deltaDigests.subarray(next, next + actual.length);
        next += actual.length;
        assert(digest.length === actual.length, 'digest of a new delta');
        const isSame = equalBytes(actual, digest);
        if (!isSame) throw new Malformed(`delta ${toHex(id)} is not as it was made`);
      });
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      throw new CorruptionError(
        {
          kind: 'new pack',
          which: packStorageName(pack.record),
          found: error.message,
          expected: 'what was put into it (suspect this machine: memory or compressor)',
        },
        error,
      );
    }
  }

  async #upload(pack: FinishedPack): Promise<void> {
    const { storage } = this.#core;
    const name = packStorageName(pack.record);
    await pass('session.3.before-pack');
    await storage.put(name, pack.bytes);
    const stat = await storage.stat(name);
    if (stat?.size !== pack.bytes.length) {
      const found = stat === undefined ? 'it is not there' : `${stat.size} bytes arrived`;
      throw new StorageError('put', name, `${found}, expected ${pack.bytes.length}`);
    }
    await storage.sync();
    await pass('session.3.after-pack');
    this.storedSize += pack.bytes.length;
    await this.#options.onDurable(pack.record);
  }

  #throwUploadFailure(): void {
    if (this.#uploadFailure !== undefined) throw this.#uploadFailure.error;
  }
}
