/**
 * The calls of an open repository, handed on to the operations with all that they do not guess.
 * Operations are loaded when they are called: no command needs all of them.
 */
import { hostname, userInfo } from 'node:os';
import type { SnapshotResult } from '../backup/take-snapshot.ts';
import type { Difference } from '../browse/compare-trees.ts';
import type { SnapshotSize, TreeSizes } from '../browse/exclusive-sizes.ts';
import type { FoundEntry } from '../browse/find-entries.ts';
import type { ListedEntry } from '../browse/list-entries.ts';
import type { PathHistory } from '../browse/path-history.ts';
import type { RetagResult } from '../maintain/edit/retag.ts';
import type { RewriteResult } from '../maintain/edit/rewrite-snapshots.ts';
import type { ForgetResult } from '../maintain/forget.ts';
import type { PacksRepair } from '../maintain/repair/repair-packs.ts';
import type { UndeleteResult } from '../maintain/undelete.ts';
import type { LongCall } from '../progress.ts';
import { listSessions } from '../repository/list-sessions.ts';
import {
  addKey,
  changePassphrase,
  listKeySlots,
  removeKey,
  selectKeySlot,
} from '../repository/manage-keys.ts';
import type { ReadAccess } from '../repository/read-access.ts';
import type { Repository as OpenedRepository } from '../repository/repository.ts';
import { measureStored } from '../repository/stored-size.ts';
import { type DamagedObject, loadView } from '../repository/view.ts';
import type { RestoreResult } from '../restore/restore-snapshot.ts';
import {
  matchesFilter,
  type SnapshotFilter as SnapshotByteFilter,
  selectSnapshot,
} from '../snapshot/selection.ts';
import { encodeUtf8, toHex } from '../util/bytes.ts';
import { PathSelection } from '../walk/path-selection.ts';
import { credentialOf } from './credential.ts';
import type {
  DiffOptions,
  DumpOptions,
  FindOptions,
  ForgetOptions,
  HistoryOptions,
  ListOptions,
  LiveDiffOptions,
  PacksRepairOptions,
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
import { absolutePath, bytesOf, namesOf } from './outside-text.ts';
import { checkExcludes, checkFindCriteria } from './patterns.ts';
import type { Repository } from './repository.ts';

/** What stands behind the repositories that were opened here. */
const opened = new WeakMap<Repository, OpenedRepository>();

export function asPublic(repository: OpenedRepository): Repository {
  const loadForReading = () => loadView(repository, 'read');
  const shown: Repository = {
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
    diff: (options) => diff(repository, options),
    diffLive: (options) => diffLive(repository, options),
    find: (options) => find(repository, options),
    history: (options) => history(repository, options),
    dump: (options) => dumpPath(repository, options),
    restore: (options) => restore(repository, options),
    forget: (options) => forgetSnapshots(repository, options),
    forgotten: async (filter = {}) => {
      const { hidden, damaged } = await loadForReading();
      const wanted = byteFilter(filter);
      return { snapshots: hidden.filter((one) => matchesFilter(one, wanted)), damaged };
    },
    undelete: (selector, options = {}) => undeleteSnapshot(repository, selector, options),
    retag: (options) => retagSnapshots(repository, options),
    rewrite: (options) => rewrite(repository, options),
    check: async (options) => {
      const { checkRepository } = await import('../maintain/check.ts');
      return await checkRepository(repository, options);
    },
    prune: async (options) => {
      const { pruneRepository } = await import('../maintain/prune/prune.ts');
      return await pruneRepository(repository, options);
    },
    stats: (options = {}) => stats(repository, options),
    snapshotSizes: (options = {}) => snapshotSizes(repository, options),
    treeSizes: (options) => treeSizes(repository, options),
    rebuildIndex: (options = {}) => rebuild(repository, options),
    keys: () => listKeySlots(repository),
    selectKey: async (id) => selectKeySlot(await listKeySlots(repository), id),
    addKey: async (key) => addKey(repository, credentialOf(key, 'add key slot')),
    removeKey: (id) => removeKey(repository, id),
    changePassphrase: async (passphrase) => {
      if (passphrase === '') throw new TypeError('Cannot change passphrase: the new one is empty');
      return await changePassphrase(repository, passphrase);
    },
    repairIndex: async (options) => {
      const { repairIndex } = await import('../maintain/repair/repair-index.ts');
      return await repairIndex(repository, options);
    },
    repairPacks: (options = {}) => repairPacks(repository, options),
    repairSnapshots: async (options) => {
      const { repairSnapshots } = await import('../maintain/repair/repair-snapshots.ts');
      return await repairSnapshots(repository, options);
    },
    sessions: () => listSessions(repository),
    close: () => repository.close(),
  };
  opened.set(shown, repository);
  return shown;
}

async function repairPacks(
  repository: OpenedRepository,
  { live, from, ...rest }: PacksRepairOptions,
): Promise<PacksRepair> {
  const source = from && opened.get(from);
  if (from !== undefined && source === undefined) {
    throw new TypeError('Cannot repair packs from a repository that openRepository did not open');
  }
  const module = await import('../maintain/repair/repair-packs.ts');
  return await module.repairPacks(repository, {
    ...rest,
    live: live === undefined ? undefined : absolutePath(live),
    from: source,
  });
}

async function snapshot(
  repository: OpenedRepository,
  options: SnapshotOptions,
): Promise<SnapshotResult> {
  const { source, host = hostname(), workingDirectory = process.cwd(), excludes } = options;
  if (excludes !== undefined) checkExcludes(excludes);
  const { takeSnapshot } = await import('../backup/take-snapshot.ts');
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
  const { openReadAccess } = await import('../repository/read-access.ts');
  const { listEntries } = await import('../browse/list-entries.ts');
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

async function* diff(
  repository: OpenedRepository,
  { before, after, signal }: DiffOptions,
): AsyncGenerator<Difference, void, undefined> {
  const { openReadAccess } = await import('../repository/read-access.ts');
  const { compareTrees } = await import('../browse/compare-trees.ts');
  yield* compareTrees(await openReadAccess(repository, { signal }), {
    before: { snapshot: before.snapshot, names: namesOf(before.path) },
    after: { snapshot: after.snapshot, names: namesOf(after.path) },
    signal,
  });
}

async function* diffLive(
  repository: OpenedRepository,
  { path, ...options }: LiveDiffOptions,
): AsyncGenerator<Difference, void, undefined> {
  if (options.excludes !== undefined) checkExcludes(options.excludes);
  const { openReadAccess } = await import('../repository/read-access.ts');
  const { compareLive } = await import('../browse/compare-live.ts');
  const access = await openReadAccess(repository, { signal: options.signal });
  yield* compareLive(repository, access, { ...options, names: namesOf(path) });
}

async function* find(
  repository: OpenedRepository,
  { snapshots, signal, ...criteria }: FindOptions,
): AsyncGenerator<FoundEntry, void, undefined> {
  checkFindCriteria(criteria);
  const { openReadAccess } = await import('../repository/read-access.ts');
  const { findEntries } = await import('../browse/find-entries.ts');
  // Many trees are read side by side, each from frames of its own.
  const frameCacheSize = repository.memory / 2;
  const access = await openReadAccess(repository, { signal, frameCacheSize });
  if (snapshots === undefined) noticeDamaged(repository, access.view.damaged);
  const searched = snapshots ?? access.view.snapshots;
  yield* findEntries(access, { ...criteria, snapshots: searched, signal });
}

async function history(
  repository: OpenedRepository,
  { path, snapshots, hasMetadata, signal }: HistoryOptions,
): Promise<PathHistory[]> {
  const names = namesOf(absolutePath(path));
  if (names.length === 0)
    throw new RangeError('Cannot tell the history of "/": it is always there');
  const { openReadAccess } = await import('../repository/read-access.ts');
  const { tracePath } = await import('../browse/path-history.ts');
  const access = await openReadAccess(repository, { signal });
  if (snapshots === undefined) noticeDamaged(repository, access.view.damaged);
  const searched = snapshots ?? access.view.snapshots;
  return await tracePath(access, { snapshots: searched, names, hasMetadata, signal });
}

async function* dumpPath(
  repository: OpenedRepository,
  { path, ...options }: DumpOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { openReadAccess } = await import('../repository/read-access.ts');
  const { dump } = await import('../browse/dump/dump.ts');
  const access = await openReadAccess(repository, { signal: options.signal });
  yield* dump(access, { ...options, names: namesOf(path) });
}

async function restore(
  repository: OpenedRepository,
  options: RestoreOptions,
): Promise<RestoreResult> {
  const { path, target, includes = [], excludes = [], ...rest } = options;
  const isSelecting = includes.length + excludes.length > 0;
  const { restoreSnapshot } = await import('../restore/restore-snapshot.ts');
  return await restoreSnapshot(repository, {
    ...rest,
    names: namesOf(path),
    target: absolutePath(target),
    // Without one the bytes to come are known.
    selection: isSelecting ? new PathSelection({ includes, excludes }) : undefined,
  });
}

async function forgetSnapshots(
  repository: OpenedRepository,
  { policy, groupBy, snapshots, filter = {}, ...rest }: ForgetOptions,
): Promise<ForgetResult> {
  if ((policy === undefined) === (snapshots === undefined)) {
    throw new TypeError('Cannot forget: expected either a policy or snapshots');
  }
  const choice = policy === undefined ? { selectors: snapshots ?? [] } : { policy, groupBy };
  const { forget } = await import('../maintain/forget.ts');
  return await forget(repository, { ...rest, choice, filter: byteFilter(filter) });
}

async function undeleteSnapshot(
  repository: OpenedRepository,
  selector: string,
  { filter = {}, ...rest }: UndeleteOptions,
): Promise<UndeleteResult> {
  const { undelete } = await import('../maintain/undelete.ts');
  return await undelete(repository, { ...rest, selector, filter: byteFilter(filter) });
}

async function retagSnapshots(
  repository: OpenedRepository,
  { snapshots, filter = {}, ...rest }: RetagOptions,
): Promise<RetagResult> {
  const { retag } = await import('../maintain/edit/retag.ts');
  return await retag(repository, { ...rest, selectors: snapshots, filter: byteFilter(filter) });
}

async function rewrite(
  repository: OpenedRepository,
  { snapshots, filter = {}, ...rest }: RewriteOptions,
): Promise<RewriteResult> {
  const { rewriteSnapshots } = await import('../maintain/edit/rewrite-snapshots.ts');
  const chosen = { selectors: snapshots, filter: byteFilter(filter) };
  return await rewriteSnapshots(repository, { ...rest, ...chosen });
}

async function stats(repository: OpenedRepository, options: StatsOptions): Promise<Stats> {
  const { snapshots, signal } = options;
  const { countSnapshots } = await import('../browse/stats.ts');
  const access = await openAccess(repository, signal);
  const { view } = access;
  if (snapshots === undefined) noticeDamaged(repository, view.damaged);
  const counted = await countSnapshots(access, snapshots ?? view.snapshots, options);
  const isWhole = snapshots === undefined;
  return { ...counted, stored: isWhole ? await measureStored(repository, { signal }) : undefined };
}

async function snapshotSizes(
  repository: OpenedRepository,
  options: StatsOptions,
): Promise<SnapshotSize[]> {
  const { measureSnapshots } = await import('../browse/exclusive-sizes.ts');
  const access = await openAccess(repository, options.signal);
  return await measureSnapshots(access, options.snapshots ?? access.view.snapshots, options);
}

async function treeSizes(
  repository: OpenedRepository,
  { path, depthMax = Number.POSITIVE_INFINITY, ...rest }: TreeSizesOptions,
): Promise<TreeSizes> {
  const { measureTree } = await import('../browse/exclusive-sizes.ts');
  const access = await openAccess(repository, rest.signal);
  return await measureTree(access, { ...rest, names: namesOf(path), depthMax });
}

async function openAccess(
  repository: OpenedRepository,
  signal: AbortSignal | undefined,
): Promise<ReadAccess> {
  const { openFixedAccess } = await import('../repository/read-access.ts');
  return await openFixedAccess(repository, { signal });
}

function noticeDamaged(repository: OpenedRepository, damaged: readonly DamagedObject[]): void {
  const names = damaged.map(({ name }) => name).join(', ');
  if (names !== '') repository.onNotice(`Cannot read all snapshots: ${names} damaged`);
}

async function rebuild(repository: OpenedRepository, options: LongCall): Promise<RebuildResult> {
  const view = await loadView(repository, 'read');
  const { rebuildIndex } = await import('../repository/index-sync.ts');
  const { index, damaged } = await rebuildIndex(repository, view, options);
  return { ...index.counts, damaged };
}

function byteFilter({ host, source, path, tag }: SnapshotFilter): SnapshotByteFilter {
  return {
    host: host === undefined ? undefined : bytesOf(host),
    source: source === undefined ? undefined : bytesOf(source),
    path: path === undefined ? undefined : absolutePath(path),
    tag,
  };
}
