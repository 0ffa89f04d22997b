/** The seam to the file system through which the writer state is kept. */
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errnoCode } from '../errors.ts';

export interface StateFs {
  /** Makes the directory and its parents, for this user alone. */
  makeDirectory(path: string): Promise<void>;
  /** Undefined when there is no such file. */
  read(path: string): Promise<Uint8Array | undefined>;
  /** Replaces the file at once and durably: a crash leaves the old or the new content. */
  replace(path: string, content: Uint8Array): Promise<void>;
  /** False when there is a file of that name. */
  createExclusive(path: string, content: Uint8Array): Promise<boolean>;
  /** Success also when there is none. */
  remove(path: string): Promise<void>;
}

const FILE_MODE = 0o600;

export const nodeStateFs: StateFs = {
  makeDirectory: async (path) => {
    await mkdir(path, { recursive: true, mode: 0o700 });
  },

  read: async (path) => {
    try {
      return new Uint8Array(await readFile(path));
    } catch (error) {
      if (errnoCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  },

  replace: async (path, content) => {
    const temporary = `${path}.tmp`;
    const file = await open(temporary, 'w', FILE_MODE);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    const directory = await open(dirname(path), 'r');
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  },

  createExclusive: async (path, content) => {
    try {
      const file = await open(path, 'wx', FILE_MODE);
      try {
        await file.writeFile(content);
      } finally {
        await file.close();
      }
      return true;
    } catch (error) {
      if (errnoCode(error) === 'EEXIST') return false;
      throw error;
    }
  },

  remove: async (path) => {
    await rm(path, { force: true });
  },
};
