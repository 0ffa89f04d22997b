/**
 * A session: one process writing one snapshot, from its intent to its commit
 * (docs/repository-format.md section 18). The order of writes follows from what must hold at every
 * moment, whatever stops this process and whenever:
 *
 * - a manifest names only blobs that are durable and that no collection under way may delete;
 * - a segment names only packs that are durable;
 * - exactly one of commit and fence wins the name `snapshots/<sid>`;
 * - success is reported only for a snapshot that counts.
 *
 *   1 intent · 2 view · 3 packs · 4 segments · 5 barrier · 6 commit · 7 look again · 8 cache and
 *   state · 9 clean up
 */
import { createHash } from 'node:crypto';
import type { BlobType } from '../blob/blob-type.ts';
import { BusyError, VarveError } from '../errors.ts';
import type { EncodedFrame } from '../frame/frame-builder.ts';
import { type BlobId, blobKey, type SessionId } from '../id.ts';
import { PACK_STATE } from '../index/cache-rows.ts';
import { CacheFailed } from '../index/environment.ts';
import { hasLostBlobs, isPresent } from '../index/presence.ts';
import type { SaltSource } from '../keys/salt-source.ts';
import { scanBlobs } from '../pack/directory.ts';
import { type PackRecord, packStorageName } from '../pack/pack-record.ts';
import { reportOf } from '../protocol/outcomes.ts';
import { mayReuseTree } from '../protocol/reuse.ts';
import { OBJECT_KIND } from '../record/object-kind.ts';
import { sealObject } from '../record/sealed-object.ts';
import { encodeFence, encodeHeartbeat } from '../record/session-records.ts';
import { encodeManifest, type SnapshotManifest } from '../snapshot/manifest.ts';
import { assert } from '../util/assert.ts';
import { equalBytes, toHex } from '../util/bytes.ts';
import { pass } from './failpoints.ts';
import { newlySeen, nextChain, rememberHeads } from './heads.ts';
import type { IndexSync } from './index-sync.ts';
import { type NewBlob, PackWriter } from './pack-writer.ts';
import { adoptAll } from './rely-on.ts';
import type { Repository } from './repository.ts';
import { SegmentWriter } from './segment-writer.ts';
import { readStoredRecord } from './stored-records.ts';
import { endedBy, loadTombs, type View } from './view.ts';
import type { WriterLease, WriterState } from './writer-state.ts';

const BLOB_ID_SIZE = 32;
const HEARTBEAT_INTERVAL_NS = 10n * 60n * 1_000_000_000n;

/** What a manifest says beyond what the session itself knows. */
export type ManifestInput = Omit<SnapshotManifest, 'chain' | 'sessionId' | 'segments'>;

export interface CommitResult {
  id: SessionId;
  /** SHA-256 of the manifest's file, hex: the new head of this writer. */
  head: string;
  /** Somebody forgot the snapshot before its success could be reported. */
  isForgotten: boolean;
}

export interface WriteCounts {
  /** Blobs that were new, and bytes of their plaintext. */
  newBlobs: number;
  newBytes: number;
  /** Bytes of new frame contents, and of packs stored. */
  compressedBytes: number;
  storedBytes: number;
}

export interface SessionParts {
  repository: Repository;
  id: SessionId;
  view: View;
  sync: IndexSync;
  lease: WriterLease;
  /** Of the lease, or of a new writer. */
  state: WriterState;
  newSalt: SaltSource;
  /** Durable packs of sessions that died, which the first segment of this one will name. */
  adopted: PackRecord[];
  signal: AbortSignal | undefined;
}

/** Made by `beginSession`; ended by `commit`, `close` or `abort`, when all writes have ended. */
export class Session {
  readonly id: SessionId;
  readonly view: View;
  readonly #repository: Repository;
  readonly sync: IndexSync;
  readonly #lease: WriterLease;
  readonly #state: WriterState;
  readonly #newSalt: SaltSource;
  readonly #packs: PackWriter;
  readonly #signal: AbortSignal | undefined;
  /** Blobs handed in whose pack is not durable yet. */
  readonly #inFlight = new Set<string>();
  /** Blobs of durable packs that could not be written to the cache. */
  readonly #uncached = new Set<string>();
  readonly #segments: SegmentWriter;
  #heartbeatDueNs: bigint;
  #heartbeatCount = 0;
  #newBlobs = 0;
  #newBytes = 0;
  #lastWrite: Promise<void> = Promise.resolve();

