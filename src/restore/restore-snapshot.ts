/**
 * Restoring a snapshot, or one path of it, into a directory: from what the user named to what is to
 * be restored. `restore-run.ts` does it.
 */
import { NotFoundError, type VarveError } from '../errors.ts';
import type { LongCall } from '../progress.ts';
import { openReadAccess, type ReadAccess } from '../repository/read-access.ts';
import type { Repository } from '../repository/repository.ts';
import type { Snapshot } from '../snapshot/selection.ts';
import { printable } from '../util/printable.ts';
import type { Overwrite } from './overwrite.ts';
import { type RestoreStart, Run, refusedError } from './restore-run.ts';
import { openTarget } from './target.ts';
import { nodeTargetFs, type TargetFs } from './target-fs.ts';
import type { TargetNotes } from './target-run.ts';
import { startWorkers } from './workers.ts';

/** Of an entry: it is restored; it is a directory that may hold such; or neither. */
type Choice = 'chosen' | 'passed' | 'none';

/** Which of the entries below the path that is restored are wanted. */
export interface RestoreSelection {
  /** Whether what is in the directory with these names from `/` is wanted without being named. */
  isChosen(names: readonly Uint8Array[]): boolean;
  /**
   * The test for the entries of a directory, given its path from `/` in the snapshot and whether it
   * was chosen or only passed. A directory that is neither is not looked into.
   */
  testIn(directory: {
    readonly path: Uint8Array;
    readonly isChosen: boolean;
  }): (entry: { readonly name: Uint8Array; readonly isDirectory: boolean }) => Choice;
}

export interface RestoreOptions extends LongCall {
  snapshot: Snapshot;
  /** Names from `/` to what is restored; empty for everything. */
  names: readonly Uint8Array[];
  /** Directory to restore into, made when missing; it must be empty unless `overwrite` is given. */
  target: Uint8Array;
  /** Default: the system's. Another one is used on the calling thread alone. */
  fs?: TargetFs | undefined;
  /** Default: everything. A directory that is only passed is made for what is restored in it. */
  selection?: RestoreSelection | undefined;
  /** What becomes of files and other entries that are there already. */
  overwrite?: Overwrite | undefined;
  /** Owners by number, even where their names are known here. */
  isNumericOwner?: boolean | undefined;
  /** Make FIFOs and, as root, devices. */
  withSpecialFiles?: boolean | undefined;
  /** Also extended attributes that the system gives a meaning, such as `trusted` and SELinux labels. */
  withAllAttributes?: boolean | undefined;
  /** Told of every entry that could not be restored, or not quite. */
  onError?: ((error: VarveError, path: Uint8Array) => void) | undefined;
}

export interface RestoreResult extends TargetNotes {
  files: number;
  directories: number;
  others: number;
  /** Entries that were there and stay as they are; directories do not count. */
  kept: number;
  bytes: bigint;
  errorCount: number;
  durationNs: bigint;
}

/**
 * @throws NotFoundError when the snapshot has no such path.
 * @throws TargetError when the target cannot be used at all.
 */
export async function restoreSnapshot(
  repository: Repository,
  options: RestoreOptions,
): Promise<RestoreResult> {
  const startedNs = repository.clock.monotonicNs();
  const access = await openReadAccess(repository, {
    signal: options.signal,
    onProgress: options.onProgress,
  });
  const start = await findStart(access, options);
  const run = new Run({
    ...options,
    repository,
    access,
    pool: startWorkers(repository, options.fs),
  });
  const target = openTarget(options.target, {
    fs: options.fs ?? nodeTargetFs,
    random: repository.random,
    hasAllAttributes: options.withAllAttributes,
    mayHoldEntries: options.overwrite !== undefined,
    keepsDirectories: options.overwrite === 'never',
    onProblem: (problem) => run.report(problem, problem.path),
  });
  await run.restore(target, start);
  return {
    ...run.counts,
    durationNs: repository.clock.monotonicNs() - startedNs,
  };
}

async function findStart(access: ReadAccess, options: RestoreOptions): Promise<RestoreStart> {
  const { snapshot, names } = options;
  const { root } = snapshot.manifest;
  if (names.length === 0) {
    return { kind: 'directory', root: root.entries === 0n ? undefined : root, node: undefined };
  }
  const entry = await access.find(root, names);
  const path = names.map((name) => `/${printable(name)}`).join('');
  if (entry === undefined) throw new NotFoundError('path', path);
  if (entry.type === 'refused') throw refusedError(entry.tag, path);
  if (entry.type === 'd') return { kind: 'directory', root: entry.directory, node: entry };
  return { kind: 'entry', node: entry };
}
