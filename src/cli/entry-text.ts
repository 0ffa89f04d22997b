/** An entry of a snapshot as `ls -l` shows it, and as the JSON lines tell it. */
import type { DirectoryEntry, ListedEntry, Node, NodeType } from '../index.ts';
import { toHex } from '../util/bytes.ts';
import { printable } from '../util/printable.ts';
import { formatLocalIso } from './format.ts';
import { type JsonFields, outsideText, rfc3339 } from './json.ts';

/** "-rw-r--r-- alice staff      1234 2026-01-31T12:00:00+01:00 /home/alice/notes". */
export function longLine({ path, entry }: ListedEntry): string {
  if (entry.type === 'refused') return `?          of a later version ${printable(path)}`;
  const { target } = entry;
  const arrow = target === undefined ? '' : ` -> ${printable(target)}`;
  return `${entryDetails(entry)} ${printable(path)}${arrow}`;
}

/** The same without the path. */
export function entryDetails(node: Node): string {
  const { mtime } = node;
  const { user, group } = ownerOf(node);
  return [
    permissionsOf(node),
    user.padEnd(8),
    group.padEnd(8),
    sizeOf(node).padStart(12),
    mtime === undefined ? '-' : formatLocalIso(mtime.seconds),
  ].join(' ');
}

function ownerOf({ owner, ownerNames }: Node): { user: string; group: string } {
  const nameOr = (name: Uint8Array | undefined, id: number | undefined): string =>
    name !== undefined && name.length > 0 ? printable(name) : String(id ?? '-');
  return {
    user: nameOr(ownerNames?.user, owner?.uid),
    group: nameOr(ownerNames?.group, owner?.gid),
  };
}

function sizeOf({ size, device }: Node): string {
  if (device !== undefined) return `${device.major}, ${device.minor}`;
  return size === undefined ? '-' : String(size);
}

/** As `ls -l` writes them: type, then three times read, write, execute. */
function permissionsOf({ type, mode }: Node): string {
  const kind = type === 'f' ? '-' : type;
  if (mode === undefined) return `${kind}?????????`;
  const set = (bit: number): boolean => (mode & bit) !== 0;
  const execute = (bit: number, special: number, letter: string): string => {
    if (!set(special)) return set(bit) ? 'x' : '-';
    return set(bit) ? letter : letter.toUpperCase();
  };
  const classes = [
    { shift: 6, special: 0o4000, letter: 's' },
    { shift: 3, special: 0o2000, letter: 's' },
    { shift: 0, special: 0o1000, letter: 't' },
  ].map(({ shift, special, letter }) => {
    const [read, write] = [set(0o4 << shift) ? 'r' : '-', set(0o2 << shift) ? 'w' : '-'];
    return read + write + execute(0o1 << shift, special, letter);
  });
  return kind + classes.join('');
}

/** What the JSON lines call them, as restic does. */
export const typeNames: Readonly<Record<NodeType | 'refused', string>> = {
  f: 'file',
  d: 'dir',
  l: 'symlink',
  c: 'chardev',
  b: 'dev',
  p: 'fifo',
  s: 'socket',
  refused: 'refused',
};

export function nodeFields({ path, entry }: ListedEntry): JsonFields {
  return {
    ...outsideText('name', entry.name),
    ...outsideText('path', path),
    ...entryFields(entry),
  };
}

/** The same without name and path. */
export function entryFields(entry: DirectoryEntry): JsonFields {
  const type = typeNames[entry.type];
  if (entry.type === 'refused') return { type, size: entry.size };
  const { owner, ownerNames, mode, size, mtime, ctime, inode, target, linkGroup, device } = entry;
  return {
    type,
    uid: owner?.uid,
    gid: owner?.gid,
    ...(ownerNames && outsideText('user', ownerNames.user)),
    ...(ownerNames && outsideText('group', ownerNames.group)),
    size,
    mode,
    permissions: permissionsOf(entry),
    mtime: mtime && rfc3339(mtime),
    ctime: ctime && rfc3339(ctime),
    inode,
    ...(target && outsideText('linktarget', target)),
    link_group: linkGroup && toHex(linkGroup),
    device,
  };
}
