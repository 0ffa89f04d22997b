/** `varve ls`: what is in a snapshot. */
import type { Command } from 'commander';
import type { DirectoryEntry, ListedEntry, Node, NodeType } from '../../index.ts';
import { toHex } from '../../util/bytes.ts';
import { printable } from '../../util/printable.ts';
import { exitCodes } from '../exit-code.ts';
import { formatLocalIso } from '../format.ts';
import { type JsonFields, outsideText, rfc3339 } from '../json.ts';
import { addFilterOptions, type CommonOptions, type FilterOptions } from '../options.ts';
import { type Runtime, withRepository } from '../runtime.ts';
import { addSelectorHelp, parseSnapshotPath, selectSnapshotPath } from '../snapshot-path.ts';
import { snapshotFields } from './snapshots.ts';

interface LsOptions extends CommonOptions, FilterOptions {
  recursive?: boolean;
  long?: boolean;
}

export function addLsCommand(program: Command, runtime: Runtime): void {
  const command = program
    .command('ls')
    .summary('list what is in a snapshot')
    .description('List a directory of a snapshot, or one entry of it.')
    .argument('<snapshot[:path]>', 'a snapshot, or a path in one')
    .option('-R, --recursive', 'list everything below, too')
    .option('-l, --long', 'mode, owner, size and time as well');
  addSelectorHelp(addFilterOptions(command))
    .addHelpText('after', '\nExample:\n  varve ls --repo /mnt/backup/varve -l latest:/home/alice')
    .action(async (operand: string) => {
      runtime.exitCode = await ls(runtime, operand, command.optsWithGlobals<LsOptions>());
    });
}

async function ls(runtime: Runtime, operand: string, options: LsOptions): Promise<number> {
  const { output, signal } = runtime;
  const text = parseSnapshotPath(operand);
  const { recursive: isRecursive, long: isLong = false } = options;
  return await withRepository(runtime, options, async (repository) => {
    const chosen = await selectSnapshotPath(repository, { output, text, filter: options });
    if (output.isJson) output.event('snapshot', snapshotFields(chosen.snapshot));
    let count = 0;
    for await (const listed of repository.list({ ...chosen, isRecursive, signal })) {
      count += 1;
      if (output.isJson) output.event('node', nodeFields(listed));
      else output.result(isLong ? longLine(listed) : printable(listed.path));
      await output.drain();
    }
    if (output.isJson) output.event('summary', { code: exitCodes.done, entries: count });
    return exitCodes.done;
  });
}

/** "-rw-r--r-- alice staff      1234 2026-01-31T12:00:00+01:00 /home/alice/notes". */
function longLine({ path, entry }: ListedEntry): string {
  if (entry.type === 'refused') return `?          of a later version ${printable(path)}`;
  const { mtime, target } = entry;
  const { user, group } = ownerOf(entry);
  return [
    permissionsOf(entry),
    user.padEnd(8),
    group.padEnd(8),
    sizeOf(entry).padStart(12),
    mtime === undefined ? '-' : formatLocalIso(mtime.seconds),
    printable(path) + (target === undefined ? '' : ` -> ${printable(target)}`),
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

function nodeFields({ path, entry }: ListedEntry): JsonFields {
  return {
    ...outsideText('name', entry.name),
    type: typeNames[entry.type],
    ...outsideText('path', path),
    ...detailFields(entry),
  };
}

function detailFields(entry: DirectoryEntry): JsonFields {
  if (entry.type === 'refused') return { size: entry.size };
  const { owner, ownerNames, mode, size, mtime, ctime, inode, target, linkGroup, device } = entry;
  return {
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
