/** Whom the names of users and groups in a snapshot mean on this machine. */
import {
  type AccountFiles,
  readAccountFile,
  systemAccountFiles,
} from '../platform/account-file.ts';
import { toLatin1 } from '../util/bytes.ts';

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export interface AccountNumbers {
  /** The numbers of these names here; that of the snapshot where a name is not known here. */
  numbersOf(owner: Owner, names: { user: Uint8Array; group: Uint8Array }): Owner;
}

export function readAccountNumbers(files: AccountFiles = systemAccountFiles): AccountNumbers {
  const users = byName(readAccountFile(files.passwd));
  const groups = byName(readAccountFile(files.group));
  return {
    numbersOf: ({ uid, gid }, { user, group }) => ({
      uid: users.get(toLatin1(user)) ?? uid,
      gid: groups.get(toLatin1(group)) ?? gid,
    }),
  };
}

/** The first number of a name counts. */
function byName(names: ReadonlyMap<number, string>): ReadonlyMap<string, number> {
  const numbers = new Map<string, number>();
  for (const [number, name] of names) if (!numbers.has(name)) numbers.set(name, number);
  return numbers;
}
