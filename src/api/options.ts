/** What the calls of the library take, and what they give that is no part of any one operation. */
import type { EntryAction } from '../backup/entry-saver.ts';
import type { Similarity } from '../backup/take-snapshot.ts';
import type { SkipReason } from '../browse/dump/archive-entry.ts';
import type { ArchiveFormat } from '../browse/dump/dump.ts';
import type { FindCriteria } from '../browse/find-entries.ts';
import type { SnapshotStats } from '../browse/stats.ts';
import type { SourceError, VarveError } from '../errors.ts';
import type { TagChanges } from '../maintain/edit/retag.ts';
import type { RewriteResult } from '../maintain/edit/rewrite-snapshots.ts';
import type { ForgetPlan } from '../maintain/forget.ts';
import type { PruneResult } from '../maintain/prune/prune-result.ts';
import type { RepairOptions } from '../maintain/repair/repair-options.ts';
import type { PacksRepair } from '../maintain/repair/repair-packs.ts';
import type { LongCall } from '../progress.ts';
import type { StoredSize } from '../repository/stored-size.ts';
import type { DamagedObject } from '../repository/view.ts';
import type { Overwrite } from '../restore/overwrite.ts';
import type { GroupKey, RetentionPolicy } from '../snapshot/retention.ts';
import type { Snapshot } from '../snapshot/selection.ts';
import type { ExcludeOptions } from '../walk/excludes.ts';
import type { OutsideText, Path } from './outside-text.ts';
import type { Repository } from './repository.ts';

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
  /** Also store `recover.mjs` in the directory, which restores without varve, and a README. */
  withRecover?: boolean | undefined;
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
  /** Whether new chunks are kept as deltas against similar ones; default: `on`. */
  similarity?: Similarity | undefined;
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

/** Two snapshots, or paths in them, of which the second is taken for the later one. */
export interface DiffOptions extends Pick<LongCall, 'signal'> {
  before: SnapshotPath;
  after: SnapshotPath;
}

export interface LiveDiffOptions extends SnapshotPath, Pick<LongCall, 'signal'> {
  /** As the snapshot was taken with; @throws RangeError on a pattern that makes no sense. */
  excludes?: ExcludeOptions | undefined;
  /** Told of every entry of the live tree that cannot be read; the call goes on. */
  onError?: ((error: SourceError) => void) | undefined;
}

export interface FindOptions extends FindCriteria, Pick<LongCall, 'signal'> {
  /** Where to look; default: all live snapshots. */
  snapshots?: readonly Snapshot[] | undefined;
}

export interface HistoryOptions extends Pick<LongCall, 'signal'> {
  /** Not `/`; relative text starts in the working directory. */
  path: Path;
  /** Default: all live snapshots. */
  snapshots?: readonly Snapshot[] | undefined;
  /** Whether a change of nothing but metadata is told, too. */
  hasMetadata?: boolean | undefined;
}

export interface DumpOptions extends SnapshotPath, LongCall {
  /** What the stream is; default: the bytes of the file. */
  archive?: ArchiveFormat | undefined;
  /** Told of every entry that cannot stand in the archive, by the name it would have there. */
  onSkipped?: ((name: Uint8Array, reason: SkipReason) => void) | undefined;
}

/** Patterns as in `ExcludeOptions`, for absolute paths in the snapshot. */
export interface RestorePatterns {
  /** Restore only what fits one of these, or is in a directory that does; none: everything. */
  includes?: readonly Path[] | undefined;
  /** Do not restore what fits, nor what is in a directory that does. */
  excludes?: readonly Path[] | undefined;
}

export interface RestoreOptions extends SnapshotPath, RestorePatterns, LongCall {
  /** Directory to restore into: new or empty, unless `overwrite` is given. */
  target: Path;
  /** What becomes of files and other entries that are there already. */
  overwrite?: Overwrite | undefined;
  /** Take owners by number, even where this machine knows their names. */
  isNumericOwner?: boolean | undefined;
  /** Make FIFOs and, as root, devices; default: they are reported and left out. */
  withSpecialFiles?: boolean | undefined;
  /** Also restore attributes such as `trusted.*` and SELinux labels; default: they are counted. */
  withAllAttributes?: boolean | undefined;
  /** Told of every entry that could not be restored, or not quite; the restore goes on. */
  onError?: ((error: VarveError, path: Uint8Array) => void) | undefined;
}

