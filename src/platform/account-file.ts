/**
 * Users and groups by number, from the system's own files. Accounts kept elsewhere (a directory service)
 * are not in them.
 */
import { readFileSync } from 'node:fs';

/** `passwd` and `group`. */
export interface AccountFiles {
  readonly passwd: string;
  readonly group: string;
}

export const systemAccountFiles: AccountFiles = { passwd: '/etc/passwd', group: '/etc/group' };

/** Longest name the format keeps. */
const nameSizeMax = 1024;

/**
 * Names as latin1 text, by number: lines `name:password:number:…`, of which the first of a number counts,
 * as it does for `ls`. None where there is no such file.
 */
export function readAccountFile(path: string): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  for (const line of readTextOrNothing(path).split('\n')) {
    const [name = '', , number = ''] = line.split(':');
    const isUsable = name !== '' && name.length <= nameSizeMax && /^\d+$/.test(number);
    if (isUsable && !names.has(Number(number))) names.set(Number(number), name);
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
