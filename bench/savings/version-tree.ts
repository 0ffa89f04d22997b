/**
 * The trees that versions are, compared with each other and with what was restored. Only names, types,
 * permissions, targets of links and bytes count, as times are those of the laying. Names are text here;
 * files are compared in memory.
 */
import { lstatSync, readdirSync, readFileSync, readlinkSync, type Stats } from 'node:fs';
import { join } from 'node:path';

const permissionBits = 0o777;

/** Path below the root to what `lstat` says, a directory before what is in it. */
function entriesOf(root: string): Map<string, Stats> {
  const entries = new Map<string, Stats>();
  const addAll = (directory: string): void => {
    for (const name of readdirSync(join(root, directory)).sort()) {
      const path = join(directory, name);
      const stat = lstatSync(join(root, path));
      entries.set(path, stat);
      if (stat.isDirectory()) addAll(path);
    }
  };
  addAll('');
  return entries;
}

/** The same of regular files only. */
export function filesOf(root: string): Map<string, Stats> {
  return new Map([...entriesOf(root)].filter(([, stat]) => stat.isFile()));
}

interface Entry {
  path: string;
  stat: Stats;
}

/** Whether two regular files have the same bytes and permissions. */
export function isSameFile(a: Entry, b: Entry): boolean {
  if (a.stat.dev === b.stat.dev && a.stat.ino === b.stat.ino) return true;
  if (a.stat.size !== b.stat.size || permissionsOf(a) !== permissionsOf(b)) return false;
  return readFileSync(a.path).equals(readFileSync(b.path));
}

function isSame(a: Entry, b: Entry): boolean {
  if (a.stat.isFile() && b.stat.isFile()) return isSameFile(a, b);
  if (a.stat.isDirectory() && b.stat.isDirectory()) return permissionsOf(a) === permissionsOf(b);
  const areLinks = a.stat.isSymbolicLink() && b.stat.isSymbolicLink();
  return areLinks && readlinkSync(a.path) === readlinkSync(b.path);
}

function permissionsOf({ stat }: Entry): number {
  return stat.mode & permissionBits;
}

/** Paths that are not the same in both; none where all are. */
export function differences(a: string, b: string): string[] {
  const [left, right] = [entriesOf(a), entriesOf(b)];
  const paths = new Set([...left.keys(), ...right.keys()]);
  return [...paths].filter((path) => {
    const [one, other] = [left.get(path), right.get(path)];
    if (one === undefined || other === undefined) return true;
    return !isSame({ path: join(a, path), stat: one }, { path: join(b, path), stat: other });
  });
}
