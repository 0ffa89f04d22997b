/**
 * One run of a program as a child process. It has a process group of its own, which is killed when
 * the signal aborts or this process ends, and no terminal to ask anything.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

export interface Command {
  argv: readonly string[];
  cwd?: string;
  /** All of it: nothing is inherited. */
  environment: Readonly<Record<string, string>>;
}

export interface Ended {
  /** From its start to its end. */
  wallSeconds: number;
  exitCode: number;
  /** The end of what it said on standard error. */
  stderr: string;
}

/** The command could not be run, or ended in a way it must not. */
export class ChildFailed extends Error {
  override readonly name = 'ChildFailed';
}

export interface RunOptions {
  signal: AbortSignal;
  /** Told of the process once it runs. */
  onStart?: (pid: number) => void;
  /** Told of each line on standard output. */
  onLine?: ((line: string) => void) | undefined;
}

const STDERR_LENGTH_MAX = 2000;

/** Runs the command to its end. @throws ChildFailed, or the reason of the signal. */
export async function runChild(command: Command, options: RunOptions): Promise<Ended> {
  const { signal, onStart, onLine } = options;
  signal.throwIfAborted();
  const startMs = performance.now();
  const child = start(command, onLine === undefined ? 'ignore' : 'pipe');
  const kill = (): void => killGroup(child.pid);
  signal.addEventListener('abort', kill);
  // Before what removes the files of the child.
  process.prependListener('exit', kill);
  try {
    if (child.pid !== undefined) onStart?.(child.pid);
    if (child.stdout && onLine) createInterface(child.stdout).on('line', onLine);
    const stderr = tailOf(child);
    const ended = await endOf(child);
    signal.throwIfAborted();
    if (ended.code === null) {
      throw new ChildFailed(`${quote(command)} died: ${ended.signal}\n${stderr()}`);
    }
    const wallSeconds = (ended.atMs - startMs) / 1000;
    return { wallSeconds, exitCode: ended.code, stderr: stderr() };
  } finally {
    signal.removeEventListener('abort', kill);
    process.off('exit', kill);
  }
}

/** @throws ChildFailed unless the run ended with 0 or one of the codes. */
export function demandCode(command: Command, ended: Ended, codes: readonly number[] = []): void {
  const { exitCode, stderr } = ended;
  if (exitCode === 0 || codes.includes(exitCode)) return;
  throw new ChildFailed(`${quote(command)} ended with ${exitCode}\n${stderr}`);
}

function quote({ argv }: Command): string {
  return `"${argv.join(' ')}"`;
}

function start({ argv, cwd, environment }: Command, stdout: 'ignore' | 'pipe'): ChildProcess {
  const [program = '', ...args] = argv;
  return spawn(program, args, {
    cwd,
    env: environment,
    detached: true,
    stdio: ['ignore', stdout, 'pipe'],
  });
}

interface ChildEnd {
  code: number | null;
  signal: NodeJS.Signals | null;
  atMs: number;
}

function endOf(child: ChildProcess): Promise<ChildEnd> {
  return new Promise((resolve, reject) => {
    let atMs = 0;
    child.on('error', (error) => reject(new ChildFailed(error.message, { cause: error })));
    child.on('exit', () => {
      atMs = performance.now();
    });
    child.on('close', (code, signal) => resolve({ code, signal, atMs }));
  });
}

function tailOf(child: ChildProcess): () => string {
  let text = '';
  child.stderr?.setEncoding('utf8').on('data', (more: string) => {
    text = (text + more).slice(-STDERR_LENGTH_MAX);
  });
  return () => text;
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // All of the group have ended.
  }
}
