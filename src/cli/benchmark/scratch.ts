/**
 * A directory for all that a run makes, which is gone when the run is over, however it ends: with a
 * result, an error, or the process itself. Only a process that is killed outright leaves it behind.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { formatBytes } from '../format.ts';

/** Whoever was just killed may still be making files. */
const RETRY_COUNT = 10;

/** Runs `action` with a new directory in `parent`, of which nobody else can see anything. */
export async function withScratch<T>(
  parent: string,
  prefix: string,
  action: (directory: string) => Promise<T>,
): Promise<T> {
  const directory = mkdtempSync(join(parent, prefix));
  const remove = (): void => removeTree(directory);
  process.on('exit', remove);
  try {
    return await action(directory);
  } finally {
    remove();
    process.off('exit', remove);
  }
}

/** Removes what is there, with all in it, directories that may not be written to included. */
export function removeTree(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true, maxRetries: RETRY_COUNT });
  } catch {
    execFileSync('chmod', ['-R', 'u+rwX', path]);
    rmSync(path, { recursive: true, force: true });
  }
}

/** Bytes that this user can still store there. */
export function freeSize(directory: string): number {
  const { bavail, bsize } = statfsSync(directory);
  return bavail * bsize;
}

/** The same in words. */
export function freeSpace(directory: string): string {
  return `free ${formatBytes(freeSize(directory))} at "${directory}"`;
}
