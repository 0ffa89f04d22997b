/**
 * Real file systems on files and recorded devices, and mounting them without a process for each: a
 * state takes some milliseconds. All of it in a mount namespace of its own, so that nothing is left
 * mounted whatever happens (`block-runs.ts`).
 */
import { spawnSync } from 'node:child_process';
import koffi from 'koffi';
import { type CommandEnded, spawned } from './fault-place.ts';

export interface FileSystem {
  readonly type: 'ext4' | 'xfs' | 'btrfs';
  readonly size: number;
  readonly makeArgs: readonly string[];
  readonly mountOptions: string;
  /** Looks for damage in an image and changes nothing. */
  readonly checkCommand: readonly string[];
}

const MIB = 2 ** 20;

const ext4: FileSystem = {
  type: 'ext4',
  size: 64 * MIB,
  makeArgs: ['mkfs.ext4', '-q', '-F', '-b', '4096', '-J', 'size=4', '-E', 'nodiscard'],
  mountOptions: 'data=ordered',
  checkCommand: ['e2fsck', '-fn'],
};

export const FILE_SYSTEMS: Readonly<Record<string, FileSystem>> = {
  ext4,
  'ext4 data=writeback': { ...ext4, mountOptions: 'data=writeback' },
  xfs: {
    type: 'xfs',
    size: 304 * MIB,
    makeArgs: ['mkfs.xfs', '-q', '-f', '-K'],
    mountOptions: '',
    checkCommand: ['xfs_repair', '-n'],
  },
  btrfs: {
    type: 'btrfs',
    size: 128 * MIB,
    makeArgs: ['mkfs.btrfs', '-q', '-f', '-K', '--mixed'],
    mountOptions: '',
    checkCommand: ['btrfs', 'check', '--readonly'],
  },
};

const libc = koffi.load('libc.so.6');
const mountCall = libc.func(
  'int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)',
);
const umountCall = libc.func('int umount2(const char *target, int flags)');

/** Whether it is mounted now; a file system that finds itself damaged refuses. */
export function mount(device: string, target: string, fs: FileSystem): boolean {
  return mountCall(device, target, fs.type, 0, fs.mountOptions) === 0;
}

export function unmount(target: string): void {
  if (umountCall(target, 0) !== 0) throw new Error(`cannot unmount: errno ${koffi.errno()}`);
}

/** Off the event loop, which may have to serve the device meanwhile. */
export async function runTool(command: readonly string[]): Promise<CommandEnded> {
  const [program = '', ...args] = command;
  const ended = await spawned(program, args, {});
  if (ended.code !== 0) throw new Error(`${command.join(' ')}: ${ended.stderr}`);
  return ended;
}

/** A loop device over a file; it goes when its last user does. */
export async function attachLoop(file: string): Promise<string> {
  const { stdout } = await runTool(['losetup', '-f', '--show', file]);
  return stdout.trim();
}

export function detachLoop(device: string): void {
  spawnSync('losetup', ['-d', device]);
}

/** What the file system's own checker says against an image, if anything. */
export function complaintOf(image: string, fs: FileSystem): string | undefined {
  const [program = '', ...args] = fs.checkCommand;
  const { status, stdout } = spawnSync(program, [...args, image], { encoding: 'utf8' });
  return status === 0 ? undefined : `${program} ended with ${status}: ${stdout.slice(0, 400)}`;
}
