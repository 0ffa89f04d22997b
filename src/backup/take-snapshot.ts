/**
 * Taking a snapshot, end to end: plan the sources, choose the parent, walk, save files and trees,
 * commit.
 */
import { BLOB_TYPE } from '../blob/blob-type.ts';
import { createKeyedHasher } from '../blob/keyed-hasher.ts';
import { NotFoundError, type SourceError } from '../errors.ts';
import type { LongCall } from '../progress.ts';
import { BaseFinder } from '../repository/base-finder.ts';
import { BlobReader } from '../repository/blob-reader.ts';
import type { DeltaCounts } from '../repository/delta-encoder.ts';
import { beginDrySession, type DrySession } from '../repository/dry-session.ts';
import { pageEnds } from '../repository/page-ends.ts';
import type { Repository } from '../repository/repository.ts';
import { runSession } from '../repository/run-session.ts';
import type { CommitResult, ManifestInput, Session, WriteCounts } from '../repository/session.ts';
import { type Snapshot, selectSnapshot } from '../snapshot/selection.ts';
import type { DirectoryRoot } from '../tree/node.ts';
import { concatBytes, encodeU32, encodeU64, encodeUtf8, equalBytes } from '../util/bytes.ts';
import { printable } from '../util/printable.ts';
import { Turns } from '../util/turns.ts';
import { type AccountNames, readAccountNames } from '../walk/account-names.ts';
import { type ExcludeOptions, excludeHash } from '../walk/excludes.ts';
import { planSources, type SourcePlan } from '../walk/plan-sources.ts';
import type { SourceEntry } from '../walk/source-entry.ts';
import { nodeSourceFs, type SourceFs } from '../walk/source-fs.ts';
import { walk } from '../walk/walk.ts';
import { type AheadThread, startAheadThread } from '../walk/walk-ahead.ts';
import { type EntryAction, EntrySaver } from './entry-saver.ts';
import { SavePool } from './save-pool.ts';
import { TreeSaver } from './save-tree.ts';
import { planWorkers } from './save-workers.ts';
import { planSlices } from './slices.ts';
import { type EntryCounts, SnapshotTally } from './snapshot-tally.ts';

const LINK_GROUP_SIZE = 8;
const noSnapshot: CommitResult = { id: '' as CommitResult['id'], head: '', isForgotten: false };

/** `local`: only against what can be read without asking a storage elsewhere. */
export type Similarity = 'on' | 'local' | 'off';

export interface SnapshotOptions extends LongCall {
  /** Files and directories to save, absolute or relative to the working directory. */
  paths: readonly (string | Uint8Array)[];
  workingDirectory: string;
  host: Uint8Array;
  user: Uint8Array;
  /** Name of what is saved; without it, the sorted absolute paths joined by ", ". */
  source?: Uint8Array | undefined;
  tags?: readonly string[] | undefined;
  timeZone: string;
  /** Instead of the time of the run: start and end of the snapshot, nanoseconds since 1970. */
  timeNs?: bigint | undefined;
  /** Names the parent; default: the newest snapshot of the same host and source. */
  parent?: string | undefined;
  /** Take no parent: read every file. */
  isForced?: boolean | undefined;
  /** Say what would be done and write nothing. */
  isDryRun?: boolean | undefined;
  excludes?: ExcludeOptions | undefined;
  /** Whether new chunks may be kept as deltas against similar ones; default: `on`. */
  similarity?: Similarity | undefined;
  fs?: SourceFs | undefined;
  /** Told of every entry that could not be saved as it is. */
  onError?: ((error: SourceError) => void) | undefined;
  /** Told of every entry that was saved, and its size in bytes. */
  onEntry?: ((path: Uint8Array, action: EntryAction, size: number) => void) | undefined;
}

/** A dry run makes no snapshot: its id and head are empty. */
export interface SnapshotResult extends CommitResult, WriteCounts, EntryCounts {
  /** The snapshot that this one was compared with. */
  parent: CommitResult['id'] | undefined;
  /** Bytes of file content in the snapshot, and how many of them were read. */
  bytes: bigint;
  bytesRead: bigint;
  /** Chunks kept as deltas against similar ones, their bytes, and what is kept of them. */
  deltaBlobs: number;
  deltaBytes: number;
  deltaEncodedBytes: number;
  errorCount: number;
  durationNs: bigint;
}

/**
 * @throws NotFoundError when none of the paths exists, or not the parent; nothing is then written.
 * @throws BusyError when collections fenced three sessions in a row.
 */
