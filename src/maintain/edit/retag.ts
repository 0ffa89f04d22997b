/**
 * Other tags for snapshots. Each gets a new snapshot with the same tree and times, and the old one is
 * forgotten: first the one, then the other, so that whatever stops this, no snapshot is lost.
 */
import type { SessionId } from '../../id.ts';
import type { Repository } from '../../repository/repository.ts';
import { loadView } from '../../repository/view.ts';
import {
  matchesFilter,
  type Snapshot,
  type SnapshotFilter,
  selectSnapshot,
} from '../../snapshot/selection.ts';
import { forgetReplaced, replaceSnapshot } from './replace-snapshot.ts';

/** Exactly what is given is done: `set` replaces all tags, then some are removed, then added. */
export interface TagChanges {
  set?: readonly string[] | undefined;
  add?: readonly string[] | undefined;
  remove?: readonly string[] | undefined;
}

export interface RetagOptions extends TagChanges {
  /** As `select` takes them; default: all that the filter leaves. */
  selectors?: readonly string[] | undefined;
  filter?: SnapshotFilter | undefined;
  signal?: AbortSignal | undefined;
}

export interface RetaggedSnapshot {
  /** The one that was forgotten. */
  id: SessionId;
  newId: SessionId;
  tags: string[];
}

export interface RetagResult {
  changed: RetaggedSnapshot[];
  /** Snapshots that had these tags already. */
  unchangedCount: number;
}

/**
 * @throws TypeError when nothing is to change, or a tag is empty.
 * @throws NotFoundError when a selector means no snapshot; nothing is then changed.
 * @throws CorruptionError, VersionError, BusyError, StorageError
 */
export async function retag(repository: Repository, options: RetagOptions): Promise<RetagResult> {
  const { signal } = options;
  demandChanges(options);
  const chosen = chooseSnapshots((await loadView(repository, 'write')).snapshots, options);
  const result: RetagResult = { changed: [], unchangedCount: 0 };
  for (const snapshot of chosen) {
    const { id, manifest } = snapshot;
    const tags = changedTags(manifest.tags, options);
    if (isSameList(tags, manifest.tags)) {
      result.unchangedCount += 1;
      continue;
    }
    signal?.throwIfAborted();
    const newId = await replaceSnapshot(repository, snapshot, {
      signal,
      amend: async () => ({ tags }),
    });
    await forgetReplaced(repository, [id], undefined);
    result.changed.push({ id, newId, tags });
  }
  return result;
}

/** Each once, in the order in which they are named. @throws NotFoundError */
export function chooseSnapshots(
  snapshots: readonly Snapshot[],
  { selectors, filter = {} }: Pick<RetagOptions, 'selectors' | 'filter'>,
): Snapshot[] {
  if (selectors === undefined) return snapshots.filter((one) => matchesFilter(one, filter));
  return [...new Set(selectors.map((selector) => selectSnapshot(snapshots, selector, filter)))];
}

function demandChanges({ set, add = [], remove = [] }: TagChanges): void {
  if (set === undefined && add.length === 0 && remove.length === 0) {
    throw new TypeError('Cannot change tags: neither set, nor add, nor remove is given');
  }
  if ([...(set ?? []), ...add, ...remove].includes('')) {
    throw new TypeError('Cannot change tags: a tag is empty');
  }
}

function changedTags(
  tags: readonly string[],
  { set, add = [], remove = [] }: TagChanges,
): string[] {
  const removed = new Set(remove);
  const kept = (set ?? tags).filter((tag) => !removed.has(tag));
  return [...new Set([...kept, ...add])];
}

function isSameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((one, i) => one === b[i]);
}
