/**
 * Flags that lock a file, set at the end of a run: one that is immutable or append only can be neither
 * renamed nor linked, and nothing can be made in such a directory. Which file is meant is remembered by its
 * names and its inode, as for hard links; the flags go to what was compared.
 */
import { joinPath } from '../platform/directory-handle.ts';
import { lockingFlags } from '../platform/file-flags.ts';
import { attempt, targetError } from './target-error.ts';
import { openVerified } from './target-links.ts';
import { applyFlags, reporting, type TargetMetadata } from './target-metadata.ts';
import type { Inode, LateFlags, TargetRun } from './target-run.ts';

/** Remembers what was made, if it is to be locked. @param names from the target down */
export function recordLateFlags(
  run: TargetRun,
  { flags = 0 }: TargetMetadata,
  { names, stat }: { names: () => readonly Uint8Array[]; stat: Inode },
): void {
  const late = flags & lockingFlags;
  if (late === 0) return;
  const { device, inode } = stat;
  run.lateFlags.push({ names: names(), device, inode, flags: late });
}

/** Locks all there is to lock; while the target is still open. */
export function applyLateFlags(run: TargetRun): void {
  for (const late of run.lateFlags.splice(0)) reporting(run, () => applyOne(run, late));
}

function applyOne(run: TargetRun, late: LateFlags): void {
  const { fs, target } = run;
  const path = (): Uint8Array => joinPath(target.path, ...late.names);
  const operation = 'set flags of';
  const named = attempt({ operation, path }, () => openVerified(run, late));
  if (named === undefined) {
    const found = 'it is no longer what was made';
    throw targetError({ path: path(), operation, reason: 'unsafe', found });
  }
  try {
    const fd = attempt({ operation, path }, () => fs.reopen(named));
    try {
      applyFlags(run, { fd, path }, late.flags);
    } finally {
      fs.close(fd);
    }
  } finally {
    fs.close(named);
  }
}
