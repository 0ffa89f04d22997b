/**
 * Taking a snapshot, end to end: plan the sources, walk them, save files and trees, commit. A
 * session that a collection fenced meanwhile starts over; what it stored is found again.
 */
import { createKeyedHasher } from '../blob/keyed-hasher.ts';
import { createScanner } from '../chunk/scanner.ts';
import { BusyError, NotFoundError, type SourceError } from '../errors.ts';
import type { LongCall } from '../progress.ts';
import { beginSession } from '../repository/begin-session.ts';
import type { Repository } from '../repository/repository.ts';
import type { CommitResult, ManifestInput, Session, WriteCounts } from '../repository/session.ts';
import { ERROR_SAMPLE_COUNT_MAX } from '../snapshot/manifest.ts';
import type { DirectoryRoot, NodeType } from '../tree/node.ts';
import { concatBytes, encodeU32, encodeU64, encodeUtf8, leadingU32 } from '../util/bytes.ts';
import { printable } from '../util/printable.ts';
import { Turns } from '../util/turns.ts';
import { type AccountNames, readAccountNames } from '../walk/account-names.ts';
import { planSources, type SourcePlan } from '../walk/plan-sources.ts';
import { nodeSourceFs, type SourceFs } from '../walk/source-fs.ts';
import { walk } from '../walk/walk.ts';
import { FileSaver } from './save-file.ts';
import { TreeSaver } from './save-tree.ts';

const PAGE_END_MASK = 511;
const LINK_GROUP_SIZE = 8;
/** Bytes of failed paths in a manifest: those of deep trees are long, and a record has its limit. */
const ERROR_SAMPLE_SIZE_MAX = 2 ** 20;
/** A session that loses against a collection this often gives up. */
const TRIES_MAX = 3;

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
  fs?: SourceFs | undefined;
  /** Told of every entry that could not be saved as it is. */
  onError?: ((error: SourceError) => void) | undefined;
}

export interface SnapshotResult extends CommitResult, WriteCounts {
  files: number;
  directories: number;
  /** Everything else: symlinks, devices, fifos, sockets. */
  others: number;
  /** Bytes of file content read. */
  bytes: bigint;
  errorCount: number;
  durationNs: bigint;
}

/**
 * @throws NotFoundError when none of the paths exists; nothing is then written.
 * @throws BusyError when collections fenced three sessions in a row.
 */