/** What to forget: exactly one of `policy` and `snapshots`. */
export interface ForgetOptions extends Pick<LongCall, 'signal'> {
  /** What to keep of each group; `checkRetention` tells beforehand whether it makes sense. */
  policy?: RetentionPolicy | undefined;
  /** What the snapshots that a policy judges together have in common; default: host and source. */
  groupBy?: readonly GroupKey[] | undefined;
  /** Snapshots to forget, as `select` takes them. */
  snapshots?: readonly string[] | undefined;
  /** Other snapshots are not looked at. */
  filter?: SnapshotFilter | undefined;
  /** Let nothing be left of a group, if it comes to that. */
  mayEmpty?: boolean | undefined;
  /** Say what would be forgotten, and write nothing. */
  isDryRun?: boolean | undefined;
  /** Shown a plan by which something goes; false lets everything stay. */
  confirm?: ((plan: ForgetPlan) => boolean | Promise<boolean>) | undefined;
}

export interface UndeleteOptions extends LongCall {
  /** Other snapshots are not looked at. */
  filter?: SnapshotFilter | undefined;
}

/** `set` replaces all tags, then some are removed, then added. */
export interface RetagOptions extends TagChanges, Pick<LongCall, 'signal'> {
  /** As `select` takes them; default: all that the filter leaves. */
  snapshots?: readonly string[] | undefined;
  /** Other snapshots are not looked at. */
  filter?: SnapshotFilter | undefined;
}

export interface RewriteOptions extends Pick<LongCall, 'signal'> {
  /** Patterns as in `ExcludeOptions` of what goes; at least one. */
  excludes: readonly Path[];
  /** As `select` takes them; default: all that the filter leaves. */
  snapshots?: readonly string[] | undefined;
  /** Other snapshots are not looked at. */
  filter?: SnapshotFilter | undefined;
  /** Forget the old snapshots once the new ones are there. */
  isForgetting?: boolean | undefined;
  /** Say what would go, and write nothing. */
  isDryRun?: boolean | undefined;
  /** Shown a plan by which something goes; false lets everything stay. */
  confirm?: ((plan: RewriteResult) => boolean | Promise<boolean>) | undefined;
}

export interface PacksRepairOptions extends RepairOptions<PacksRepair> {
  /** Read all data first, to find damage that is not known yet. */
  isReadingData?: boolean | undefined;
  /** Directory of the live files: that in which they were saved, or one with a restore of them. */
  live?: Path | undefined;
  /** A copy of the repository, opened by `openRepository`; whoever opened it closes it. */
  from?: Repository | undefined;
}

export interface PruneOptions extends LongCall {
  /** Say what would be deleted, and write nothing. */
  isDryRun?: boolean | undefined;
  /** Shown the plan where there is something to do; false lets everything stay. */
  confirm?: ((planned: PruneResult) => boolean | Promise<boolean>) | undefined;
  /** Bytes of live data that may be written again; default: as many as it takes. */
  repackSizeMax?: number | undefined;
  /** After so many ms nothing is begun that can wait for the next run; default: never. */
  durationMaxMs?: number | undefined;
  /** So many ms a forgotten snapshot is kept; default: as the repository says, a day. */
  graceMs?: number | undefined;
  /**
   * A session without a sign of life for so many ms is ended; default: as the repository says, a
   * day. Running ones give a sign every ten minutes.
   */
  sessionTtlMs?: number | undefined;
}

export interface StatsOptions extends LongCall {
  /** Only these; default: all live snapshots, and in `stats` what the repository takes. */
  snapshots?: readonly Snapshot[] | undefined;
}

export interface TreeSizesOptions extends SnapshotPath, LongCall {
  /** Directories so far below the path get a size of their own; 0: none, default: all. */
  depthMax?: number | undefined;
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
