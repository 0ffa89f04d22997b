/**
 * The seam through which the local backend makes every call to the operating system: the few calls
 * it needs, each with the flags it always uses. A simulated file system behind the same interface
 * replays every crash and every error. Errors are Node system errors (`code` is the errno text).
 *
 * No call follows a symbolic link in the last part of a path, except `realPath`.
 */
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import {
  link,
  lstat,
  mkdir,
  open,
  readdir,
  realpath,
  rename,
  statfs,
  unlink,
} from 'node:fs/promises';

export interface FileStat {
  readonly kind: 'file' | 'directory' | 'other';
  readonly size: number;
  readonly modifiedMs: number;
  /** Tells one mounted file system from another. */
  readonly deviceId: number;
}

export interface DirectoryEntry {
  readonly name: string;
  readonly isDirectory: boolean;
}

export interface OpenFile {
  /** May write less than it was given; returns how much. */
  write(bytes: Uint8Array, position: number): Promise<number>;
  /** May read less than there is room for; 0 only at the end. */
  read(into: Uint8Array, position: number): Promise<number>;
  stat(): Promise<FileStat>;
  setMode(mode: number): Promise<void>;
  /** fsync: of a file its bytes and size, of a directory its entries. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

export interface StorageFs {
  /** A new file for writing, mode 0600. EEXIST when the name is taken, whatever by. */
  create(path: string): Promise<OpenFile>;
  /** An existing file for reading; never blocks, whatever is there. */
  openFile(path: string): Promise<OpenFile>;
  openDirectory(path: string): Promise<OpenFile>;
  stat(path: string): Promise<FileStat>;
  readDirectory(path: string): Promise<DirectoryEntry[]>;
  /** A new directory, mode 0700; not its parents. */
  makeDirectory(path: string): Promise<void>;
  /** A second name for a file. EEXIST when the name is taken. */
  link(from: string, to: string): Promise<void>;
  /** Replaces what has the name `to`. */
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  realPath(path: string): Promise<string>;
  /** Bytes that this user may still write to the file system of `path`. */
  freeSize(path: string): Promise<number>;
}

const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const READ_DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/** The file system of this machine. */
export const nodeFs: StorageFs = {
  create: async (path) => nodeFile(await open(path, CREATE, 0o600)),
  openFile: async (path) => nodeFile(await open(path, READ)),
  openDirectory: async (path) => nodeFile(await open(path, READ_DIRECTORY)),
  stat: async (path) => fileStat(await lstat(path)),
  readDirectory: async (path) => {
    const entries = await readdir(path, { withFileTypes: true });
    return entries.map((entry) => ({ name: entry.name, isDirectory: entry.isDirectory() }));
  },
  makeDirectory: async (path) => {
    await mkdir(path, { mode: 0o700 });
  },
  link,
  rename,
  unlink,
  realPath: (path) => realpath(path),
  freeSize: async (path) => {
    const { bavail, bsize } = await statfs(path);
    return bavail * bsize;
  },
};

function nodeFile(handle: FileHandle): OpenFile {
  return {
    write: async (bytes, position) =>
      (await handle.write(bytes, 0, bytes.length, position)).bytesWritten,
    read: async (into, position) => (await handle.read(into, 0, into.length, position)).bytesRead,
    stat: async () => fileStat(await handle.stat()),
    setMode: (mode) => handle.chmod(mode),
    sync: () => handle.sync(),
    close: () => handle.close(),
  };
}

function fileStat(stats: Awaited<ReturnType<typeof lstat>>): FileStat {
  return {
    kind: stats.isFile() ? 'file' : stats.isDirectory() ? 'directory' : 'other',
    size: Number(stats.size),
    modifiedMs: Math.floor(Number(stats.mtimeMs)),
    deviceId: Number(stats.dev),
  };
}

/** Uses a file and closes it; a failing close is an error unless there was one already. */
export async function withFile<T>(file: OpenFile, use: (file: OpenFile) => Promise<T>): Promise<T> {
  let result: T;
  try {
    result = await use(file);
  } catch (error) {
    await file.close().catch(() => {});
    throw error;
  }
  await file.close();
  return result;
}
