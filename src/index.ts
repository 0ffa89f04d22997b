/**
 * The library. This is all of it that is public: the command line uses nothing else.
 *
 * Write: `walk` → `chunk` (scan, cut) → `blob` (id) → `repository/dedupe` (`index`) → `similarity` (base? delta) →
 * `frame` (group, compress, seal) → `pack` → `storage` → `index` segment → `tree` → `snapshot` (commit).
 *
 * Read: `snapshot` → `tree` → `restore/plan` → `index` → `storage` (ranges, by pack) → `pack` → `frame` (open,
 * decompress, resolve delta base) → `blob` (verify id) → `restore` (write file, apply metadata).
 */
import { availableParallelism, hostname, userInfo } from 'node:os';
import { resolve } from 'node:path';
import type { EntryAction } from './backup/entry-saver.ts';
import type { SnapshotResult } from './backup/take-snapshot.ts';
import type { ListedEntry } from './browse/list-entries.ts';
import type { SnapshotStats } from './browse/stats.ts';
import type { SourceError, VarveError } from './errors.ts';
import type { Credential } from './keys/key-slot.ts';
import type { CheckResult } from './maintain/check.ts';
import type { LongCall } from './progress.ts';
import { initRepository as initStored } from './repository/init-repository.ts';
import { listSessions, type OpenSessions } from './repository/list-sessions.ts';
import { defaultCacheDirectory, defaultStateDirectory } from './repository/local-directories.ts';
import {
  addKey,
  changePassphrase,
  type KeySlot,
  listKeySlots,
  removeKey,
  selectKeySlot,
} from './repository/manage-keys.ts';
import { openRepository as openStored } from './repository/open-repository.ts';
import type { Repository as OpenedRepository } from './repository/repository.ts';
import { measureStored, type StoredSize } from './repository/stored-size.ts';
import { type DamagedObject, loadView } from './repository/view.ts';
import type { RestoreResult } from './restore/restore-snapshot.ts';
import {
  matchesFilter,
  type Snapshot,
  type SnapshotFilter as SnapshotByteFilter,
  selectSnapshot,
} from './snapshot/selection.ts';
import { createStorage, openStorage } from './storage/location.ts';
import { encodeUtf8, toHex } from './util/bytes.ts';
import { type ExcludeOptions, Excludes } from './walk/excludes.ts';
import { PathSelection } from './walk/path-selection.ts';

export type { EntryAction } from './backup/entry-saver.ts';
export type { SnapshotResult } from './backup/take-snapshot.ts';
export type { ListedEntry } from './browse/list-entries.ts';
export type { SnapshotStats } from './browse/stats.ts';
export {
  BusyError,
  CorruptionError,
  KeyError,
  NoRepositoryError,
  NotFoundError,
  RepositoryExistsError,
  SourceError,
  StorageError,
  TargetError,
  VarveError,
  VersionError,
} from './errors.ts';
export type { CheckResult } from './maintain/check.ts';
export type { Finding, FindingKind, Severity } from './maintain/finding.ts';
export type { LongCall, OnProgress, Progress } from './progress.ts';
export type { OpenSession, OpenSessions } from './repository/list-sessions.ts';
export type { KeySlot, KeySlotKind } from './repository/manage-keys.ts';
export { PROGRAM } from './repository/repository.ts';
export type { StoredSize } from './repository/stored-size.ts';
export type { DamagedObject } from './repository/view.ts';
export type { RestoreResult } from './restore/restore-snapshot.ts';
export type { SnapshotManifest } from './snapshot/manifest.ts';
export type { Snapshot } from './snapshot/selection.ts';
export type { DirectoryEntry, Node, NodeType, RefusedNode, Time } from './tree/node.ts';
export { printable } from './util/printable.ts';
export type { ExcludeOptions } from './walk/excludes.ts';

/** What somebody else chose: text, or raw bytes where it is not UTF-8. What comes out is bytes. */
export type OutsideText = string | Uint8Array;

