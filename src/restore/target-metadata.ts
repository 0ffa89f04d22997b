/**
 * Owner, attributes, mode, ACLs, flags and times of one entry, set on its descriptor in this order: a
 * change of owner clears setuid and capabilities, and everything before them changes the times. Flags
 * that would keep the entry from being renamed or linked wait until the end of the run
 * (`target-flags.ts`). What cannot be set is reported and does not cost the entry.
 */
import { TargetError } from '../errors.ts';
import { flagLetters, lockingFlags } from '../platform/file-flags.ts';
import type { FileStat } from '../platform/file-stat.ts';
import type { FileTimes, Timestamp } from '../platform/times.ts';
import type { Attribute } from '../tree/attributes.ts';
import { applyOtherAttributes, applyUserAttributes } from './target-attributes.ts';
import { attempt, targetError } from './target-error.ts';
import type { WriterRun } from './target-run.ts';

/** The fields of a tree node that are set on what was restored. */
export interface TargetMetadata {
  readonly mode?: number | undefined;
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
  readonly mtime?: Timestamp | undefined;
  readonly linkGroup?: Uint8Array | undefined;
  readonly attributes?: readonly Attribute[] | undefined;
  readonly flags?: number | undefined;
}

export type EntryKind = 'directory' | 'file' | 'symlink' | 'special';

/** An entry with its descriptor; of a symlink or special file the descriptor only names it. */
export interface OpenEntry {
  readonly fd: number;
  readonly path: () => Uint8Array;
  readonly kind: EntryKind;
}

const setuidAndSetgid = 0o6000;
const sticky = 0o1000;

/** @param stat of the entry as it is before this. */
export function applyMetadata(
  run: WriterRun,
  entry: OpenEntry & { stat?: FileStat | undefined },
  metadata: TargetMetadata,
): void {
  const isOwnerSet = reporting(run, () => applyOwner(run, entry, metadata.owner)) ?? false;
  const { attributes = noAttributes, flags = 0 } = metadata;
  if (attributes.length > 0) reporting(run, () => applyUserAttributes(run, entry, attributes));
  if (metadata.mode !== undefined && entry.kind !== 'symlink') {
    const { mode } = metadata;
    reporting(run, () => applyMode(run, entry, { mode, isOwnerSet }));
  }
  if (attributes.length > 0 || run.rules.inheritsAcl) {
    reporting(run, () => applyOtherAttributes(run, entry, { attributes, isOwnerSet }));
  }
  const earlyFlags = flags & ~lockingFlags;
  if (earlyFlags !== 0) reporting(run, () => applyFlags(run, entry, earlyFlags));
  if (metadata.mtime !== undefined) {
    const times = { mtime: metadata.mtime };
    reporting(run, () => applyTimes(run, entry, times));
  }
}

const noAttributes: readonly Attribute[] = [];

/** @throws TargetError */
export function applyFlags(
  { fs }: WriterRun,
  { fd, path }: Omit<OpenEntry, 'kind'>,
  flags: number,
): void {
  const operation = 'set flags of';
  const left = attempt({ operation, path }, () => fs.addFlags(fd, flags));
  if (left === 0) return;
  const found = `"${flagLetters(left)}" is not possible here, or not for this user`;
  throw targetError({ path: path(), operation, reason: 'flags', found });
}

export function reporting<T>(run: WriterRun, action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof TargetError)) throw error;
    run.onProblem(error);
    return undefined;
  }
}

/** Whether the entry now belongs to whom it should; nobody else may get its special bits. */
function applyOwner(
  run: WriterRun,
  entry: OpenEntry & { stat?: FileStat | undefined },
  owner: TargetMetadata['owner'],
): boolean {
  if (owner === undefined) return false;
  const operation = 'set owner of';
  return attempt({ operation, path: entry.path }, () => {
    if (isOwnedBy(entry.stat ?? run.fs.fstat(entry.fd), owner)) return true;
    const cause = changeOwner(run, entry, owner);
    // Looked at, not believed: 2^32 - 1 means "leave it" to the system, which then succeeds.
    if (isOwnedBy(run.fs.fstat(entry.fd), owner)) return true;
    if (run.isRoot) throw targetError({ path: entry.path(), operation, reason: 'owner', cause });
    run.notes.ownerNotSetCount++;
    return false;
  });
}

function isOwnedBy(stat: FileStat, owner: { uid: number; gid: number }): boolean {
  return stat.uid === owner.uid && stat.gid === owner.gid;
}

/** What the system said if it refused. An ordinary user may still choose among own groups. */
function changeOwner(
  { fs, isRoot }: WriterRun,
  { fd, kind }: OpenEntry,
  { uid, gid }: { uid: number; gid: number },
): unknown {
  let refusal: unknown;
  for (const user of isRoot ? [uid] : [uid, -1]) {
    try {
      if (isNamed(kind)) fs.chownEntry(fd, user, gid);
      else fs.chown(fd, user, gid);
      return undefined;
    } catch (cause) {
      refusal = cause;
    }
  }
  return refusal;
}

function applyTimes({ fs }: WriterRun, { fd, path, kind }: OpenEntry, times: FileTimes): void {
  attempt({ path, operation: 'set times of' }, () => {
    if (isNamed(kind)) fs.setEntryTimes(fd, times);
    else fs.setTimes(fd, times);
  });
}

function applyMode(
  run: WriterRun,
  { fd, path, kind }: OpenEntry,
  { mode, isOwnerSet }: { mode: number; isOwnerSet: boolean },
): void {
  const operation = 'set mode of';
  // A sticky directory gives nobody a right; it only keeps others from deleting what is not theirs.
  const guarded = kind === 'directory' ? setuidAndSetgid : setuidAndSetgid | sticky;
  const mayBeSpecial = run.isRoot && isOwnerSet;
  const given = mayBeSpecial ? mode : mode & ~guarded;
  attempt({ path, operation }, () => {
    if (isNamed(kind)) run.fs.chmodEntry(fd, given);
    else run.fs.chmod(fd, given);
  });
  if (mayBeSpecial || (mode & guarded) === 0) return;
  const found = 'setuid, setgid and sticky are set as root only, after the owner';
  throw targetError({ path: path(), operation, reason: 'special_bits', found });
}

/** Whether the descriptor only names the entry. */
function isNamed(kind: EntryKind): boolean {
  return kind === 'symlink' || kind === 'special';
}
