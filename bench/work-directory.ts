/**
 * The directory that holds all that a bench makes: a new one, removed in the end, also when the
 * bench is interrupted: SIGINT, SIGTERM or SIGHUP ends the run under way, and then it is removed.
 * More of them change nothing, since a terminal and npm both pass on one Ctrl-C.
 */
import { tmpdir } from 'node:os';
import { resolve } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { withScratch } from '../src/cli/benchmark/scratch.ts';

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
  try {
    await withScratch(resolve(parent ?? tmpdir()), 'varve-bench-', (directory) =>
      action({ directory, signal: controller.signal }),
    );
  } catch (error) {
    // What has thrown may be a child that got the signal, too, before this process took notice.
    await setImmediate();
    if (!controller.signal.aborted) throw error;
    process.exitCode = exitCodeInterrupted;
  } finally {
    for (const name of signals) process.off(name, interrupt);
  }
}
