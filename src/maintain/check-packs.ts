/**
 * The packs of a repository against the index: each is there, has its size, and its own directory
 * says what the index says. What is in them is `read-packs.ts`.
 */
import { VarveError } from '../errors.ts';
import type { BlobId } from '../id.ts';
import type { PackInfo } from '../index/pack-states.ts';
import { type PackRecord, packStorageName } from '../pack/pack-record.ts';
import { readPackDirectory } from '../repository/pack-access.ts';
import type { ReadAccess } from '../repository/read-access.ts';
import type { Repository } from '../repository/repository.ts';
import { equalBytes } from '../util/bytes.ts';
import type { Findings } from './finding.ts';

/** Told of every blob whose copy in this pack is of no use. */
export type OnBadBlob = (id: BlobId, pack: PackInfo) => void;

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

  /** True when the directory in the pack itself is good, which is all that is left when the segments are lost. */
  async checkDirectory(pack: PackInfo): Promise<boolean> {
    const { repository, access, signal } = this.#options;
    const record = access.sync.index.record(pack.packNo);
    try {
      const own = await readPackDirectory(repository, { ...pack, size: pack.length }, { signal });
      if (record === undefined || isSameRecord(own.record, record)) return true;
      this.#reportDirectory(pack, 'it differs from the one in the index');
    } catch (error) {
      if (!(error instanceof VarveError)) throw error;
      this.#reportDirectory(pack, error.message);
    }
    return false;
  }

  #reportDirectory(pack: PackInfo, found: string): void {
    const object = packStorageName(pack);
    const message = `${object} has a damaged directory: ${found}`;
    this.#options.findings.add({ kind: 'pack-directory-damaged', object, message });
  }

  /** None of the pack's copies can be read. */
  #condemn(pack: PackInfo): void {
    const directory = this.#options.access.sync.index.directory(pack.packNo);
    for (const { id } of directory?.blobs ?? []) this.#options.onBadBlob(id, pack);
  }
}

function isSameRecord(a: PackRecord, b: PackRecord): boolean {
  return a.generation === b.generation && equalBytes(a.salt, b.salt) && equalBytes(a.body, b.body);
}