/** A path. Bytes are taken as they are, and must be absolute where they name what is saved. */
export type Path = OutsideText;

/** What opens a key slot: exactly one of the two. */
export interface NewKey {
  /** Protects the keys; not empty. */
  passphrase?: string | undefined;
  /** Instead of a passphrase: let everybody open the repository who can read its files. */
  isInsecure?: boolean | undefined;
}

export interface InitOptions extends NewKey {
  /** Where the repository is to be; a local path in this version. */
  location: string;
}

export interface OpenOptions {
  location: string;
  /** A passphrase, or a function asked for one only when no key slot opens without. */
  passphrase?: string | (() => Promise<string | undefined>) | undefined;
  /** Of the disposable local index; default by the XDG base directories. */
  cacheDirectory?: string | undefined;
  /** Of the writer state, which is not disposable. */
  stateDirectory?: string | undefined;
  /** Threads beside the calling one; default: one more than there are cores. 0: none. */
  jobs?: number | undefined;
  /** Bytes that one call may use, mapped files aside; default 512 MiB. */
  memory?: number | undefined;
  /** Told of conditions a user should know that stop nothing. */
  onNotice?: ((text: string) => void) | undefined;
}

export interface SnapshotOptions extends LongCall {
  paths: readonly Path[];
  /** Relative paths start here; default: the process's. */
  workingDirectory?: string | undefined;
  /** Default: the name of this machine. */
  host?: OutsideText | undefined;
  /** Name of what is saved; default: the sorted absolute paths joined by ", ". */
  source?: OutsideText | undefined;
  tags?: readonly string[] | undefined;
  /** Instead of the time of the run: start and end of the snapshot, nanoseconds since 1970. */
  timeNs?: bigint | undefined;
  /** The snapshot to compare with; default: the newest of the same host and source. */
  parent?: string | undefined;
  /** Compare with none: read every file. */
  isForced?: boolean | undefined;
  /** Say what would be stored, and write nothing. */
  isDryRun?: boolean | undefined;
  /** Told of every entry that was saved, and its size in bytes. */
  onEntry?: ((path: Uint8Array, action: EntryAction, size: number) => void) | undefined;
  /** What to leave out; @throws RangeError on a pattern that makes no sense. */
  excludes?: ExcludeOptions | undefined;
  /** Told of every entry that could not be saved as it is; the snapshot goes on. */
  onError?: ((error: SourceError) => void) | undefined;
}

/** Which snapshots are meant; a field that is left out leaves all of them. */
export interface SnapshotFilter {
  host?: OutsideText | undefined;
  source?: OutsideText | undefined;
  /** A file or directory that was named to be saved. */
  path?: Path | undefined;
  tag?: string | undefined;
}

export interface SnapshotPath {
  snapshot: Snapshot;
  /** Absolute path in the snapshot; default `/`. */
  path?: Path | undefined;
}

export interface ListOptions extends SnapshotPath, Pick<LongCall, 'signal'> {
  isRecursive?: boolean | undefined;
}

/** Patterns as in `ExcludeOptions`, for absolute paths in the snapshot. */
export interface RestorePatterns {
  /** Restore only what fits one of these, or is in a directory that does; none: everything. */
  includes?: readonly Path[] | undefined;
  /** Do not restore what fits, nor what is in a directory that does. */
  excludes?: readonly Path[] | undefined;
}

export interface RestoreOptions extends SnapshotPath, RestorePatterns, LongCall {
  /** Directory to restore into: new or empty. */
  target: Path;
  /** Told of every entry that could not be restored, or not quite; the restore goes on. */
  onError?: ((error: VarveError, path: Uint8Array) => void) | undefined;
}

export interface CheckOptions extends LongCall {
  /** Read every pack and decode every blob. */
  isReadingData?: boolean | undefined;
}

export interface StatsOptions extends LongCall {
  /** Only these; default: all live snapshots, and what the repository takes. */
  snapshots?: readonly Snapshot[] | undefined;
}

