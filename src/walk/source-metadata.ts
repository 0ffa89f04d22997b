/**
 * From what the file system says about an entry to the fields of its node. Content is not known
 * here: size is what the directory entry claims until the file has been read.
 */

import type { FileStat, FileType } from '../platform/file-stat.ts';
import type { Timestamp } from '../platform/times.ts';
import type { AccountNames, OwnerNames } from './account-names.ts';

/** Fields that a later `fstat` of the same file may renew. */
export interface InodeMetadata {
  readonly mode: number;
  readonly owner: { readonly uid: number; readonly gid: number };
  readonly ownerNames?: OwnerNames | undefined;
  readonly mtime: Timestamp;
  readonly ctime: Timestamp;
  readonly birthTime?: Timestamp | undefined;
  readonly inode: bigint;
}

/** The fields of a tree node that the walk fills. */
export interface SourceMetadata extends InodeMetadata {
  readonly name: Uint8Array;
  readonly type: FileType;
  /** Files only. */
  readonly size?: bigint | undefined;
  /** Only where there is more than one link. */
  readonly linkGroup?: Uint8Array | undefined;
  /** Symlinks only. */
  readonly target?: Uint8Array | undefined;
  /** Character and block devices only. */
  readonly device?: { readonly major: number; readonly minor: number } | undefined;
}

export function inodeMetadata(stat: FileStat, accounts: AccountNames): InodeMetadata {
  return {
    mode: stat.mode,
    owner: { uid: stat.uid, gid: stat.gid },
    ownerNames: accounts.namesOf(stat.uid, stat.gid),
    mtime: stat.mtime,
    ctime: stat.ctime,
    birthTime: stat.birthTime,
    inode: stat.inode,
  };
}
