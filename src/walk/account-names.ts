/**
 * Names of users and groups by number, read once. Accounts that the system's own files do not know stay
 * numbers: their names are left out of the snapshot.
 */
import {
  type AccountFiles,
  readAccountFile,
  systemAccountFiles,
} from '../platform/account-file.ts';

export interface OwnerNames {
  readonly user: Uint8Array;
  readonly group: Uint8Array;
}

export interface AccountNames {
  /** An empty name for what is unknown; undefined when both are. */
  namesOf(uid: number, gid: number): OwnerNames | undefined;
}

export function readAccountNames(files: AccountFiles = systemAccountFiles): AccountNames {
  const users = readAccountFile(files.passwd);
  const groups = readAccountFile(files.group);
  // One object per owner: nearly all entries of a tree share a handful.
  const known = new Map<string, OwnerNames | undefined>();
  return {
    namesOf: (uid, gid) => {
      const key = `${uid}:${gid}`;
      if (!known.has(key)) known.set(key, pair(users.get(uid), groups.get(gid)));
      return known.get(key);
    },
  };
}

function pair(user: string | undefined, group: string | undefined): OwnerNames | undefined {
  if (user === undefined && group === undefined) return undefined;
  return { user: Buffer.from(user ?? '', 'latin1'), group: Buffer.from(group ?? '', 'latin1') };
}
