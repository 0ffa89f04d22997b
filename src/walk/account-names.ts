/**
 * Names of users and groups by number, from the system's own files, read once. Accounts kept
 * elsewhere (a directory service) stay numbers: their names are left out of the snapshot.
 */
import { readFileSync } from 'node:fs';

export interface OwnerNames {
  readonly user: Uint8Array;
  readonly group: Uint8Array;
}

export interface AccountNames {
  /** An empty name for what is unknown; undefined when both are. */
  namesOf(uid: number, gid: number): OwnerNames | undefined;
}

/** Longest name the format keeps. */
const nameSizeMax = 1024;
const unknown = new Uint8Array(0);

export function readAccountNames(
  files: { passwd: string; group: string } = { passwd: '/etc/passwd', group: '/etc/group' },
): AccountNames {
  const users = readNames(files.passwd);
  const groups = readNames(files.group);
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

function pair(user: Uint8Array | undefined, group: Uint8Array | undefined): OwnerNames | undefined {
  if (user === undefined && group === undefined) return undefined;
  return { user: user ?? unknown, group: group ?? unknown };
}

/** Lines `name:password:number:…`; the first line of a number counts, as it does for `ls`. */
function readNames(path: string): ReadonlyMap<number, Uint8Array> {
  const names = new Map<number, Uint8Array>();
  for (const line of readTextOrNothing(path).split('\n')) {
    const [name = '', , number = ''] = line.split(':');
    const isUsable = name !== '' && name.length <= nameSizeMax && /^\d+$/.test(number);
    if (isUsable && !names.has(Number(number))) {
      names.set(Number(number), Buffer.from(name, 'latin1'));
    }
  }
  return names;
}

function readTextOrNothing(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    // Names are a convenience: without the file every account is a number.
    return '';
  }
}