export async function takeSnapshot(
  repository: Repository,
  options: SnapshotOptions,
): Promise<SnapshotResult> {
  const { signal, isDryRun = false, isForced = false } = options;
  signal?.throwIfAborted();
  const fs = options.fs ?? nodeSourceFs;
  const plan = planSources(options.paths, options.workingDirectory);
  demandOneSource(plan, fs);
  const accounts = readAccountNames();
  // It is ready by the time the session is; another source than the system's is not for threads.
  const mayListAhead = repository.jobs > 0 && fs === nodeSourceFs && !isForced;
  const aheadThread = mayListAhead ? startAheadThread() : undefined;
  const parts = { ...options, fs, plan, accounts, aheadThread };
  try {
    if (isDryRun) {
      const session = await beginDrySession(repository, { signal });
      return await new Run(repository, { ...parts, session }).execute();
    }
    return await runSession(repository, { purpose: 'snapshot', signal }, (session) =>
      new Run(repository, { ...parts, session, committing: session }).execute(),
    );
  } finally {
    await aheadThread?.close();
  }
}

function demandOneSource(plan: SourcePlan, fs: SourceFs): void {
  for (const path of plan.paths) {
    try {
      fs.lstat(path);
      return;
    } catch {
      // The walk reports it, unless there is nothing to walk.
    }
  }
  const names = plan.paths.map(printable).join(', ');
  throw new NotFoundError('source', names, `Cannot find any source: ${names || 'none given'}`);
}

interface RunOptions extends SnapshotOptions {
  fs: SourceFs;
  plan: SourcePlan;
  accounts: AccountNames;
  /** Lists directories ahead of the walk, where there may be threads. */
  aheadThread: AheadThread | undefined;
  session: Session | DrySession;
  /** The same session, where there is one to commit. */
  committing?: Session;
}

/** One try: one session, one walk. */
class Run {
  readonly #repository: Repository;
  readonly #options: RunOptions;
  readonly #turns: Turns;
  readonly #startedNs: bigint;
  readonly #startedMonotonicNs: bigint;
  readonly #source: Uint8Array;
  readonly #parent: Snapshot | undefined;
  readonly #bases: BaseFinder;
  readonly #tally = new SnapshotTally();
  /** What the walk has come to; its path is put together only when it is told. */
  #currentEntry: SourceEntry | undefined;