export interface Stats extends SnapshotStats {
  /** Of the whole repository; undefined where snapshots were named. */
  stored: StoredSize | undefined;
}

export interface RebuildResult {
  packs: number;
  blobs: number;
  segments: number;
  /** Segments and packs that could not be read. */
  damaged: DamagedObject[];
}

/** An open repository. Its calls may not overlap; `close` ends it. */
export interface Repository {
  /** 64 hex digits. */
  readonly id: string;
  readonly location: string;
  /** @throws NotFoundError when none of the paths exists, BusyError, StorageError */
  snapshot(options: SnapshotOptions): Promise<SnapshotResult>;
  /** Live snapshots, oldest first. */
  snapshots(filter?: SnapshotFilter): Promise<{ snapshots: Snapshot[]; damaged: DamagedObject[] }>;
  /**
   * The snapshot that a full id, a unique prefix of it, `latest`, `latest~2` or
   * `@2026-01-31T12:00` means.
   * @throws NotFoundError
   */
  select(selector: string, filter?: SnapshotFilter): Promise<Snapshot>;
  /** The entries of a directory of a snapshot, or the one entry at the path. @throws NotFoundError */
  list(options: ListOptions): AsyncGenerator<ListedEntry, void, undefined>;
  /**
   * @throws NotFoundError, TargetError when the target cannot be used at all
   * @throws RangeError on a pattern that makes no sense
   */
  restore(options: RestoreOptions): Promise<RestoreResult>;
  check(options?: CheckOptions): Promise<CheckResult>;
  /**
   * What snapshots hold and what that takes.
   * @throws NotFoundError, CorruptionError where a tree cannot be read or a chunk is not there
   */
  stats(options?: StatsOptions): Promise<Stats>;
  /** Throws the local index away and builds it again. Writes nothing to the repository. */
  rebuildIndex(options?: LongCall): Promise<RebuildResult>;
  /** All key slots, oldest first, those included that this program cannot open. */
  keys(): Promise<KeySlot[]>;
  /** The key slot that an id, or a unique prefix of at least 4 digits, means. @throws NotFoundError */
  selectKey(id: string): Promise<KeySlot>;
  /**
   * Adds a key slot, which has been opened once when this returns; the others stay.
   * @returns its id.
   * @throws TypeError unless exactly one of passphrase and `isInsecure` is given.
   * @throws BusyError when another process changed the keys, CorruptionError, StorageError
   */
  addKey(key: NewKey): Promise<string>;
  /**
   * Removes the key slot of that id or unique prefix of at least 4 digits. Its passphrase still opens
   * copies of the slot: the keys of the repository stay what they are.
   * @throws NotFoundError when there is none, or no other one that this program can open.
   * @throws BusyError when another process changed the keys, StorageError
   */
  removeKey(id: string): Promise<KeySlot>;
  /**
   * Adds a key slot for the passphrase and, once that has opened, removes the one that opened this
   * repository. Whenever this stops, one of the two is there. Other key slots stay as they are.
   * @throws TypeError when the passphrase is empty.
   * @throws BusyError when another process changed the keys, CorruptionError, StorageError
   */
  changePassphrase(passphrase: string): Promise<{ id: string; removedId: string }>;
  /** Sessions that have begun and not ended: they write now, or were killed. Reads only. */
  sessions(): Promise<OpenSessions>;
  close(): Promise<void>;
}

/**
 * Creates a repository.
 * @returns its id (64 hex digits) and the name of the key slot made.
 * @throws TypeError unless exactly one of passphrase and `isInsecure` is given.
 * @throws RepositoryExistsError, StorageError
 */
export async function initRepository(
  options: InitOptions,
): Promise<{ id: string; location: string; keySlot: string }> {
  const credential = credentialOf(options, 'create repository');
  const storage = await createStorage(options.location);
  try {
    const { id, keySlot } = await initStored({ storage, credential });
    return { id: toHex(id), location: storage.location, keySlot };
  } finally {
    await storage.close();
  }
}

