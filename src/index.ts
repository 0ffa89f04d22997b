/**
 * The library. This is all of it that is public: the command line uses nothing else. What the calls
 * of a repository do stands in `api/repository.ts`, what they take in `api/options.ts`.
 *
 * Write: `walk` → `chunk` (scan, cut) → `blob` (id) → `repository/dedupe` (`index`) → `similarity` (base? delta) →
 * `frame` (group, compress, seal) → `pack` → `storage` → `index` segment → `tree` → `snapshot` (commit).
 *
 * Read: `snapshot` → `tree` → `restore/plan` → `index` → `storage` (ranges, by pack) → `pack` → `frame` (open,
 * decompress, resolve delta base) → `blob` (verify id) → `restore` (write file, apply metadata).
 */
export { initRepository, openRepository } from './api/open-repository.ts';
export type {
  DiffOptions,
  DumpOptions,
  FindOptions,
  ForgetOptions,
  HistoryOptions,
  InitOptions,
  ListOptions,
  LiveDiffOptions,
  NewKey,
  OpenOptions,
  PacksRepairOptions,
  PruneOptions,
  RebuildResult,
  RestoreOptions,
  RestorePatterns,
  RetagOptions,
  RewriteOptions,
  SnapshotFilter,
  SnapshotOptions,
  SnapshotPath,
  Stats,
  StatsOptions,
  TreeSizesOptions,
  UndeleteOptions,
} from './api/options.ts';
export type { OutsideText, Path } from './api/outside-text.ts';
export { checkExcludes, checkFindCriteria, checkRestorePatterns } from './api/patterns.ts';
export type { Repository } from './api/repository.ts';
export type { EntryAction } from './backup/entry-saver.ts';
export type { Similarity, SnapshotResult } from './backup/take-snapshot.ts';
export type { MetadataField } from './browse/compare-nodes.ts';
export type { Difference, DifferenceKind } from './browse/compare-trees.ts';
export type { DirectorySize, ExclusiveSize } from './browse/directory-table.ts';
export type { SkipReason } from './browse/dump/archive-entry.ts';
export type { ArchiveFormat } from './browse/dump/dump.ts';
export type { SnapshotSize, TreeSizes } from './browse/exclusive-sizes.ts';
export type { FindCriteria, FoundEntry, FoundVersion } from './browse/find-entries.ts';
export type { ListedEntry } from './browse/list-entries.ts';
export type { PathChange, PathHistory, PathSpan } from './browse/path-history.ts';
export type { SnapshotRange } from './browse/snapshot-set.ts';
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
export type { CheckOptions, CheckResult } from './maintain/check.ts';
export { checkDataSubset, type DataSubset } from './maintain/choose-packs.ts';
export type { DroppedCounts } from './maintain/edit/drop-paths.ts';
export type { RetaggedSnapshot, RetagResult, TagChanges } from './maintain/edit/retag.ts';
export type { RewriteResult, RewrittenSnapshot } from './maintain/edit/rewrite-snapshots.ts';
export type { Finding, FindingKind, Severity } from './maintain/finding.ts';
export type { ForgetPlan, ForgetResult } from './maintain/forget.ts';
export type { PackReason, PackToGo } from './maintain/prune/plan.ts';
export type { PackTotals, PruneResult } from './maintain/prune/prune-result.ts';
export type { WaitingFor } from './maintain/prune/sessions.ts';
export type { HealedCounts } from './maintain/repair/healer.ts';
export type { IndexRepair } from './maintain/repair/repair-index.ts';
export type { Repair, RepairOptions } from './maintain/repair/repair-options.ts';
export type { PacksRepair } from './maintain/repair/repair-packs.ts';
export type {
  LostEntry,
  RepairedSnapshot,
  SnapshotsRepair,
  SnapshotsRepairOptions,
} from './maintain/repair/repair-snapshots.ts';
export type { UndeleteResult } from './maintain/undelete.ts';
export type { LongCall, OnProgress, Progress } from './progress.ts';
export type { OpenSession, OpenSessions } from './repository/list-sessions.ts';
export type { KeySlot, KeySlotKind } from './repository/manage-keys.ts';
export { PROGRAM } from './repository/repository.ts';
export type { StoredSize } from './repository/stored-size.ts';
export type { DamagedObject } from './repository/view.ts';
export type { Overwrite } from './restore/overwrite.ts';
export type { RestoreResult } from './restore/restore-snapshot.ts';
export type { SnapshotManifest } from './snapshot/manifest.ts';
export {
  checkRetention,
  type GroupKey,
  type RetentionGroup,
  type RetentionPolicy,
  type RetentionReason,
  type RetentionVerdict,
} from './snapshot/retention.ts';
export type { ForgottenSnapshot, Snapshot } from './snapshot/selection.ts';
export type { DirectoryEntry, Node, NodeType, RefusedNode, Time } from './tree/node.ts';
export { printable } from './util/printable.ts';
export type { ExcludeOptions } from './walk/excludes.ts';
