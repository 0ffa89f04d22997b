/** An open repository as the library shows it. */
import type { SnapshotResult } from '../backup/take-snapshot.ts';
import type { Difference } from '../browse/compare-trees.ts';
import type { SnapshotSize, TreeSizes } from '../browse/exclusive-sizes.ts';
import type { FoundEntry } from '../browse/find-entries.ts';
import type { ListedEntry } from '../browse/list-entries.ts';
import type { PathHistory } from '../browse/path-history.ts';
import type { CheckOptions, CheckResult } from '../maintain/check.ts';
import type { RetagResult } from '../maintain/edit/retag.ts';
import type { RewriteResult } from '../maintain/edit/rewrite-snapshots.ts';
import type { ForgetResult } from '../maintain/forget.ts';
import type { PruneResult } from '../maintain/prune/prune-result.ts';
import type { IndexRepair } from '../maintain/repair/repair-index.ts';
import type { RepairOptions } from '../maintain/repair/repair-options.ts';
import type { PacksRepair } from '../maintain/repair/repair-packs.ts';
import type {
  SnapshotsRepair,
  SnapshotsRepairOptions,
} from '../maintain/repair/repair-snapshots.ts';
import type { UndeleteResult } from '../maintain/undelete.ts';
import type { LongCall } from '../progress.ts';
import type { OpenSessions } from '../repository/list-sessions.ts';
import type { KeySlot } from '../repository/manage-keys.ts';
import type { DamagedObject } from '../repository/view.ts';
import type { RestoreResult } from '../restore/restore-snapshot.ts';
import type { ForgottenSnapshot, Snapshot } from '../snapshot/selection.ts';
import type {
  DiffOptions,
  DumpOptions,
  FindOptions,
  ForgetOptions,
  HistoryOptions,
  ListOptions,
  LiveDiffOptions,
  NewKey,
  PacksRepairOptions,
  PruneOptions,
  RebuildResult,
  RestoreOptions,
  RetagOptions,
  RewriteOptions,
  SnapshotFilter,
  SnapshotOptions,
  Stats,
  StatsOptions,
  TreeSizesOptions,
  UndeleteOptions,
} from './options.ts';

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
   * What differs between two snapshots, or paths in them, in the order of paths.
   * @throws NotFoundError when one of the paths is not there, CorruptionError, StorageError
   * @throws VersionError where an entry has fields of a later version
   */
  diff(options: DiffOptions): AsyncGenerator<Difference, void, undefined>;
  /**
   * What differs between a snapshot, or a path in it, and the live tree at the same place, which comes
   * after it. Nothing is written.
   * @throws as `diff`
   */
  diffLive(options: LiveDiffOptions): AsyncGenerator<Difference, void, undefined>;
  /**
   * Entries that fit, in all snapshots or those that are named, in the order of paths.
   * @throws RangeError on a pattern that makes no sense
   */
  find(options: FindOptions): AsyncGenerator<FoundEntry, void, undefined>;
  /**
   * What became of a path over the snapshots, by host and source.
   * @throws RangeError on the path `/`
   */
  history(options: HistoryOptions): Promise<PathHistory[]>;
  /**
   * The bytes of a file, or an archive of what is at a path, in pieces that must not be changed. Where
   * it ends with an error, what came before is not whole.
   * @throws NotFoundError also when a file is asked for and there is something else
   * @throws CorruptionError, StorageError
   */
  dump(options: DumpOptions): AsyncGenerator<Uint8Array, void, undefined>;
  /**
   * @throws NotFoundError, TargetError when the target cannot be used at all
   * @throws RangeError on a pattern that makes no sense
   */
  restore(options: RestoreOptions): Promise<RestoreResult>;
  /**
   * Forgets snapshots, by a policy or named one by one. Nothing is deleted: until a collection after
   * the grace `undelete` brings them back.
   * @throws TypeError unless exactly one of `policy` and `snapshots` is given.
   * @throws RangeError when a policy makes no sense, or nothing would be left of a group though
   * `mayEmpty` is not given; nothing is then forgotten.
   * @throws NotFoundError when a snapshot that is named is not there
   */
  forget(options: ForgetOptions): Promise<ForgetResult>;
  /** Forgotten snapshots whose records are still there, oldest first. */
  forgotten(
    filter?: SnapshotFilter,
  ): Promise<{ snapshots: ForgottenSnapshot[]; damaged: DamagedObject[] }>;
  /**
   * Brings a forgotten snapshot back, whole or not at all, under a new id. It is chosen among the
   * forgotten ones as by `select`.
   * @throws NotFoundError also when a collection has taken a part of it
   * @throws CorruptionError when a part cannot be read, BusyError, StorageError
   */
  undelete(selector: string, options?: UndeleteOptions): Promise<UndeleteResult>;
  /**
   * Changes the tags of snapshots: each is stored anew, under another id, and then forgotten.
   * @throws TypeError when nothing is to change
   * @throws NotFoundError when a snapshot that is named is not there; nothing is then changed
   * @throws CorruptionError, VersionError, BusyError, StorageError
   */
  retag(options: RetagOptions): Promise<RetagResult>;
  /**
   * Makes new snapshots without what fits a pattern, with the times of the old ones, which stay unless
   * they are to be forgotten.
   * @throws RangeError on a pattern that makes no sense, NotFoundError
   * @throws CorruptionError, VersionError, BusyError, StorageError
   */
  rewrite(options: RewriteOptions): Promise<RewriteResult>;
  /**
   * Deletes what no snapshot needs. Others may go on writing meanwhile; whenever this stops, no
   * snapshot has lost anything, and the next call goes on from there.
   * @throws CorruptionError when anything cannot be read that says what is needed
   * @throws BusyError when another call was faster, StorageError
   */
  prune(options?: PruneOptions): Promise<PruneResult>;
  /** @throws RangeError on a subset of nothing, StorageError when it cannot look */
  check(options?: CheckOptions): Promise<CheckResult>;
  /**
   * Names packs again whose index segment is lost or damaged. This, like all repairs, writes new
   * objects and neither changes nor deletes any.
   * @throws VersionError, BusyError, CorruptionError, StorageError
   */
  repairIndex(options?: RepairOptions<IndexRepair>): Promise<IndexRepair>;
  /**
   * Stores damaged and missing blobs again, as far as their content can be had.
   * @throws TypeError when `from` was not opened here, VersionError, CorruptionError, StorageError
   */
  repairPacks(options?: PacksRepairOptions): Promise<PacksRepair>;
  /**
   * Makes a new snapshot, without what is lost, of each that has damage; the old ones stay.
   * @throws VersionError, BusyError, CorruptionError, StorageError
   */
  repairSnapshots(options?: SnapshotsRepairOptions): Promise<SnapshotsRepair>;
  /**
   * What snapshots hold and what that takes.
   * @throws NotFoundError, CorruptionError where a tree cannot be read or a chunk is not there
   */
  stats(options?: StatsOptions): Promise<Stats>;
  /**
   * What snapshots, by default all, hold and what is stored for each of them alone.
   * @throws NotFoundError, CorruptionError, VersionError where any snapshot of the repository cannot
   * be read: then nobody knows what is needed.
   */
  snapshotSizes(options?: StatsOptions): Promise<SnapshotSize[]>;
  /**
   * The same for the directories at and below a path of a snapshot.
   * @throws NotFoundError also when there is nothing at the path
   */
  treeSizes(options: TreeSizesOptions): Promise<TreeSizes>;
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
