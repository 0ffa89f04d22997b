/**
 * The trees that versions are: laid one over the other as days are, and compared with what was
 * restored. Only names, types, permissions, targets of links and bytes count, as times are those of
 * the laying. Names are text here; files are compared in memory.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  type Stats,
  symlinkSync,
} from 'node:fs';
import { join } from 'node:path';

const permissionBits = 0o777;
const blockSize = 512;

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

/**
 * Makes of `live`, which holds the version `former` or is empty, the version `next`. What is the same
 * in both is left untouched; every other file is a new one.
 */
export function layVersion(live: string, former: string | undefined, next: string): void {
  const formerEntries = former === undefined ? new Map<string, Stats>() : entriesOf(former);
  const nextEntries = entriesOf(next);
  const isKept = (path: string): boolean => {
    const [was, is] = [formerEntries.get(path), nextEntries.get(path)];
    if (former === undefined || was === undefined || is === undefined) return false;
    if (was.isDirectory() && is.isDirectory()) return true;
    return isSame({ path: join(former, path), stat: was }, { path: join(next, path), stat: is });
  };
  const changed = new Set([...nextEntries.keys()].filter((path) => !isKept(path)));
  for (const path of formerEntries.keys()) {
    if (changed.has(path) || !nextEntries.has(path)) {
      rmSync(join(live, path), { recursive: true, force: true });
    }
  }
  for (const [path, stat] of nextEntries) {
    if (changed.has(path)) copyEntry(join(next, path), join(live, path), stat);
    if (stat.isDirectory()) chmodSync(join(live, path), stat.mode & permissionBits);
  }
}

function copyEntry(from: string, to: string, stat: Stats): void {
  if (stat.isDirectory()) mkdirSync(to);
  else if (stat.isSymbolicLink()) symlinkSync(readlinkSync(from), to);
  else if (stat.blocks * blockSize >= stat.size) copyFileSync(from, to);
  // Holes stay holes, which copying through Node does not promise.
  else execFileSync('cp', ['--sparse=auto', '--preserve=mode', '--', from, to]);
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
