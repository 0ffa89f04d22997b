/** What work that is measured in this process takes. */
import { readFileSync } from 'node:fs';

export interface Spent {
  /** User and system. */
  processorMs: number;
  wallMs: number;
}

export async function spentOn(action: () => void | Promise<void>): Promise<Spent> {
  const start = performance.now();
  const processor = process.cpuUsage();
  await action();
  const { user, system } = process.cpuUsage(processor);
  return { processorMs: (user + system) / 1000, wallMs: performance.now() - start };
}

/** Milliseconds with one digit. */
export function round(milliseconds: number): number {
  return Math.round(10 * milliseconds) / 10;
}

/** Memory of this process that no file is behind. */
export function anonymousMiB(): number {
  const status = readFileSync('/proc/self/status', 'latin1');
  return Math.round(Number(/RssAnon:\s+(\d+)/.exec(status)?.[1]) / 1024);
}
