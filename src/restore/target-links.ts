/**
 * Hard links, and only to files this run has made. Which file a link group means is remembered with
 * its names and its inode; before a link is made the names are walked again by handle and the inode
 * is compared, and the link is then made to what was compared. A stored path is never trusted.
 */
import { childPath } from '../platform/directory-handle.ts';
import { toHex } from '../util/bytes.ts';
import type { CreatedFile, Inode, PlacedDirectory, TargetRun } from './target-run.ts';

export interface JustCreated {
  readonly directory: PlacedDirectory;
  readonly name: Uint8Array;
  readonly stat: Inode;
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

/** A descriptor that names the file of the group; undefined if there is none any more. */
export function openCreated(run: TargetRun, linkGroup: Uint8Array): number | undefined {
  const created = run.createdByGroup.get(toHex(linkGroup));
  if (created === undefined) return undefined;
  try {
    return openVerified(run, created);
  } catch {
    // Moved away, or in a directory that got a mode we cannot pass: copying is always possible.
    return undefined;
  }
}

/** A descriptor that names what was made, if it is still that. @throws a system error */
export function openVerified(run: TargetRun, created: CreatedFile): number | undefined {
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
