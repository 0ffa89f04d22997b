/** A program on a terminal of its own, by script(1), which not every system has. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';

export function hasTerminal(): boolean {
  try {
    execFileSync('sh', ['-c', 'command -v script'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Runs a shell command line; what the terminal shows is its standard output. */
export function spawnOnTerminal(
  command: string,
  options: { cwd: string; env: Record<string, string | undefined> },
): ChildProcess {
  const words = ['-c', 'exec script -qec "$0" /dev/null', command];
  return spawn('sh', words, { ...options, stdio: ['pipe', 'pipe', 'inherit'] });
}
