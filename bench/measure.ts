/**
 * One run of a program as a child process: wall time, CPU time and peak memory. Linux only.
 *
 * CPU time is exact: `getrusage(RUSAGE_CHILDREN)` counts a child, and all children it waited for,
 * at the moment it is reaped, so the difference around one child is its own as long as no other
 * child of this process ends in between. Only one is measured at a time.
 *
 * Memory is sampled: the sum of RssAnon (`/proc/PID/status`) over the process and its descendants,
 * every 20 ms, and the peak of that. Mapped files, such as the pages of a database, are no part of
 * it. A peak shorter than the interval can be missed.
 *
 * The child has a process group of its own, which is killed when the signal aborts.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import koffi from 'koffi';

export interface Command {
  argv: readonly string[];
  cwd?: string;
  environment: Readonly<Record<string, string>>;
}

export interface Sample {
  wallSeconds: number;
  userSeconds: number;
  systemSeconds: number;
  /** Bytes. */
  rssAnonPeak: number;
  exitCode: number;
}

/** The command could not be run, or ended in a way it must not. */
export class ChildFailed extends Error {
  override readonly name = 'ChildFailed';
}

export interface MeasureOptions {
  /** Codes besides 0 with which a run counts. Default: none. */
  codesAccepted?: readonly number[] | undefined;
  signal: AbortSignal;
}

const sampleIntervalMs = 20;
const stderrShownMax = 2000;
const rusageChildren = -1;
/** Two `timeval` and 14 `long`. */
const rusageSize = 144;

const getrusage = koffi.load(null).func('int getrusage(int, void *)') as (
  who: number,
  usage: Uint8Array,
) => number;

/** Runs the command to its end. @throws ChildFailed, or the reason of the signal. */
export async function measure(command: Command, options: MeasureOptions): Promise<Sample> {
  const { codesAccepted = [], signal } = options;
  signal.throwIfAborted();
  const before = childrenSeconds();
  const startMs = performance.now();
  const child = start(command);
  const memory = watchMemory(child.pid);
  const kill = (): void => killGroup(child.pid);
  signal.addEventListener('abort', kill);
  try {
    const stderr = tailOf(child);
    const ended = await endOf(child);
    const wallSeconds = (ended.atMs - startMs) / 1000;
    signal.throwIfAborted();
    const what = `"${command.argv.join(' ')}"`;
    if (ended.code === null) throw new ChildFailed(`${what} died: ${ended.signal}\n${stderr()}`);
    if (ended.code !== 0 && !codesAccepted.includes(ended.code)) {
      throw new ChildFailed(`${what} ended with ${ended.code}\n${stderr()}`);
    }
    const after = childrenSeconds();
    return {
      wallSeconds,
      userSeconds: after.user - before.user,
      systemSeconds: after.system - before.system,
      rssAnonPeak: memory.peak(),
      exitCode: ended.code,
    };
  } finally {
    memory.stop();
    signal.removeEventListener('abort', kill);
  }
}

function start({ argv, cwd, environment }: Command): ChildProcess {
  const [program = '', ...args] = argv;
  return spawn(program, args, {
    cwd,
    env: environment,
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
}

interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  atMs: number;
}

function endOf(child: ChildProcess): Promise<Ended> {
  return new Promise((resolve, reject) => {
    let atMs = 0;
    child.on('error', (error) => reject(new ChildFailed(error.message, { cause: error })));
    child.on('exit', () => {
      atMs = performance.now();
    });
    child.on('close', (code, signal) => resolve({ code, signal, atMs }));
  });
}

/** The end of what the child says on standard error. */
function tailOf(child: ChildProcess): () => string {
  let text = '';
  child.stderr?.setEncoding('utf8').on('data', (more: string) => {
    text = (text + more).slice(-stderrShownMax);
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

function childrenSeconds(): { user: number; system: number } {
  const usage = new Uint8Array(rusageSize);
  if (getrusage(rusageChildren, usage) !== 0) throw new Error('getrusage failed');
  const view = new DataView(usage.buffer);
  const seconds = (at: number): number =>
    Number(view.getBigInt64(at, true)) + Number(view.getBigInt64(at + 8, true)) / 1e6;
  return { user: seconds(0), system: seconds(16) };
}

function watchMemory(pid: number | undefined): { peak: () => number; stop: () => void } {
  let peak = 0;
  const look = (): void => {
    if (pid === undefined) return;
    const sum = treeOf(pid).reduce((total, member) => total + rssAnonOf(member), 0);
    peak = Math.max(peak, sum);
  };
  look();
  const timer = setInterval(look, sampleIntervalMs);
  return { peak: () => peak, stop: () => clearInterval(timer) };
}

/** A process and its descendants; a process lists its children by the thread that started them. */
function treeOf(root: number): number[] {
  const pids = [root];
  for (let i = 0; i < pids.length; i++) {
    const tasks = `/proc/${pids[i]}/task`;
    try {
      for (const thread of readdirSync(tasks)) {
        const children = readFileSync(`${tasks}/${thread}/children`, 'latin1');
        pids.push(...children.split(' ').filter(Boolean).map(Number));
      }
    } catch {
      // Ended meanwhile.
    }
  }
  return pids;
}

function rssAnonOf(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    return Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}
