/**
 * What the local index asks of the file system beside LMDB itself: a seam, so that tests can have
 * full, read-only and failing caches.
 */
import {
  mkdir,
  mkdtemp,
  open,
  readdir,
  rename,
  rm,
  stat,
  statfs,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { errnoCode } from '../errors.ts';

/** What tells a file from every later state of it. */
export interface FileState {
  size: number;
  mtimeNs: bigint;
  inode: bigint;
}

export interface CacheFs {
  /** Makes a directory and its parents, readable by its owner alone. */
  makeDirectory(path: string): Promise<void>;
  /** A new directory among the system's temporary ones. */
  makeTemporary(): Promise<string>;
  /** Names in a directory, none when it does not exist. */
  list(path: string): Promise<string[]>;
  /** Undefined when there is no such file. */
  stat(path: string): Promise<FileState | undefined>;
  /** Up to `size` bytes from the start; undefined when there is no such file. */
  readHead(path: string, size: number): Promise<Uint8Array | undefined>;
  write(path: string, text: string): Promise<void>;
  /** Bytes that this user may still write to the file system of `path`. */
  freeSize(path: string): Promise<number>;
  rename(source: string, target: string): Promise<void>;
  /** Removes a file or a whole directory, if it is there. */
  remove(path: string): Promise<void>;
}

export const systemCacheFs: CacheFs = {
  makeDirectory: async (path) => {
    await mkdir(path, { recursive: true, mode: 0o700 });
  },
  makeTemporary: () => mkdtemp(join(tmpdir(), 'varve-cache-')),
  list: async (path) => (await unlessMissing(readdir(path))) ?? [],
  stat: async (path) => {
    const found = await unlessMissing(stat(path, { bigint: true }));
    if (found === undefined) return undefined;
    return { size: Number(found.size), mtimeNs: found.mtimeNs, inode: found.ino };
  },
  readHead: async (path, size) => {
    const file = await unlessMissing(open(path, 'r'));
    if (file === undefined) return undefined;
    try {
      const { buffer, bytesRead } = await file.read(new Uint8Array(size), 0, size, 0);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  },
  write: (path, text) => writeFile(path, text, { mode: 0o600 }),
  freeSize: async (path) => {
    const { bavail, bsize } = await statfs(path);
    return bavail * bsize;
  },
  rename,
  remove: (path) => rm(path, { recursive: true, force: true }),
};

async function unlessMissing<T>(result: Promise<T>): Promise<T | undefined> {
  try {
    return await result;
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