/** Forgetting the passphrase must not make a repository that opens without one. */
function credentialOf({ passphrase, isInsecure = false }: NewKey, action: string): Credential {
  const hasPassphrase = passphrase !== undefined && passphrase !== '';
  if (hasPassphrase === isInsecure) {
    throw new TypeError(`Cannot ${action}: expected either a passphrase or isInsecure`);
  }
  return hasPassphrase ? { kind: 'passphrase', passphrase } : { kind: 'none' };
}

/** @throws NoRepositoryError, KeyError, VersionError, CorruptionError, StorageError */
export async function openRepository(options: OpenOptions): Promise<Repository> {
  const { passphrase, onNotice, jobs = availableParallelism() + 1, memory } = options;
  const storage = await openStorage(options.location);
  try {
    const opened = await openStored({
      storage,
      askPassphrase: async () => {
        const given = typeof passphrase === 'function' ? await passphrase() : passphrase;
        loadAhead();
        return given;
      },
      cacheDirectory: options.cacheDirectory ?? defaultCacheDirectory(),
      stateDirectory: options.stateDirectory ?? defaultStateDirectory(),
      jobs,
      ...(memory !== undefined && { memory }),
      ...(onNotice !== undefined && { onNotice: once(onNotice) }),
    });
    return asPublic(opened);
  } catch (error) {
    await storage.close();
    throw error;
  }
}

/**
 * Operations are loaded when they are called. While a passphrase is stretched, in a thread of Node's
 * own, there is time for what takes longest; one that is not called then costs nothing but memory.
 */
function loadAhead(): void {
  // Once the stretching has begun.
  setImmediate(() => {
    // What cannot be loaded is told by the call that needs it.
    import('./backup/take-snapshot.ts').catch(() => {});
  });
}

/** @throws RangeError when a pattern or marker makes no sense, as `snapshot` would */
export function checkExcludes(options: ExcludeOptions): void {
  new Excludes(options);
}

/** @throws RangeError when a pattern makes no sense, as `restore` would */
export function checkRestorePatterns(patterns: RestorePatterns): void {
  new PathSelection(patterns);
}

function asPublic(repository: OpenedRepository): Repository {
  const loadForReading = () => loadView(repository, 'read');
  return {
    id: toHex(repository.id),
    location: repository.storage.location,
    snapshot: (options) => snapshot(repository, options),
    snapshots: async (filter = {}) => {
      const { snapshots, damaged } = await loadForReading();
      const wanted = byteFilter(filter);
      return { snapshots: snapshots.filter((one) => matchesFilter(one, wanted)), damaged };
    },
    select: async (selector, filter = {}) => {
      const { snapshots, damaged } = await loadForReading();
      // The one that is meant may be among them: "latest" would silently be an older one.
      noticeDamaged(repository, damaged);
      return selectSnapshot(snapshots, selector, byteFilter(filter));
    },
    list: (options) => list(repository, options),
    restore: (options) => restore(repository, options),
    check: async (options) => {
      const { checkRepository } = await import('./maintain/check.ts');
      return await checkRepository(repository, options);
    },
    stats: (options = {}) => stats(repository, options),
    rebuildIndex: (options = {}) => rebuild(repository, options),
    keys: () => listKeySlots(repository),
    selectKey: async (id) => selectKeySlot(await listKeySlots(repository), id),
    addKey: async (key) => addKey(repository, credentialOf(key, 'add key slot')),
    removeKey: (id) => removeKey(repository, id),
    changePassphrase: async (passphrase) => {
      if (passphrase === '') throw new TypeError('Cannot change passphrase: the new one is empty');
      return await changePassphrase(repository, passphrase);
    },
    sessions: () => listSessions(repository),
    close: () => repository.close(),
  };
}

