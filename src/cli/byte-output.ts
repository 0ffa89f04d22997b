/**
 * Where bytes of a snapshot go: standard output, or a new file. Nothing that is there is replaced,
 * and under the name of the file there is nothing but an empty one until all of it is durable.
 */
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { errnoCode, TargetError } from '../errors.ts';
import { encodeUtf8 } from '../util/bytes.ts';
import { printable } from '../util/printable.ts';

export interface ByteOutput {
  /** Waits until there is room for more. */
  write(bytes: Uint8Array): Promise<void>;
  /** Everything was written. */
  finish(): Promise<void>;
  /** Something failed: what was written is taken back where that is possible. */
  abandon(): Promise<void>;
}

const reasonByErrno: Readonly<Record<string, string>> = {
  EEXIST: 'exists',
  EACCES: 'permission',
  EPERM: 'permission',
  ENOSPC: 'no_space',
  EDQUOT: 'no_space',
  EROFS: 'read_only',
};

export const standardOutput: ByteOutput = {
  // A failure comes as an event of the stream, too; here it only ends the wait.
  write: (bytes) => new Promise((resolve) => process.stdout.write(bytes, () => resolve())),
  finish: async () => {},
  abandon: async () => {},
};

/** @throws TargetError when there is something of that name, or it cannot be made */
export async function newFile(path: string): Promise<ByteOutput> {
  const temporary = join(dirname(path), `.${basename(path)}.varve-${process.pid}`);
  const attempt = async <T>(operation: string, action: () => Promise<T>): Promise<T> => {
    try {
      return await action();
    } catch (error) {
      throw targetError(path, operation, error);
    }
  };
  await attempt('create', async () => await (await open(path, 'wx', 0o600)).close());
  let file: FileHandle | undefined;
  const abandon = async (): Promise<void> => {
    await file?.close().catch(() => {});
    for (const name of [temporary, path]) await rm(name, { force: true });
  };
  try {
    file = await attempt('create', () => open(temporary, 'wx', 0o600));
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
  const opened = file;
  return {
    write: (bytes) => attempt('write', () => writeAll(opened, bytes)),
    finish: () =>
      attempt('write', async () => {
        await opened.sync();
        await opened.close();
        await rename(temporary, path);
      }),
    abandon,
  };
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let offset = 0; offset < bytes.length; ) {
    offset += (await file.write(bytes, offset)).bytesWritten;
  }
}

function targetError(path: string, operation: string, cause: unknown): TargetError {
  const bytes = encodeUtf8(path);
  const code = errnoCode(cause) ?? 'unknown error';
  const message = `Cannot ${operation} file "${printable(bytes)}": ${code}`;
  return new TargetError(bytes, operation, reasonByErrno[code] ?? 'io', message, cause);
}
