/**
 * Stores `recover.mjs` and a short README beside the objects of a repository, for the day when nothing
 * else is left. Their names are none of the format's, so every program leaves them alone.
 */
import { createHash } from 'node:crypto';
import { access, type FileHandle, open, readFile, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { errnoCode, StorageError } from '../errors.ts';
import { toHex } from '../util/bytes.ts';
import { systemRandom } from '../util/random.ts';

const PROGRAM_NAME = 'recover.mjs';

/**
 * Files that are there already stay as they are.
 * @param directory of the repository, in which `tmp/` is there.
 * @returns the path of the program there.
 * @throws StorageError
 */
export async function storeRecover(directory: string): Promise<string> {
  const program = await readFile(fileURLToPath(import.meta.resolve('varve/recover.mjs')));
  await write(directory, PROGRAM_NAME, program);
  await write(directory, 'README.txt', readme(program));
  await sync(directory);
  return join(directory, PROGRAM_NAME);
}

/** A file has its name only when it is whole: what is there already is never written again. */
async function write(directory: string, name: string, content: Uint8Array | string): Promise<void> {
  const path = join(directory, name);
  const temporary = join(directory, 'tmp', `${toHex(systemRandom.bytes(16))}.tmp`);
  try {
    if (await exists(path)) return;
    await withFile(await open(temporary, 'wx', 0o644), async (file) => {
      await file.writeFile(content);
      await file.sync();
    });
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(() => {});
    throw storageError(path, error);
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return false;
    throw error;
  }
}

async function sync(directory: string): Promise<void> {
  try {
    await withFile(await open(directory, 'r'), (file) => file.sync());
  } catch (error) {
    throw storageError(directory, error);
  }
}

async function withFile(file: FileHandle, action: (file: FileHandle) => Promise<void>) {
  try {
    await action(file);
  } finally {
    await file.close();
  }
}

function storageError(path: string, cause: unknown): StorageError {
  const found = errnoCode(cause) ?? (cause as Error).message;
  return new StorageError('store', path, found, { cause });
}

function readme(program: Uint8Array): string {
  return `This directory is a repository of varve. It holds encrypted snapshots of files.

If varve is not at hand, ${PROGRAM_NAME} restores them. It needs Node 20.19 or newer; the program zstd
too, where Node is older than 22.15; and the passphrase of the repository.

  node ${PROGRAM_NAME} . list
  node ${PROGRAM_NAME} . restore latest TARGET

TARGET is a new directory. To change nothing here, copy this directory first.

The program sees the passphrase. If others may write to this directory, use a copy of the program
that was kept elsewhere. The one that was stored here has this SHA-256:

  ${createHash('sha256').update(program).digest('hex')}
`;
}