async function snapshot(
  repository: OpenedRepository,
  options: SnapshotOptions,
): Promise<SnapshotResult> {
  const { source, host = hostname(), workingDirectory = process.cwd(), excludes } = options;
  if (excludes !== undefined) checkExcludes(excludes);
  const { takeSnapshot } = await import('./backup/take-snapshot.ts');
  return await takeSnapshot(repository, {
    ...options,
    workingDirectory,
    host: bytesOf(host),
    user: encodeUtf8(userName()),
    source: source === undefined ? undefined : bytesOf(source),
    timeZone: new Intl.DateTimeFormat().resolvedOptions().timeZone,
  });
}

/** Accounts without a name exist, in containers for one. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? '');
  }
}

async function* list(
  repository: OpenedRepository,
  options: ListOptions,
): AsyncGenerator<ListedEntry, void, undefined> {
  const { snapshot: chosen, path, isRecursive = false, signal } = options;
  const { openReadAccess } = await import('./repository/read-access.ts');
  const { listEntries } = await import('./browse/list-entries.ts');
  const access = await openReadAccess(repository, { signal });
  for await (const entry of listEntries(access, {
    snapshot: chosen,
    names: namesOf(path),
    isRecursive,
  })) {
    signal?.throwIfAborted();
    yield entry;
  }
}

async function restore(
  repository: OpenedRepository,
  options: RestoreOptions,
): Promise<RestoreResult> {
  const { path, target, includes = [], excludes = [], ...rest } = options;
  const isSelecting = includes.length + excludes.length > 0;
  const { restoreSnapshot } = await import('./restore/restore-snapshot.ts');
  return await restoreSnapshot(repository, {
    ...rest,
    names: namesOf(path),
    target: absolutePath(target),
    // Without one the bytes to come are known.
    selection: isSelecting ? new PathSelection({ includes, excludes }) : undefined,
  });
}

async function stats(repository: OpenedRepository, options: StatsOptions): Promise<Stats> {
  const { snapshots, signal } = options;
  const { openFixedAccess } = await import('./repository/read-access.ts');
  const { countSnapshots } = await import('./browse/stats.ts');
  const access = await openFixedAccess(repository, { signal });
  const { view } = access;
  if (snapshots === undefined) noticeDamaged(repository, view.damaged);
  const counted = await countSnapshots(access, snapshots ?? view.snapshots, options);
  const isWhole = snapshots === undefined;
  return { ...counted, stored: isWhole ? await measureStored(repository, { signal }) : undefined };
}

function noticeDamaged(repository: OpenedRepository, damaged: readonly DamagedObject[]): void {
  const names = damaged.map(({ name }) => name).join(', ');
  if (names !== '') repository.onNotice(`Cannot read all snapshots: ${names} damaged`);
}

async function rebuild(repository: OpenedRepository, options: LongCall): Promise<RebuildResult> {
  const view = await loadView(repository, 'read');
  const { rebuildIndex } = await import('./repository/index-sync.ts');
  const { index, damaged } = await rebuildIndex(repository, view, options);
  return { ...index.counts, damaged };
}

/** The components of an absolute path in a snapshot. */
function namesOf(path: Path | undefined): Uint8Array[] {
  if (path === undefined) return [];
  const text = Buffer.from(path as Uint8Array).toString('latin1');
  const names = text.split('/').filter((name) => name !== '' && name !== '.');
  return names.map((name) => new Uint8Array(Buffer.from(name, 'latin1')));
}

/** Relative text starts in the working directory of the process. */
function absolutePath(path: Path): Uint8Array {
  return typeof path === 'string' ? encodeUtf8(resolve(path)) : path;
}

function bytesOf(text: OutsideText): Uint8Array {
  return typeof text === 'string' ? encodeUtf8(text) : text;
}

function byteFilter({ host, source, path, tag }: SnapshotFilter): SnapshotByteFilter {
  return {
    host: host === undefined ? undefined : bytesOf(host),
    source: source === undefined ? undefined : bytesOf(source),
    path: path === undefined ? undefined : absolutePath(path),
    tag,
  };
}

/** Each text is told once. */
function once(onNotice: (text: string) => void): (text: string) => void {
  const told = new Set<string>();
  return (text) => {
    if (told.has(text)) return;
    told.add(text);
    onNotice(text);
  };
}
