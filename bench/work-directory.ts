/**
 * The directory that holds all that a bench makes: a new one, removed in the end, also when the
 * bench is interrupted: SIGINT, SIGTERM or SIGHUP ends the run under way, and then it is removed.
 * More of them change nothing, since a terminal and npm both pass on one Ctrl-C.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setImmediate } from 'node:timers/promises';

export interface Work {
  directory: string;
  signal: AbortSignal;
}

const exitCodeInterrupted = 130;

/** Runs `action` with a new directory in `parent`, default the system's for temporary files. */
export async function withWorkDirectory(
  parent: string | undefined,
  action: (work: Work) => Promise<void>,
): Promise<void> {
  const controller = new AbortController();
  const interrupt = (): void => controller.abort();
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const name of signals) process.on(name, interrupt);
  const directory = mkdtempSync(join(resolve(parent ?? tmpdir()), 'varve-bench-'));
  try {
    await action({ directory, signal: controller.signal });
  } catch (error) {
    // What has thrown may be a child that got the signal, too, before this process took notice.
    await setImmediate();
    if (!controller.signal.aborted) throw error;
    process.exitCode = exitCodeInterrupted;
  } finally {
    removeTree(directory);
    for (const name of signals) process.off(name, interrupt);
  }
}

/** Removes a directory with all in it, restored directories that may not be written to included. */
export function removeTree(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch {
    execFileSync('chmod', ['-R', 'u+rwX', path]);
    rmSync(path, { recursive: true, force: true });
  }
}
