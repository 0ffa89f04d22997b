/** What all directories and files of one restore share. */
import type { TargetError } from '../errors.ts';
import type { DirectoryHandle } from '../platform/directory-handle.ts';
import { fromAscii, toHex } from '../util/bytes.ts';
import type { Random } from '../util/random.ts';
import type { TargetFs } from './target-fs.ts';

/** A directory that knows its names from the target down. */
export interface PlacedDirectory extends DirectoryHandle {
  readonly names: readonly Uint8Array[];
}

/** Which file something is. */
export interface Inode {
  readonly device: number;
  readonly inode: bigint;
}

/** A file this run has made: which, and its names from the target down. */
export interface CreatedFile extends Inode {
  readonly names: readonly Uint8Array[];
}

/** A file or directory of this run that gets flags when nothing is made in it any more. */
export interface LateFlags extends CreatedFile {
  readonly flags: number;
}

/** What is to be restored of each entry; the same for a whole run. */
export interface TargetRules {
  /** Also attributes that the system gives a meaning, but for those that sign the content. */
  readonly hasAllAttributes: boolean;
  /** The target has a default ACL, which all that is made in it gets and is not to have. */
  readonly inheritsAcl: boolean;
}

/** What whoever writes files has of a run: each worker its own. */
export interface WriterRun {
  readonly fs: TargetFs;
  readonly isRoot: boolean;
  readonly rules: TargetRules;
  readonly temporaryName: () => Uint8Array;
  /** Told of what could not be set on an entry that is otherwise there. */
  readonly onProblem: (problem: TargetError) => void;
  readonly notes: TargetNotes;
}

export interface TargetRun extends WriterRun {
  /** Whether entries may be there already; directories among them are then entered. */
  readonly mayHoldEntries: boolean;
  /** Such directories keep the metadata they have. */
  readonly keepsDirectories: boolean;
  /** The open target itself. */
  readonly target: DirectoryHandle;
  /** First file of each link group, by the group in hexadecimal. */
  readonly createdByGroup: Map<string, CreatedFile | 'unreachable'>;
  readonly lateFlags: LateFlags[];
}

/** Names for files in the making: drawn once, then counted, so that a file costs no random bytes. */
export function temporaryNames(random: Random): () => Uint8Array {
  const prefix = `.varve-${toHex(random.bytes(5))}`;
  let count = 0;
  return () => fromAscii(prefix + (count++ % 2 ** 24).toString(16).padStart(6, '0'));
}

/** What is counted instead of reported one by one. */
export interface TargetNotes {
  /** Entries whose owner or group an ordinary user could not set. */
  ownerNotSetCount: number;
  /** Extended attributes that were not asked for, or are never given back. */
  attributesLeftOutCount: number;
}