export async function takeSnapshot(
  repository: Repository,
  options: SnapshotOptions,
): Promise<SnapshotResult> {
  options.signal?.throwIfAborted();
  const fs = options.fs ?? nodeSourceFs;
  const plan = planSources(options.paths, options.workingDirectory);
  demandOneSource(plan, fs);
  const accounts = readAccountNames();
  for (let i = 1; ; i++) {
    const session = await beginSession(repository, { purpose: 'snapshot', signal: options.signal });
    try {
      return await new Run(repository, { ...options, fs, plan, accounts, session }).execute();
    } catch (error) {
      await session.abort();
      if (!(error instanceof BusyError) || i === TRIES_MAX) throw error;
    }
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
  session: Session;
}

/** One try: one session, one walk. */
class Run {
  readonly #repository: Repository;
  readonly #options: RunOptions;
  readonly #turns: Turns;
  readonly #startedNs: bigint;
  readonly #startedMonotonicNs: bigint;
  readonly #errorSample: { path: Uint8Array; code: string }[] = [];
  #errorSampleSize = 0;
  #errorCount = 0;
  #files = 0;
  #directories = 0;
  #others = 0;
  #bytes = 0n;
  #currentPath: Uint8Array | undefined;

  constructor(repository: Repository, options: RunOptions) {
    this.#repository = repository;
    this.#options = options;
    this.#startedNs = repository.clock.nowNs();
    this.#startedMonotonicNs = repository.clock.monotonicNs();
    this.#turns = new Turns(repository.clock, options.signal);
  }

  async execute(): Promise<SnapshotResult> {
    const { session } = this.#options;
    const root = await this.#saveTree();
    const committed = await session.commit({
      ...this.#describe(),
      root,
      stats: this.#stats(),
    });
    return {
      ...committed,
      ...session.counts,
      files: this.#files,
      directories: this.#directories,
      others: this.#others,
      bytes: this.#bytes,
      errorCount: this.#errorCount,
      durationNs: this.#repository.clock.monotonicNs() - this.#startedMonotonicNs,
    };
  }

  async #saveTree(): Promise<DirectoryRoot> {
    const { session, fs, accounts, plan } = this.#options;
    const { keys, config } = this.#repository;
    const files = new FileSaver({
      session,
      fs,
      accounts,
      scanner: createScanner(keys.chunker, config.chunker),
      onChunk: (size) => this.#onChunk(size),
    });
    const pageEnd = createKeyedHasher(keys.treePage);
    const tree = new TreeSaver({
      session,
      files,
      isPageEnd: (name) => (leadingU32(pageEnd(name)) & PAGE_END_MASK) === 0,
      onSaved: (type) => this.#count(type),
      onError: (error) => this.#onError(error),
    });
    const linkHash = createKeyedHasher(keys.linkGroup);
    const linkGroup = (mountOrdinal: number, inode: bigint): Uint8Array =>
      linkHash(concatBytes(encodeU32(mountOrdinal), encodeU64(inode))).subarray(0, LINK_GROUP_SIZE);
    for (const event of walk(plan, { fs, accounts, linkGroup })) {
      if (event.kind !== 'error') this.#currentPath = event.entry.path;
      await tree.take(event);
      if (this.#turns.isOver) await this.#takeTurn();
    }
    return tree.root;
  }

  #count(type: NodeType): void {
    if (type === 'd') this.#directories += 1;
    else if (type === 'f') this.#files += 1;
    else this.#others += 1;
  }

  async #onChunk(size: number): Promise<void> {
    this.#bytes += BigInt(size);
    if (this.#turns.isOver) await this.#takeTurn();
  }

  async #takeTurn(): Promise<void> {
    const currentPath = this.#currentPath;
    this.#options.onProgress?.({
      phase: 'snapshot',
      filesDone: this.#files,
      bytesDone: Number(this.#bytes),
      ...(currentPath !== undefined && { currentPath }),
    });
    await this.#options.session.tick();
    await this.#turns.next();
  }

  #onError(error: SourceError): void {
    this.#errorCount += 1;
    const size = this.#errorSampleSize + error.path.length;
    if (this.#errorSample.length < ERROR_SAMPLE_COUNT_MAX && size <= ERROR_SAMPLE_SIZE_MAX) {
      this.#errorSample.push({ path: error.path, code: error.reason });
      this.#errorSampleSize = size;
    }
    this.#options.onError?.(error);
  }

  /** What the manifest says of this run, but for root and counts. */
  #describe(): Omit<ManifestInput, 'root' | 'stats'> {
    const { host, user, source, tags, timeZone, plan } = this.#options;
    return {
      startedNs: this.#startedNs,
      endedNs: this.#repository.clock.nowNs(),
      timeZone,
      host,
      user,
      source: source ?? joinPaths(plan.paths),
      roots: [...plan.paths],
      tags: [...(tags ?? [])],
      parents: [],
      excludeHash: '',
      errorCount: this.#errorCount,
      errorSample: this.#errorSample,
      isPartial: this.#errorCount > 0,
    };
  }

  #stats(): Record<string, number> {
    const { newBlobs, newBytes } = this.#options.session.counts;
    return {
      files: this.#files,
      directories: this.#directories,
      others: this.#others,
      bytes: Number(this.#bytes),
      new_blobs: newBlobs,
      new_bytes: newBytes,
    };
  }
}

function joinPaths(paths: readonly Uint8Array[]): Uint8Array {
  const separator = encodeUtf8(', ');
  return concatBytes(...paths.flatMap((path, i) => (i === 0 ? [path] : [separator, path])));
}