  constructor(repository: Repository, options: RunOptions) {
    this.#repository = repository;
    this.#options = options;
    this.#startedNs = options.timeNs ?? repository.clock.nowNs();
    this.#startedMonotonicNs = repository.clock.monotonicNs();
    this.#turns = new Turns(repository.clock, options.signal);
    this.#source = options.source ?? joinPaths(options.plan.paths);
    this.#parent = this.#chooseParent();
    this.#bases = new BaseFinder(options.session.sync.index, {
      depthMax: repository.config.deltaDepthMax,
      onNotice: repository.onNotice,
    });
  }

  async execute(): Promise<SnapshotResult> {
    const { session, committing } = this.#options;
    const { root, packed } = await this.#saveTree();
    const committed = await committing?.commit({
      ...this.#describe(),
      root,
      stats: this.#stats(root),
    });
    await this.#bases.save();
    return {
      ...session.counts,
      compressedBytes: session.counts.compressedBytes + packed.compressedSize,
      storedBytes: session.counts.storedBytes + packed.storedSize,
      ...(committed ?? noSnapshot),
      parent: this.#parent?.id,
      ...this.#tally.entries,
      bytes: root.bytes,
      bytesRead: BigInt(this.#tally.bytesRead),
      deltaBlobs: packed.deltas.blobs,
      deltaBytes: packed.deltas.rawSize,
      deltaEncodedBytes: packed.deltas.encodedSize,
      errorCount: this.#tally.errorCount,
      durationNs: this.#repository.clock.monotonicNs() - this.#startedMonotonicNs,
    };
  }

  /** @throws NotFoundError when the parent that was asked for is not there. */
  #chooseParent(): Snapshot | undefined {
    const { session, parent, isForced = false, host } = this.#options;
    const { snapshots } = session.view;
    if (isForced) return undefined;
    if (parent !== undefined) return selectSnapshot(snapshots, parent);
    return snapshots.findLast(
      ({ manifest }) =>
        equalBytes(manifest.host, host) &&
        equalBytes(manifest.source, this.#source) &&
        manifest.startedNs <= this.#startedNs,
    );
  }

  async #saveTree(): Promise<{
    root: DirectoryRoot;
    packed: Pick<SavePool, 'compressedSize' | 'storedSize' | 'deltas'>;
  }> {
    const { session, fs, accounts, plan, excludes, aheadThread, similarity = 'on' } = this.#options;
    const { keys, config } = this.#repository;
    const tally = this.#tally;
    const hasDeltas = similarity !== 'off' && config.deltaDepthMax > 0;
    const pool = new SavePool({
      ...planWorkers(this.#repository, { session: this.#writer, fs, hasDeltas }),
      store: session,
      bases: this.#bases,
      onStart: () => {
        // Who needs it is told when it fails.
        if (hasDeltas) this.#bases.open().catch(() => {});
      },
      onKept: (size) => tally.noteUnderWay(size),
      afterWait: async () => {
        if (this.#turns.isOver) await this.#takeTurn();
      },
    });
    const tree = new TreeSaver({
      write: (type, plaintext) => session.write(type, plaintext),
      isPageEnd: pageEnds(keys),
      onError: (error) => this.#onError(error),
    });
    const saver = new EntrySaver({
      pool,
      tree,
      fs,
      write: (list) => session.write(BLOB_TYPE.chunkList, list),
      writeAttributes: (attributes) => session.write(BLOB_TYPE.attributes, attributes),
      slices: planSlices(config.chunker),
      hasDeltas,
      accounts,
      parent: this.#openParent(),
      onSaved: (entry, action, size) => this.#onSaved(entry, action, size),
      onRead: (size) => tally.noteRead(size),
      onError: (error) => this.#onError(error),
    });
    const linkHash = createKeyedHasher(keys.linkGroup);
    const linkGroup = (mountOrdinal: number, inode: bigint): Uint8Array =>
      linkHash(concatBytes(encodeU32(mountOrdinal), encodeU64(inode))).subarray(0, LINK_GROUP_SIZE);
    const onExcluded = (): void => tally.noteExcluded();
    // Where everything is read, the walk holds up nobody, and what was listed would be old by then.
    const ahead = this.#parent === undefined ? undefined : aheadThread?.begin(plan, excludes);
    try {
      for (const event of walk(plan, { fs, accounts, linkGroup, excludes, onExcluded, ahead })) {
        if (event.kind !== 'error') this.#currentEntry = event.entry;
        const taken = saver.take(event);
        if (taken !== undefined) await taken;
        if (this.#turns.isOver) await this.#takeTurn();
      }
      const root = await saver.finish();
      await pool.finish();
      this.#noteBadBases(pool.deltas);
      return { root, packed: pool };
    } finally {
      ahead?.stop();
      await pool.close();
    }
  }

  /** The chunks in question were stored whole. */
  #noteBadBases({ unreadBases, wrongDeltas }: DeltaCounts): void {
    const { onNotice } = this.#repository;
    if (unreadBases > 0) {
      onNotice(
        `Cannot read ${unreadBases} chunks that new ones resemble: please check the repository`,
      );
    }
    if (wrongDeltas > 0) {
      onNotice(`${wrongDeltas} deltas did not decode: suspect this machine's memory`);
    }
  }

  /** In whose name workers write; in a dry run they never do. */
  get #writer(): { sessionId: string; writerId: string } {
    return this.#options.committing?.writer ?? { sessionId: '', writerId: '' };
  }

  #openParent(): ConstructorParameters<typeof EntrySaver>[0]['parent'] {
    const { session } = this.#options;
    if (this.#parent === undefined) return undefined;
    const { id, manifest } = this.#parent;
    const reader = new BlobReader(this.#repository, session.sync.index);
    const isPresent = session.trusts(id) ? undefined : session.isPresent.bind(session);
    const { onNotice } = this.#repository;
    return { root: manifest.root, options: { reader, isPresent, onNotice } };
  }

  #onSaved(entry: SourceEntry, action: EntryAction, size: number): void {
    this.#tally.noteSaved(entry, action, size);
    this.#options.onEntry?.(entry.path, action, size);
  }

  async #takeTurn(): Promise<void> {
    const currentPath = this.#currentEntry?.path;
    const parent = this.#parent;
    this.#options.onProgress?.({
      phase: 'snapshot',
      filesDone: this.#tally.entries.files,
      bytesDone: this.#tally.bytesDone,
      // What the parent held is the best guess at what is to come.
      ...(parent !== undefined && { bytesTotal: Number(parent.manifest.root.bytes) }),
      ...(currentPath !== undefined && { currentPath }),
    });
    await this.#options.session.tick();
    await this.#turns.next();
  }

  #onError(error: SourceError): void {
    this.#tally.noteError(error);
    this.#options.onError?.(error);
  }

  /** What the manifest says of this run, but for root and counts. */
  #describe(): Omit<ManifestInput, 'root' | 'stats'> {
    const { host, user, tags, timeZone, timeNs, plan, excludes } = this.#options;
    return {
      startedNs: this.#startedNs,
      endedNs: timeNs ?? this.#repository.clock.nowNs(),
      timeZone,
      host,
      user,
      source: this.#source,
      roots: [...plan.paths],
      tags: [...(tags ?? [])],
      parents: this.#parent === undefined ? [] : [this.#parent.id],
      excludeHash: excludeHash(excludes),
      ...this.#tally.errors,
    };
  }

  #stats(root: DirectoryRoot): Record<string, number> {
    const { newBlobs, newBytes } = this.#options.session.counts;
    const { files, filesNew, filesChanged, filesUnchanged, directories, others } =
      this.#tally.entries;
    return {
      files,
      files_new: filesNew,
      files_changed: filesChanged,
      files_unchanged: filesUnchanged,
      directories,
      others,
      bytes: Number(root.bytes),
      bytes_read: this.#tally.bytesRead,
      new_blobs: newBlobs,
      new_bytes: newBytes,
    };
  }
}

function joinPaths(paths: readonly Uint8Array[]): Uint8Array {
  const separator = encodeUtf8(', ');
  return concatBytes(...paths.flatMap((path, i) => (i === 0 ? [path] : [separator, path])));
}
