/**
 * The far half of `check --read-data`: all bytes of one pack after the other, in pieces, into memory
 * that is used again. So a worker takes the same memory however large packs are, and the system has
 * no pages to clear. What is wrong goes back as data. A delta is decoded with the base that came with
 * the request; where that does not give the right blob, the near half, which knows all copies, is
 * to say why.
 */
import { createHash } from 'node:crypto';
import { StorageError, VarveError } from '../errors.ts';
import type { BlobId } from '../id.ts';
import type { PackDirectory } from '../pack/directory.ts';
import { FrameVerifier } from '../pack/pack-reader.ts';
import { type PackRecord, packStorageName } from '../pack/pack-record.ts';
import type { PackBases } from '../repository/base-plan.ts';
import { rangeOnGrid } from '../repository/pack-access.ts';
import type { WorkerCore } from '../repository/repository.ts';
import { toHex } from '../util/bytes.ts';
import { release } from '../util/release.ts';
import { Turns } from '../util/turns.ts';
import type { Post, WorkerBody } from '../util/worker.ts';
import type { Numbered } from '../util/worker-pool.ts';
import { type DeltaVerdict, DeltaVerifier } from './check-deltas.ts';
import { type DataFinding, type DeltaFrame, FrameChecker, type PackBytes } from './check-frames.ts';

/** Bytes per request to the storage; a frame or directory that is larger has one of its own. */
const pieceSizeMax = 2 ** 22;

export interface PackRequest {
  readonly record: PackRecord;
  /** Bases of the deltas of the pack, by slot; undefined when it has none. */
  readonly bases: PackBases | undefined;
}

export interface PackReport {
  /** 0 when the pack could not be read to its end. */
  readonly bytesRead: number;
  readonly findings: readonly DataFinding[];
  /** Blobs whose copy in this pack is of no use. */
  readonly badBlobs: readonly BlobId[];
  readonly deltas: DeltaVerdict;
  /** It could not be read this time, which says nothing of the next. */
  readonly isTransient: boolean;
}

/** A worker that answers every request with a report, and leaves without finishing. */
export function startPackData(
  core: WorkerCore,
  reply: Post<Numbered<PackReport>>,
): WorkerBody<Numbered<PackRequest>> {
  const reader = new PackDataReader(core);
  const stop = new AbortController();
  let last: Promise<void> = Promise.resolve();
  const answer = async ({ number, value }: Numbered<PackRequest>): Promise<void> => {
    reply({ number, value: await reader.read(value, stop.signal) });
  };
  return {
    handle: (request) => {
      last = last.then(() => answer(request));
      return last;
    },
    close: async () => {
      stop.abort();
      await last.catch(() => {}); // Whoever asked has been told.
    },
  };
}

class PackDataReader {
  readonly #core: WorkerCore;
  readonly #verifier: FrameVerifier;
  readonly #deltas: DeltaVerifier;
  #memory = new Uint8Array(0);

  constructor(core: WorkerCore) {
    this.#core = core;
    this.#verifier = new FrameVerifier(core);
    this.#deltas = new DeltaVerifier(core);
  }

  async read({ record, bases }: PackRequest, signal: AbortSignal): Promise<PackReport> {
    const object = packStorageName(record);
    const frames = new FrameChecker(this.#core, record, this.#verifier);
    const deltas: DeltaVerdict = { unverified: [], verifiedRows: [] };
    if (bases !== undefined) this.#deltas.begin(bases);
    const onDeltas = async (frame: DeltaFrame): Promise<void> => {
      await this.#deltas.verify(frame, bases, { verdict: deltas, signal });
    };
    let hash: string;
    try {
      hash = await this.#readAll(record, frames, { onDeltas, signal });
    } catch (error) {
      if (!(error instanceof VarveError)) throw error;
      const findings = [{ kind: 'pack-damaged' as const, object, message: error.message }];
      const badBlobs = frames.directory.blobs.map(({ id }) => id);
      const isTransient = error instanceof StorageError && error.isTransient;
      const none = { unverified: [], verifiedRows: [] };
      return { bytesRead: 0, findings, badBlobs, deltas: none, isTransient };
    }
    const { findings, badBlobs } = frames;
    if (hash !== record.name) {
      const message = `${object} is damaged: its hash is ${hash.slice(0, 16)}…`;
      findings.unshift({ kind: 'pack-damaged', object, message });
    }
    return { bytesRead: record.length, findings, badBlobs, deltas, isTransient: false };
  }
  /** Gives the hash of the pack, hex. */
  async #readAll(
    record: PackRecord,
    frames: FrameChecker,
    { onDeltas, signal }: { onDeltas: (frame: DeltaFrame) => Promise<void>; signal: AbortSignal },
  ): Promise<string> {
    const turns = new Turns(this.#core.clock, signal);
    const hash = createHash('sha256');
    let held: PackBytes = { start: 0, bytes: this.#memory.subarray(0, 0) };
    for (const piece of piecesOf(frames.directory, record.length)) {
      held = await this.#readPiece(record, piece, { before: held, signal });
      hash.update(held.bytes.subarray(0, piece.end - piece.start));
      for (let i = 0; i < piece.frameCount; i++) {
        const frame = frames.checkNext(held);
        if (frame !== undefined) {
          await onDeltas(frame);
          release(frame.content);
        }
        if (turns.isOver) await turns.next();
      }
    }
    return toHex(hash.digest());
  }

  /**
   * The piece, and what lies behind it up to the grid, so that requests do not tell where frames
   * begin; what `before` holds of it is not read again.
   */
  async #readPiece(
    record: PackRecord,
    { start, end }: Piece,
    { before, signal }: { before: PackBytes; signal: AbortSignal },
  ): Promise<PackBytes> {
    const held = before.bytes.subarray(start - before.start);
    const readEnd = start + held.length;
    const range = readEnd < end ? rangeOnGrid(record.length, readEnd, end) : undefined;
    const length = held.length + (range?.length ?? 0);
    if (this.#memory.length < length) {
      const memory = new Uint8Array(length);
      memory.set(held);
      this.#memory = memory;
    } else this.#memory.set(held);
    if (range !== undefined) {
      const into = this.#memory.subarray(held.length);
      const name = packStorageName(record);
      const read = await this.#core.storage.getRange(name, range, { signal, into });
      if (read.buffer !== this.#memory.buffer) into.set(read);
    }
    return { start, bytes: this.#memory.subarray(0, length) };
  }
}

interface Piece {
  start: number;
  end: number;
  /** Whole frames in it. */
  frameCount: number;
}

/** Cuts a pack into pieces of whole frames; the last one ends with the pack. */
function piecesOf({ frames }: PackDirectory, length: number): Piece[] {
  const pieces: Piece[] = [];
  let piece: Piece = { start: 0, end: 0, frameCount: 0 };
  const extendTo = (end: number, frameCount: number): void => {
    if (piece.end > piece.start && end - piece.start > pieceSizeMax) {
      pieces.push(piece);
      piece = { start: piece.end, end: piece.end, frameCount: 0 };
    }
    piece.end = end;
    piece.frameCount += frameCount;
  };
  for (const { offset, storedSize } of frames) extendTo(offset + storedSize, 1);
  extendTo(length, 0);
  return [...pieces, piece];
}
