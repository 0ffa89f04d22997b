/**
 * Where the local index lives: `<cache>/<repository id>/` when it can be made and opened, otherwise
 * a temporary directory that is removed at the end. No trouble with a cache is an error: damage costs
 * a rebuild, a missing or full disk costs a warning.
 */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StorageError } from '../errors.ts';
import type { RepositoryId } from '../id.ts';
import { toHex } from '../util/bytes.ts';
import type { MergeBounds } from './blob-table.ts';
import {
  claimDirectory,
  claimFile,
  dataFileInode,
  discardDirectory,
  releaseDirectory,
} from './cache-directory.ts';
import { type CacheFs, systemCacheFs } from './cache-fs.ts';
import { CACHE_SCHEMA } from './cache-rows.ts';
import {
  CacheFailed,
  type Environment,
  isDamage,
  openEnvironment,
  putMeta,
  readMeta,
  writeAll,
} from './environment.ts';

export interface LocalIndexOptions {
  /** Directory of all caches; undefined for a temporary one. */
  cacheDir: string | undefined;
  repositoryId: RepositoryId;
  /** Told once when there can be no kept cache, or when one is found damaged. */
  onNotice?: (text: string) => void;
  /** How many new blobs make a merge due. */
  mergeBounds?: MergeBounds;
  fs?: CacheFs;
}

/**
 * Free bytes without which no new LMDB file is made: where its first pages find no room it does not
 * fail but kills the process (SIGBUS, or a broken heap), up to 32 KiB by trial.
 */
const newCacheFreeSizeMin = 2 ** 20;
const noRoom = 'no space left on device';

export interface CacheHome {
  environment: Environment;
  path: string;
  /** @param isIntact false when anything in the cache was found damaged or could not be written. */
  close(isIntact: boolean): Promise<void>;
}

export async function openCacheHome(options: LocalIndexOptions): Promise<CacheHome> {
  const { cacheDir, repositoryId, fs = systemCacheFs } = options;
  if (cacheDir !== undefined) {
    const path = cacheDirectoryOf({ cacheDir, repositoryId });
    try {
      return await openKept(fs, path, repositoryId);
    } catch (error) {
      const reason = String((error as Error).message);
      options.onNotice?.(`Cannot use the cache "${path}": ${reason}; going on without it`);
    }
  }
  return openTemporary(fs, repositoryId);
}

/** Throws a cache away, for a caller that found it does not fit the repository. */
export async function discardCache(options: {
  cacheDir: string;
  repositoryId: RepositoryId;
  fs?: CacheFs;
}): Promise<void> {
  const fs = options.fs ?? systemCacheFs;
  const path = cacheDirectoryOf(options);
  if ((await fs.stat(path)) !== undefined) await discardDirectory(fs, path);
}

function cacheDirectoryOf(options: { cacheDir: string; repositoryId: RepositoryId }): string {
  return join(options.cacheDir, toHex(options.repositoryId));
}

async function openKept(fs: CacheFs, path: string, repositoryId: RepositoryId): Promise<CacheHome> {
  const found = await openClaimed(fs, path, repositoryId);
  if (found !== undefined) return found;
  await discardDirectory(fs, path);
  const empty = await openClaimed(fs, path, repositoryId);
  if (empty === undefined) throw new CacheFailed('an empty cache does not open');
  return empty;
}

async function openClaimed(
  fs: CacheFs,
  path: string,
  repositoryId: RepositoryId,
): Promise<CacheHome | undefined> {
  const claim = await claimDirectory(fs, path);
  let environment: Environment | undefined;
  try {
    if (!(await hasRoom(fs, path))) throw new Error(noRoom);
    environment = await openFitting(path, repositoryId);
  } finally {
    if (environment === undefined) await fs.remove(claimFile(claim));
  }
  if (environment === undefined) return undefined;
  const { root } = environment;
  const inode = await dataFileInode(fs, path);
  return {
    environment,
    path,
    close: async (isIntact) => {
      await root.close();
      // Without its marks the cache is probed by the next run, which is no reason to fail this one.
      await releaseDirectory(fs, claim, { isIntact, inode }).catch(() => {});
    },
  };
}

/** @throws StorageError: there is no other place to go to. */
async function openTemporary(fs: CacheFs, repositoryId: RepositoryId): Promise<CacheHome> {
  let path = tmpdir();
  let environment: Environment | undefined;
  try {
    path = await fs.makeTemporary();
    if (!(await hasRoom(fs, path))) throw new Error(noRoom);
    environment = await openFitting(path, repositoryId);
    if (environment === undefined) throw new Error('an empty one does not open');
  } catch (cause) {
    if (path !== tmpdir()) await fs.remove(path).catch(() => {});
    const { message } = cause as Error;
    throw new StorageError('create temporary cache', path, message, { cause });
  }
  const { root } = environment;
  return {
    environment,
    path,
    close: async () => {
      await root.close();
      await fs.remove(path).catch(() => {});
    },
  };
}

/** A cache that is there already fails in order when its disk is full. */
async function hasRoom(fs: CacheFs, path: string): Promise<boolean> {
  if ((await dataFileInode(fs, path)) !== undefined) return true;
  return (await fs.freeSize(path)) >= newCacheFreeSizeMin;
}

/** Undefined when what is there is damaged, of another schema or of another repository. */
async function openFitting(
  path: string,
  repositoryId: RepositoryId,
): Promise<Environment | undefined> {
  let environment: Environment | undefined;
  try {
    environment = await openEnvironment(path);
    if (fitRepository(environment, toHex(repositoryId))) return environment;
  } catch (error) {
    if (!isDamage(error)) {
      await environment?.root.close();
      throw error;
    }
  }
  await environment?.root.close();
  return undefined;
}

/** Whether the cache is of this schema and repository; an empty one becomes so. */
function fitRepository(environment: Environment, repositoryId: string): boolean {
  const schema = readMeta(environment, 'schema');
  if (schema !== undefined) {
    return schema === CACHE_SCHEMA && readMeta(environment, 'repo_id') === repositoryId;
  }
  writeAll(environment, () => {
    putMeta(environment, 'schema', CACHE_SCHEMA);
    putMeta(environment, 'repo_id', repositoryId);
  });
  return true;
}
