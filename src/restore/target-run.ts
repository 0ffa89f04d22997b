/** What all directories and files of one restore share. */
import type { TargetError } from '../errors.ts';
import type { DirectoryHandle } from '../platform/directory-handle.ts';
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

export interface TargetRun {
  readonly fs: TargetFs;
  readonly random: Random;
  readonly isRoot: boolean;
  /** Whether entries may be there already; directories among them are then entered. */
  readonly mayHoldEntries: boolean;
  /** The open target itself. */
  readonly target: DirectoryHandle;
  /** First file of each link group, by the group in hexadecimal. */
  readonly createdByGroup: Map<string, CreatedFile>;
  /** Told of what could not be set on an entry that is otherwise there. */
  readonly onProblem: (problem: TargetError) => void;
  readonly notes: TargetNotes;
}

/** What is counted instead of reported one by one. */
export interface TargetNotes {
  /** Entries whose owner or group an ordinary user could not set. */
  ownerNotSetCount: number;
}
