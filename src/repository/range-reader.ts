/**
 * Frames of one pack that one request brings, for whoever knows beforehand which blobs are wanted:
 * each frame is opened and decompressed once, into memory that is used again for the next one, and
 * each blob is compared with its id before it is used. Deltas are not resolved here; they take other
 * packs (`blob-reader.ts`). Needs no index, so that a worker can do it.
 */
import { BLOB_TYPE } from '../blob/blob-type.ts';
import { decodeWholeFrame, openFrame } from '../frame/frame-codec.ts';
import type { FrameEntry } from '../pack/directory.ts';
import { packKeysOf } from '../pack/pack-reader.ts';
import { type PackRecord, packStorageName } from '../pack/pack-record.ts';
import type { ByteRange } from '../storage/storage.ts';
import { equalBytes } from '../util/bytes.ts';
import { rangeOnGrid } from './pack-access.ts';
import type { WorkerCore } from './repository.ts';
import { decodeStored } from './stored-records.ts';

export type { FrameEntry } from '../pack/directory.ts';

/** What must be known of a pack to open its frames. */
export type PackHead = Omit<PackRecord, 'body'>;

/** Opened frames of a range, in any order. */
export interface OpenRange {
  /**
   * The plaintexts of a whole frame: a view that is valid until the next call, of whatever range.
   * @throws CorruptionError
   */
  decode(frame: FrameEntry): Uint8Array;
}

export class RangeReader {
  readonly #core: WorkerCore;
  #decoded = new Uint8Array(0);

  constructor(core: WorkerCore) {
    this.#core = core;
  }

  /**
   * Fetches the bytes from `start` to `end` of a pack.
   * @throws CorruptionError, NotFoundError, StorageError
   */
  async open(pack: PackHead, { start, end }: { start: number; end: number }): Promise<OpenRange> {
    const name = packStorageName(pack);
    const range: ByteRange = rangeOnGrid(pack.length, start, end);
    const bytes = await this.#core.storage.getRange(name, range);
    const object = { kind: 'pack', which: name };
    const keys = decodeStored(object, () => packKeysOf(this.#core.keys, pack));
    return {
      decode: (frame) => {
        const offset = frame.offset - range.offset;
        const sealed = bytes.subarray(offset, offset + frame.storedSize);
        return decodeStored(object, () => {
          const place = { record: frame, offset: frame.offset };
          return this.#decode(frame, openFrame(keys.frame(frame.class), place, sealed));
        });
      },
    };
  }

  /** Whether this is the data chunk of that id. */
  isChunk(plaintext: Uint8Array, id: Uint8Array): boolean {
    return equalBytes(this.#core.identify(BLOB_TYPE.data, plaintext), id);
  }

  #decode(frame: FrameEntry, content: Uint8Array): Uint8Array {
    if (this.#decoded.length < frame.rawSize) this.#decoded = new Uint8Array(frame.rawSize);
    const into = this.#decoded.subarray(0, frame.rawSize);
    return decodeWholeFrame(this.#core.codec, frame, content, into);
  }
}
