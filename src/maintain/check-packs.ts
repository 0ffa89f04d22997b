/**
 * The packs of a repository against the index: each is there, has its size, and its own directory
 * says what the index says. Reading all data goes further: every frame is opened and every blob
 * decoded and identified, frame by frame, so that one damaged frame does not hide the rest.
 */
import { createHash } from 'node:crypto';
import { BLOB_TYPE_NAMES } from '../blob/blob-type.ts';
import { VarveError } from '../errors.ts';
import type { BlobId } from '../id.ts';
import type { PackInfo } from '../index/pack-states.ts';
import type { BlobEntry, FrameEntry, PackDirectory } from '../pack/directory.ts';
import { openFrameOf, packKeysOf } from '../pack/pack-reader.ts';
import { directoryOf, type PackRecord, packStorageName } from '../pack/pack-record.ts';
import { readPackDirectory } from '../repository/pack-access.ts';
import type { ReadAccess } from '../repository/read-access.ts';
import type { Repository } from '../repository/repository.ts';
import { Malformed } from '../util/byte-reader.ts';
import { equalBytes, toHex } from '../util/bytes.ts';
import type { Findings } from './finding.ts';

/** Told of every blob whose copy in this pack is of no use. */
export type OnBadBlob = (id: BlobId, pack: string) => void;

export interface PackCheckOptions {
  repository: Repository;
  access: ReadAccess;
  findings: Findings;
  onBadBlob: OnBadBlob;
  signal: AbortSignal | undefined;
}

export class PackChecker {
  readonly #options: PackCheckOptions;

  constructor(options: PackCheckOptions) {
    this.#options = options;
  }

  /** True when the pack is there with its size, so that it can be read. */
  checkListing(pack: PackInfo): boolean {
    const { access, findings } = this.#options;
    const object = packStorageName(pack);
    const listed = access.sync.listed.get(pack.name);
    if (listed?.size === pack.length) return true;
    if (listed === undefined) {
      findings.add({ kind: 'pack-missing', object, message: `${object} is not in the storage` });
    } else {
      const message = `${object} has ${listed.size} bytes, expected ${pack.length}`;
      findings.add({ kind: 'pack-size-mismatch', object, message });
    }
    this.#condemn(pack);
    return false;
  }

  /** The directory in the pack itself, which is all that is left when the segments are lost. */
  async checkDirectory(pack: PackInfo): Promise<void> {
    const { repository, access, signal } = this.#options;
    const record = access.sync.index.record(pack.packNo);
    try {
      const own = await readPackDirectory(repository, { ...pack, size: pack.length }, { signal });
      if (record === undefined || isSameRecord(own.record, record)) return;
      this.#reportDirectory(pack, 'it differs from the one in the index');
    } catch (error) {
      if (!(error instanceof VarveError)) throw error;
      this.#reportDirectory(pack, error.message);
    }
  }

  /** Reads the whole pack; gives the bytes read. */
  async checkData(pack: PackInfo): Promise<number> {
    const { repository, access, findings, signal } = this.#options;
    const object = packStorageName(pack);
    const record = access.sync.index.record(pack.packNo);
    if (record === undefined) return 0;
    let bytes: Uint8Array;
    try {
      bytes = await repository.storage.get(object, { signal, sizeMax: pack.length });
    } catch (error) {
      if (!(error instanceof VarveError)) throw error;
      findings.add({ kind: 'pack-damaged', object, message: error.message });
      this.#condemn(pack);
      return 0;
    }
    const hash = toHex(createHash('sha256').update(bytes).digest());
    if (hash !== pack.name) {
      const message = `${object} is damaged: its hash is ${hash.slice(0, 16)}…`;
      findings.add({ kind: 'pack-damaged', object, message });
    }
    const directory = directoryOf(record);
    let slot = 0;
    for (const frame of directory.frames) {
      const blobs = directory.blobs.slice(slot, slot + frame.blobCount);
      slot += frame.blobCount;
      await this.#checkFrame({ record, directory, bytes }, frame, blobs);
    }
    return bytes.length;
  }

  async #checkFrame(pack: HeldPack, frame: FrameEntry, blobs: BlobEntry[]): Promise<void> {
    const { repository, access, findings, onBadBlob } = this.#options;
    const object = packStorageName(pack.record);
    let content: Uint8Array;
    try {
      const keys = packKeysOf(repository.keys, pack.record);
      content = openFrameOf({ ...pack, keys }, frame);
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      const message = `${object} is damaged: the frame at offset ${frame.offset}: ${error.message}`;
      findings.add({ kind: 'pack-damaged', object, message });
      for (const { id } of blobs) onBadBlob(id, object);
      return;
    }
    for (const blob of blobs) {
      try {
        await access.verifyCopy(blob, { frame, content });
      } catch (error) {
        if (!(error instanceof VarveError)) throw error;
        const id = toHex(blob.id);
        const message = `${BLOB_TYPE_NAMES[blob.type]} ${id} in ${object}: ${error.message}`;
        findings.add({ kind: 'blob-damaged', object: id, message });
        onBadBlob(blob.id, object);
      }
    }
  }

  #reportDirectory(pack: PackInfo, found: string): void {
    const object = packStorageName(pack);
    const message = `${object} has a damaged directory: ${found}`;
    this.#options.findings.add({ kind: 'pack-directory-damaged', object, message });
  }

  /** None of the pack's copies can be read. */
  #condemn(pack: PackInfo): void {
    const directory = this.#options.access.sync.index.directory(pack.packNo);
    const object = packStorageName(pack);
    for (const { id } of directory?.blobs ?? []) this.#options.onBadBlob(id, object);
  }
}

interface HeldPack {
  record: PackRecord;
  directory: PackDirectory;
  bytes: Uint8Array;
}

function isSameRecord(a: PackRecord, b: PackRecord): boolean {
  return a.generation === b.generation && equalBytes(a.salt, b.salt) && equalBytes(a.body, b.body);
}