  constructor(parts: SessionParts) {
    const { repository, id, state, newSalt } = parts;
    this.id = id;
    this.view = parts.view;
    this.#repository = repository;
    this.sync = parts.sync;
    this.#lease = parts.lease;
    this.#state = state;
    this.#newSalt = newSalt;
    this.#signal = parts.signal;
    this.#packs = new PackWriter(repository, {
      newSalt,
      sessionId: id,
      writerId: state.writerId,
      dataTarget: repository.config.pack.dataTarget,
      onDurable: (record) => this.addDurable(record),
    });
    this.#segments = new SegmentWriter(repository, {
      sessionId: id,
      writerId: state.writerId,
      applied: parts.view.collector.generation,
      newSalt,
      index: parts.sync.index,
    });
    for (const record of parts.adopted) this.#segments.add(record);
    const now = repository.clock.monotonicNs();
    this.#heartbeatDueNs = now + HEARTBEAT_INTERVAL_NS;
  }

  get counts(): WriteCounts {
    return {
      newBlobs: this.#newBlobs,
      newBytes: this.#newBytes,
      compressedBytes: this.#packs.compressedSize,
      storedBytes: this.#packs.storedSize,
    };
  }

  /**
   * Makes sure that the blob will be in the repository when this session commits, and gives its id.
   * Its plaintext is borrowed until the promise settles.
   */
  async write(type: BlobType, plaintext: Uint8Array): Promise<BlobId> {
    const id = this.#repository.identify(type, plaintext);
    if (!this.claim(id, plaintext.length)) return id;
    await this.#exclusively(async () => await this.#packs.add({ id, type, plaintext }));
    return id;
  }

  /**
   * Whether the blob is new, to this session too. Whoever is told so must store it: from now on
   * everybody else relies on that.
   */
  claim(id: BlobId, size: number): boolean {
    const key = blobKey(id);
    if (this.#inFlight.has(key) || this.#uncached.has(key)) return false;
    if (isPresent(this.sync.index, id)) return false;
    this.#inFlight.add(key);
    this.#newBlobs += 1;
    this.#newBytes += size;
    return true;
  }

  /**
   * Rule CLOSURE: whether whatever a live snapshot names may be relied on without asking for each
   * blob. While a collection is under way it must have counted the snapshot; and packs that are
   * missing or condemned, segments that cannot be read, or blobs that are known to be damaged are a
   * reason to ask. So is a collection that this client has written nothing after: the first snapshot
   * heals what a wrong sweep has taken, the ones after it need not ask again.
   */
  trusts(id: SessionId): boolean {
    return trustsSnapshot(this, id, this.#state.gcGeneration);
  }

  /** Whether the blob need not be stored, by what is durable. */
  isPresent(id: BlobId): boolean {
    return isPresent(this.sync.index, id);
  }

  /** Takes over what a worker of this session held back because it was little. */
  async addFrames(frames: readonly EncodedFrame[]): Promise<void> {
    await this.#exclusively(async () => {
      for (const frame of frames) await this.#packs.addFrame(frame);
    });
  }

  /**
   * Stores a blob that is there already, for a repack: the new copy is to take the place of one whose
   * pack goes. What it is was checked by the caller.
   */
  async rewrite(blob: NewBlob): Promise<void> {
    await this.#exclusively(async () => {
      this.#inFlight.add(blobKey(blob.id));
      await this.#packs.add(blob);
    });
  }

  /** The same for all blobs of a frame, as it is: its content borrowed until the promise settles. */
  async moveFrame(frame: EncodedFrame): Promise<void> {
    await this.#exclusively(async () => {
      for (const { id } of frame.blobs) this.#inFlight.add(blobKey(id));
      await this.#packs.moveFrame(frame);
    });
  }

  /**
   * Takes over a pack whose segment is lost: once it is durable, a segment of this session names it.
   * @throws NotFoundError
   */
  async adopt(record: PackRecord): Promise<void> {
    const { storage } = this.#repository;
    await storage.adopt(packStorageName(record), { signal: this.#signal });
    await storage.sync();
    this.#segments.add(record);
  }

  /** Everything stored so far is durable and named by a segment when this returns. */
  async settle(): Promise<void> {
    await this.#packs.flush();
    assert(this.#inFlight.size === 0, 'every blob handed in is durable');
    await this.#segments.publish();
    await this.#repository.storage.sync();
  }

  /** Ends a session that has nothing to commit, after `settle`: its name is closed for ever. */
  async close(): Promise<void> {
    try {
      await this.#fence();
      await this.#cleanUp();
    } finally {
      await this.#lease.release().catch(() => {});
    }
  }

  /** What workers need to write packs in the name of this session. */
  get writer(): { sessionId: SessionId; writerId: string } {
    return { sessionId: this.id, writerId: this.#state.writerId };
  }

  /** One writer, one blob at a time. */
  #exclusively(action: () => Promise<void>): Promise<void> {
    const done = this.#lastWrite.then(action);
    this.#lastWrite = done.catch(() => {});
    return done;
  }

  /** Does what is due by the clock: heartbeats, and segments over the packs stored so far. */
  async tick(): Promise<void> {
    const now = this.#repository.clock.monotonicNs();
    if (now >= this.#heartbeatDueNs) {
      this.#heartbeatDueNs = now + HEARTBEAT_INTERVAL_NS;
      await this.#beat();
    }
    if (this.#segments.isDue(now)) await this.#segments.publish();
  }

  /**
   * Steps 4 to 9. When this returns, the snapshot exists and counts. It can be cancelled until its
   * manifest is about to be put; from there on it ends what it began.
   * @throws BusyError when a collector fenced this session: it must start over.
   */
  async commit(input: ManifestInput): Promise<CommitResult> {
    await this.#packs.flush();
    // Whoever claimed a blob has had it stored: a snapshot must not name one that is nowhere.
    assert(this.#inFlight.size === 0, 'every blob handed in is durable');
    await this.#segments.publish();
    await pass('session.5.before');
    const { storage, onNotice } = this.#repository;
    await adoptAll(storage, newlySeen({ state: this.#state, view: this.view }));
    await storage.sync();
    if (storage.durability === 'weak') {
      onNotice(`Storage "${storage.location}" cannot promise that new names survive a power cut`);
    }
    await pass('session.5.after');
    const manifest: SnapshotManifest = {
      ...input,
      chain: nextChain(this.#repository, { state: this.#state, view: this.view }),
      sessionId: this.id,
      segments: this.#segments.names,
    };
    this.#signal?.throwIfAborted(); // From here on there is no way back.
    const head = await this.#putManifest(manifest);
    const isForgotten = await this.#lookAgain();
    await this.#remember(manifest, head);
    await this.#cleanUp();
    return { id: this.id, head, isForgotten };
  }

  /**
   * Gives the session up: what is durable is published for the next one, then the fence closes the
   * name. Failures are ignored. Without a fence the intent stays: a manifest of ours that is still on
   * its way must not arrive unseen, so a collector has to wait for this session and fence it.
   */
  async abort(): Promise<void> {
    await this.#packs.abandon();
    await this.#segments.publish().catch(() => {});
    await this.#fence()
      .then(() => this.#cleanUp())
      .catch(() => {});
    await this.#lease.release().catch(() => {});
  }

  /**
   * What a failure of this session means, to be asked before `abort`: where a collection has ended it
   * meanwhile, whatever is missed was taken by that collection, and the session can start over.
   */
  async refusalBehind(error: unknown): Promise<BusyError | undefined> {
    if (error instanceof BusyError) return error;
    if (!(error instanceof VarveError) || this.#signal?.aborted === true) return undefined;
    const isFenced = await this.#isFenced().catch(() => false);
    return isFenced ? fencedError(this.id) : undefined;
  }

  async #isFenced(): Promise<boolean> {
    const name = `snapshots/${this.id}`;
    if ((await this.#repository.storage.stat(name)) === undefined) {
      return reportOf(this.id, endedBy(await loadTombs(this.#repository))) === 'refused';
    }
    const kinds = [OBJECT_KIND.snapshot, OBJECT_KIND.fence];
    const { kind } = await readStoredRecord(this.#repository, name, { kinds });
    return kind === OBJECT_KIND.fence;
  }

  /** A pack of this session is durable: from now on it may be named. */
  async addDurable(record: PackRecord): Promise<void> {
    this.#segments.add(record);
    let isCached = true;
    try {
      await this.sync.index.addPack(record);
    } catch (error) {
      if (!(error instanceof CacheFailed)) throw error;
      this.#repository.onNotice(`Cannot write the cache: ${error.message}`);
      isCached = false;
    }
    const { body } = record;
    scanBlobs(body, (idOffset) => {
      const key = blobKey(body.subarray(idOffset, idOffset + BLOB_ID_SIZE));
      this.#inFlight.delete(key);
      if (!isCached) this.#uncached.add(key);
    });
  }

  /** Step 6. Losing the name with equal bytes means that an earlier attempt of ours had won it. */
  async #putManifest(manifest: SnapshotManifest): Promise<string> {
    const { keys, storage } = this.#repository;
    const name = `snapshots/${this.id}`;
    const identity = { kind: OBJECT_KIND.snapshot, name };
    const payload = encodeManifest(manifest);
    const file = sealObject(keys, identity, { payload, salt: this.#newSalt });
    await pass('session.6.before');
    const outcome = await storage.putIfAbsent(name, file);
    await pass('session.6.after');
    if (outcome === 'exists' && !equalBytes(await storage.get(name), file)) {
      throw fencedError(this.id);
    }
    return toHex(createHash('sha256').update(file).digest());
  }

  /** Step 7: what was forgotten or closed while this session slept? */
  async #lookAgain(): Promise<boolean> {
    await pass('session.7.before');
    const report = reportOf(this.id, endedBy(await loadTombs(this.#repository)));
    if (report === 'refused') throw fencedError(this.id);
    await pass('session.7.after');
    return report === 'forgotten';
  }

  /** Step 8. The snapshot is committed: what fails here is told, and costs the next run time. */
  async #remember(manifest: SnapshotManifest, head: string): Promise<void> {
    const { onNotice } = this.#repository;
    await pass('session.8.before');
    try {
      await this.#lease.save(
        rememberHeads({ state: this.#state, view: this.view, chain: manifest.chain, head }),
      );
    } catch (error) {
      onNotice(`Cannot update the local state: ${(error as Error).message}`);
    } finally {
      await this.#lease.release().catch(() => {});
    }
    await pass('session.8.after');
  }

  /** Step 9, where the storage permits it. */
  async #cleanUp(): Promise<void> {
    const { storage } = this.#repository;
    await pass('session.9.before');
    try {
      for (let i = 1; i <= this.#heartbeatCount; i++) {
        await storage.delete(heartbeatName(this.id, i));
      }
      await storage.delete(`sessions/${this.id}`);
    } catch {
      // A maintenance host deletes them.
    }
    await pass('session.9.after');
  }

  async #beat(): Promise<void> {
    const { keys, storage } = this.#repository;
    this.#heartbeatCount += 1;
    const name = heartbeatName(this.id, this.#heartbeatCount);
    const payload = encodeHeartbeat(this.id, this.#heartbeatCount);
    const identity = { kind: OBJECT_KIND.session, name };
    await storage.putIfAbsent(name, sealObject(keys, identity, { payload, salt: this.#newSalt }));
  }

  async #fence(): Promise<void> {
    const { keys, storage } = this.#repository;
    const name = `snapshots/${this.id}`;
    const identity = { kind: OBJECT_KIND.fence, name };
    const payload = encodeFence('closed');
    await pass('session.fence.before');
    await storage.putIfAbsent(name, sealObject(keys, identity, { payload, salt: this.#newSalt }));
    await pass('session.fence.after');
  }
}

/**
 * See `Session.trusts`.
 * @param askedGeneration Last collection after which this client has asked for every blob.
 */
export function trustsSnapshot(
  { view, sync }: { view: View; sync: IndexSync },
  id: SessionId,
  askedGeneration: number,
): boolean {
  const { pendingMark, sweptPacks, generation } = view.collector;
  const isLive = view.snapshots.some((snapshot) => snapshot.id === id);
  const counted = pendingMark?.counted.map(({ sessionId }) => sessionId as SessionId);
  if (!mayReuseTree(id, { isLive, counted }) || sync.damaged.length > 0) return false;
  const isAsked = generation <= askedGeneration;
  for (const { name, state } of sync.index.packs()) {
    const isGone = state === PACK_STATE.missing || state === PACK_STATE.dead;
    if (isGone && !(isAsked && sweptPacks.has(name))) return false;
  }
  return !hasLostBlobs(sync.index);
}

function heartbeatName(id: SessionId, number: number): string {
  return `sessions/${id}.h${number.toString(16).padStart(6, '0')}`;
}

function fencedError(id: SessionId): BusyError {
  return new BusyError(id, `Cannot commit snapshot "${id}": a collection fenced its session`);
}
