/**
 * The frames of one pack, each opened and its whole blobs decoded and identified, frame by frame, so
 * that one damaged frame does not hide the rest. What is wrong is gathered as plain data. Frames of
 * deltas are only opened and given back: decoding them takes other packs.
 */
import { BLOB_TYPE_NAMES } from '../blob/blob-type.ts';
import { NotFoundError } from '../errors.ts';
import type { BlobId } from '../id.ts';
import type { BlobEntry, FrameEntry, PackDirectory } from '../pack/directory.ts';
import { type FrameVerifier, openFrameOf, packKeysOf } from '../pack/pack-reader.ts';
import { directoryOf, type PackRecord, packStorageName } from '../pack/pack-record.ts';
import { otherContent } from '../repository/blob-reader.ts';
import type { RepositoryCore } from '../repository/repository.ts';
import { notAsSealed } from '../repository/stored-records.ts';
import { Malformed } from '../util/byte-reader.ts';
import { toHex } from '../util/bytes.ts';
import { release } from '../util/release.ts';
import type { Finding, Severity } from './finding.ts';

export type DataFinding = Pick<Finding, 'kind' | 'object' | 'message'> & { severity?: Severity };

/** A frame of deltas, opened. */
export interface DeltaFrame {
  /** In memory of its own, to be released. */
  readonly content: Uint8Array;
  readonly blobs: readonly BlobEntry[];
  /** Of the first of them. */
  readonly slot: number;
}

/** Bytes of a pack from `start` on. */
export interface PackBytes {
  readonly start: number;
  readonly bytes: Uint8Array;
}

export class FrameChecker {
  readonly directory: PackDirectory;
  readonly findings: DataFinding[] = [];
  /** Blobs whose copy in this pack is of no use. */
  readonly badBlobs: BlobId[] = [];
  readonly #verifier: FrameVerifier;
  readonly #keys: ReturnType<typeof packKeysOf>;
  /** Storage name of the pack. */
  readonly #object: string;
  #position = 0;
  #slot = 0;

  constructor({ keys }: RepositoryCore, record: PackRecord, verifier: FrameVerifier) {
    this.directory = directoryOf(record);
    this.#verifier = verifier;
    this.#keys = packKeysOf(keys, record);
    this.#object = packStorageName(record);
  }

  /** Checks the next frame, which lies within the bytes given, or gives it back if it holds deltas. */
  checkNext(held: PackBytes): DeltaFrame | undefined {
    const position = this.#position++;
    const { frames, blobs: all } = this.directory;
    const frame = frames[position] as FrameEntry;
    const slot = this.#slot;
    const blobs = all.slice(slot, slot + frame.blobCount);
    this.#slot += frame.blobCount;
    let content: Uint8Array;
    try {
      content = openFrameOf({ ...held, keys: this.#keys }, frame);
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      this.#reportFrame(frame, error);
      for (const { id } of blobs) this.badBlobs.push(id);
      return undefined;
    }
    const [first] = blobs;
    if (first?.delta !== undefined) return { content, blobs, slot };
    if (first !== undefined) this.#checkWhole(frame, blobs, content);
    release(content);
    return undefined;
  }

  #checkWhole(frame: FrameEntry, blobs: readonly BlobEntry[], content: Uint8Array): void {
    try {
      const wrong = this.#verifier.wrongBlobs(frame, blobs, content);
      for (const blob of wrong) this.#reportBlob(blob, otherContent(blob));
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      for (const blob of blobs) {
        const object = { kind: BLOB_TYPE_NAMES[blob.type], which: toHex(blob.id) };
        this.#reportBlob(blob, notAsSealed(object, error));
      }
    }
  }

  #reportFrame({ offset }: FrameEntry, error: Malformed): void {
    const message = `${this.#object} is damaged: the frame at offset ${offset}: ${error.message}`;
    this.findings.push({ kind: 'pack-damaged', object: this.#object, message });
  }

  #reportBlob(blob: BlobEntry, error: Error): void {
    this.findings.push(damagedBlob(blob, { pack: this.#object, error }));
    this.badBlobs.push(blob.id);
  }
}

/**
 * A delta may lose its base when nobody needs it any more: that is no damage. Where somebody does, the
 * trees say so.
 * @param found storage name of the pack, and what is wrong with the copy in it.
 */
export function damagedBlob(
  { id, type, delta }: BlobEntry,
  found: { pack: string; error: Error },
): DataFinding {
  const object = toHex(id);
  const { pack, error } = found;
  const base = delta === undefined ? '' : `, a delta on ${toHex(delta.base)}`;
  const message = `${BLOB_TYPE_NAMES[type]} ${object} in ${pack}${base}: ${error.message}`;
  const isStranded = delta !== undefined && error.cause instanceof NotFoundError;
  if (isStranded) return { kind: 'delta-stranded', severity: 'note', object, message };
  return { kind: 'blob-damaged', object, message };
}
