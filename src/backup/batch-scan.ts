/**
 * Reading a batch: parts of files one behind the other into a scanner's memory, where they are cut
 * and their chunks identified. What cannot be read is noted and costs its part alone.
 */
import type { BlobIdentifier } from '../blob/blob-ids.ts';
import { BLOB_TYPE } from '../blob/blob-type.ts';
import type { Scanner } from '../chunk/scanner-contract.ts';
import { packError, SourceError } from '../errors.ts';
import type { ExtrasFailure } from '../walk/source-extras.ts';
import { openSourceFile, type SourceFile, type SourceStat } from '../walk/source-file.ts';
import type { SourceFs } from '../walk/source-fs.ts';
import type { BatchParts, PartExtras, PartFailure } from './save-messages.ts';

const idSize = 32;

/** Chunks of one batch, in arrays that grow. */
class ChunkTable {
  ids: Uint8Array = new Uint8Array(256 * idSize);
  starts: Uint32Array = new Uint32Array(256);
  sizes: Uint32Array = new Uint32Array(256);
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
export class BatchScan {
  readonly chunks: ChunkTable = new ChunkTable();
  readonly chunkCounts: Uint32Array;
  readonly isAtEnd: Uint8Array;
  readonly isChanged: Uint8Array;
  readonly stats: Map<number, SourceStat> = new Map();
  readonly failures: Map<number, PartFailure> = new Map();
  readonly extras: Map<number, PartExtras> = new Map();
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
      this.failures.set(part, packFailure(error));
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
    if (this.#parts.offsets[part] === 0) this.#takeExtras(part, file);
    this.isChanged[part] = file.finish().isChanged ? 1 : 0;
    if (!this.#isAsSeen(part, file.stat)) this.stats.set(part, file.stat);
    this.isAtEnd[part] = isAtEnd ? 1 : 0;
    const endsStream = isAtEnd || this.#parts.endsStream[part] === 1;
    const count = this.#scanner.scan(start, start + size, endsStream);
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

  #takeExtras(part: number, file: SourceFile): void {
    const extras = file.readExtras();
    if (extras === undefined) return;
    const { attributes, flags, failure } = extras;
    this.extras.set(part, { attributes, flags, failure: failure && packFailure(failure) });
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

function packFailure({ operation, reason, cause }: ExtrasFailure | SourceError): PartFailure {
  const packed = cause === undefined ? undefined : packError(cause);
  return { operation, reason, cause: packed };
}
