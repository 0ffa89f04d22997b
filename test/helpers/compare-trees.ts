/**
 * Two real trees compared from outside: what `find` says of every entry, and the hash of every
 * file's content. Nothing here uses the code that saved and restored them.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';

interface TreeEntry {
  /** One letter, as in `find -type`. */
  readonly type: string;
  /** Permissions in octal. */
  readonly mode: string;
  readonly owner: string;
  /** Of files. */
  readonly size: string;
  /** Seconds with nine decimals. */
  readonly mtime: string;
  /** Target of a symlink, latin1. */
  readonly target: string;
  /** SHA-256 of a file's content. */
  readonly content: string;
  /** First path with the same inode: the same for all names of a file. */
  readonly linkedTo: string;
}

export interface CompareOptions {
  /** Types to leave out, such as `ps` for FIFOs and sockets. */
  readonly without?: string;
  /** Owners are not compared: an ordinary user can give nothing away. */
  readonly isOwnerIgnored?: boolean;
  /** Times may differ by less than this; default: not at all. */
  readonly timeSlackNs?: number;
}

/** One line per difference; none when the trees are equal. Paths are latin1. */
export function compareTrees(
  a: string | Uint8Array,
  b: string | Uint8Array,
  options: CompareOptions = {},
): string[] {
  const [left, right] = [readTree(a, options), readTree(b, options)];
  const differences: string[] = [];
  for (const [path, entry] of left) {
    const other = right.get(path);
    if (other === undefined) differences.push(`${path}: missing`);
    else differences.push(...compareEntries(path, entry, other, options));
  }
  for (const path of right.keys()) if (!left.has(path)) differences.push(`${path}: extra`);
  return differences;
}

function compareEntries(
  path: string,
  a: TreeEntry,
  b: TreeEntry,
  { timeSlackNs = 0 }: CompareOptions,
): string[] {
  const fields = Object.keys(a) as (keyof TreeEntry)[];
  const isSameTime = Math.abs(Number(nanoseconds(a.mtime) - nanoseconds(b.mtime))) < timeSlackNs;
  return fields
    .filter((field) => a[field] !== b[field] && !(field === 'mtime' && isSameTime))
    .map((field) => `${path}: ${field} ${a[field]} != ${b[field]}`);
}

/** Of seconds with nine decimals, or ten as `find` writes them. */
function nanoseconds(time: string): bigint {
  const [seconds = '', decimals = ''] = time.split('.');
  return BigInt(seconds) * 10n ** 9n + BigInt(decimals.slice(0, 9));
}

const fields = ['%P', '%y', '%m', '%U:%G', '%s', '%T@', '%l', '%D:%i'];

function readTree(
  top: string | Uint8Array,
  { without = '', isOwnerIgnored = false }: CompareOptions,
): Map<string, TreeEntry> {
  const root = Buffer.from(top as Uint8Array);
  const rows = runFind(root);
  const firstPaths = new Map<string, string>();
  for (const [path = '', , , , , , , inode = ''] of rows) {
    if (!firstPaths.has(inode)) firstPaths.set(inode, path);
  }
  const tree = new Map<string, TreeEntry>();
  for (const [
    path = '',
    type = '',
    mode = '',
    owner = '',
    size = '',
    mtime = '',
    ...rest
  ] of rows) {
    if (without.includes(type)) continue;
    const [target = '', inode = ''] = rest;
    const isFile = type === 'f';
    tree.set(path, {
      type,
      mode: type === 'l' ? '' : mode,
      owner: isOwnerIgnored ? '' : owner,
      size: isFile ? size : '',
      mtime,
      target,
      content: isFile ? hashFile(root, path) : '',
      linkedTo: firstPaths.get(inode) ?? '',
    });
  }
  return tree;
}

/** The fields of every entry as latin1, by path; the top itself has an empty path. */
function runFind(root: Buffer): string[][] {
  // Arguments of a child are text: bytes that are no UTF-8 go by a descriptor.
  const fd = openSync(root, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const format = fields.map((field) => `${field}\\0`).join('');
    const { status, stdout, stderr } = spawnSync('find', ['/dev/fd/3/', '-printf', format], {
      stdio: ['ignore', 'pipe', 'pipe', fd],
      maxBuffer: 2 ** 30,
      encoding: 'latin1',
    });
    if (status !== 0) throw new Error(`find: ${stderr}`);
    const values = stdout.split('\0');
    const rows: string[][] = [];
    for (let i = 0; i + fields.length < values.length + 1 && i < values.length - 1; ) {
      rows.push(values.slice(i, i + fields.length));
      i += fields.length;
    }
    return rows.sort(([a = ''], [b = '']) => (a < b ? -1 : 1));
  } finally {
    closeSync(fd);
  }
}

/** Goes down one directory at a time: the path may be longer than a system call takes. */
function hashFile(root: Buffer, path: string): string {
  let fd = openSync(root, constants.O_RDONLY);
  for (const name of path.split('/')) {
    const above = fd;
    const below = Buffer.from(`/proc/self/fd/${above}/${name}`, 'latin1');
    fd = openSync(name === '' ? root : below, constants.O_RDONLY | constants.O_NOFOLLOW);
    closeSync(above);
  }
  try {
    const hash = createHash('sha256');
    const buffer = Buffer.alloc(Math.min(2 ** 20, fstatSync(fd).size + 1));
    for (;;) {
      const size = readSync(fd, buffer, 0, buffer.length, null);
      if (size === 0) return hash.digest('hex');
      hash.update(buffer.subarray(0, size));
    }
  } finally {
    closeSync(fd);
  }
}
