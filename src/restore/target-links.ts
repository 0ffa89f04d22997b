/**
 * Hard links, and only to files this run has made. Which file a link group means is remembered with
 * its names and its inode; before a link is made the names are walked again by handle and the inode
 * is compared, and the link is then made to what was compared. A stored path is never trusted.
 *
 * Where there can be no link the name becomes a file of its own, with the same content; that is told.
 */
import { errnoCode, type TargetError } from '../errors.ts';
import { childPath, joinPath } from '../platform/directory-handle.ts';
import { toHex } from '../util/bytes.ts';
import { attempt, targetError } from './target-error.ts';
import type { CreatedFile, Inode, PlacedDirectory, TargetRun } from './target-run.ts';

export interface JustCreated {
  readonly directory: PlacedDirectory;
  readonly name: Uint8Array;
  readonly stat: Inode;
}

/** A name that is to be made, and what it is called until it takes the place of another. */
export interface NewName {
  readonly directory: PlacedDirectory;
  readonly name: Uint8Array;
  readonly madeAs: Uint8Array;
}

/** Remembers a new file whose node is in a link group. */
export function recordCreated(
  run: TargetRun,
  linkGroup: Uint8Array | undefined,
  { directory, name, stat }: JustCreated,
): void {
  if (linkGroup === undefined) return;
  const { device, inode } = stat;
  const names = [...directory.names, name];
  run.createdByGroup.set(toHex(linkGroup), { device, inode, names });
}

/** Takes note that a link group has a file that nothing can be linked to. */
export function recordUnreachable(run: TargetRun, linkGroup: Uint8Array | undefined): void {
  if (linkGroup !== undefined) run.createdByGroup.set(toHex(linkGroup), 'unreachable');
}

/** `first`: the group has no file yet. An error: its file cannot have this name as well. */
export type LinkOutcome = 'linked' | 'first' | TargetError;

/**
 * Makes another name for the file of a link group.
 * @throws TargetError where the name is taken
 */
export function linkToCreated(
  run: TargetRun,
  linkGroup: Uint8Array,
  { directory, name, madeAs }: NewName,
): LinkOutcome {
  const created = run.createdByGroup.get(toHex(linkGroup));
  if (created === undefined) return 'first';
  const path = (): Uint8Array => joinPath(directory.path, name);
  let fd: number | undefined;
  try {
    fd = openVerified(run, created);
    if (fd === undefined) return notLinked(path());
    const opened = fd;
    attempt({ operation: 'link', path }, () =>
      run.fs.linkDescriptor(opened, childPath(directory, madeAs)),
    );
    return 'linked';
  } catch (error) {
    if ((error as TargetError).reason === 'exists') throw error;
    // Too many links, links of no kind here, a directory that got a mode we cannot pass.
    return notLinked(path(), error);
  } finally {
    if (fd !== undefined) run.fs.close(fd);
  }
}

function notLinked(path: Uint8Array, error?: unknown): TargetError {
  const cause = (error as TargetError | undefined)?.cause ?? error;
  const why = errnoCode(cause) ?? 'its other name is no longer what was made';
  const found = `${why}; it is a file of its own now`;
  return targetError({ path, operation: 'link', reason: 'hard_link', found, cause });
}

/** Undefined where what is there is not the file that was made, or cannot be told from another. */
export function openVerified(
  run: TargetRun,
  created: CreatedFile | 'unreachable',
): number | undefined {
  if (created === 'unreachable') return undefined;
  const fd = openByNames(run, created.names);
  const { device, inode } = run.fs.fstat(fd);
  if (device === created.device && inode === created.inode) return fd;
  run.fs.close(fd);
  return undefined;
}

/** Goes down from the target, one handle at a time. */
function openByNames({ fs, target }: TargetRun, names: readonly Uint8Array[]): number {
  let { fd } = target;
  for (const [i, name] of names.entries()) {
    const path = childPath({ fd, path: target.path }, name);
    const above = fd;
    try {
      fd = i === names.length - 1 ? fs.openEntry(path) : fs.openDirectory(path);
    } finally {
      if (above !== target.fd) fs.close(above);
    }
  }
  return fd;
}
