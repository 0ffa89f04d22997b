/**
 * Synchronous calls are the fast ones for many small files; between them the program must be heard
 * when it is told to stop, and may draw its progress.
 */
import { setImmediate } from 'node:timers/promises';

const INTERVAL_MS = 50;

/** Gives a function that lets everything else run when it is time to; it throws the signal's reason. */
export function createPause(signal: AbortSignal): () => Promise<void> {
  let dueMs = performance.now() + INTERVAL_MS;
  return async () => {
    if (performance.now() < dueMs) return;
    await setImmediate();
    dueMs = performance.now() + INTERVAL_MS;
    signal.throwIfAborted();
  };
}
