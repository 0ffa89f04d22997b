/**
 * What stands in for a session in a dry run: it says what would be new and keeps nothing. It has no
 * intent, takes no lease and writes nothing to the repository.
 */
import type { BlobType } from '../blob/blob-type.ts';
import { type BlobId, blobKey, type SessionId } from '../id.ts';
import { isPresent } from '../index/presence.ts';
import { type IndexSync, syncIndex } from './index-sync.ts';
import type { Repository } from './repository.ts';
import { trustsSnapshot, type WriteCounts } from './session.ts';
import { loadView, type View } from './view.ts';

export async function beginDrySession(
  repository: Repository,
  options: { signal?: AbortSignal | undefined },
): Promise<DrySession> {
  const view = await loadView(repository, 'write');
  const sync = await syncIndex(repository, view, options);
  return new DrySession(repository, view, sync);
}

export class DrySession {
  readonly view: View;
  readonly sync: IndexSync;
  readonly #repository: Repository;
  readonly #claimed = new Set<string>();
  #newBytes = 0;

  constructor(repository: Repository, view: View, sync: IndexSync) {
    this.#repository = repository;
    this.view = view;
    this.sync = sync;
  }

  /** Nothing is compressed, so nothing is known of that. */
  get counts(): WriteCounts {
    const newBlobs = this.#claimed.size;
    return { newBlobs, newBytes: this.#newBytes, compressedBytes: 0, storedBytes: 0 };
  }

  async write(type: BlobType, plaintext: Uint8Array): Promise<BlobId> {
    const id = this.#repository.identify(type, plaintext);
    this.claim(id, plaintext.length);
    return id;
  }

  /** Counts a new blob; whoever asks must never store it. */
  claim(id: BlobId, size: number): boolean {
    const key = blobKey(id);
    if (this.#claimed.has(key) || this.isPresent(id)) return false;
    this.#claimed.add(key);
    this.#newBytes += size;
    return false;
  }

  isPresent(id: BlobId): boolean {
    return isPresent(this.sync.index, id);
  }

  /** Without what this client remembers it asks after every collection. */
  trusts(id: SessionId): boolean {
    return trustsSnapshot(this, id, 0);
  }

  async addDurable(): Promise<void> {}

  async addFrames(): Promise<void> {}

  async tick(): Promise<void> {}

  async abort(): Promise<void> {}
}
