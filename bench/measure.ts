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
 */
import { readdirSync, readFileSync } from 'node:fs';
import koffi from 'koffi';
import { type Command, demandCode, runChild } from '../src/cli/benchmark/child.ts';

export interface Sample {
  wallSeconds: number;
  userSeconds: number;
  systemSeconds: number;
  /** Bytes. */
  rssAnonPeak: number;
  exitCode: number;
}

export interface MeasureOptions {
  /** Codes besides 0 with which a run counts. Default: none. */
  codesAccepted?: readonly number[] | undefined;
  signal: AbortSignal;
}

const sampleIntervalMs = 20;
const rusageChildren = -1;
/** Two `timeval` and 14 `long`. */
const rusageSize = 144;

const getrusage = koffi.load(null).func('int getrusage(int, void *)') as (
  who: number,
  usage: Uint8Array,
) => number;

/** Runs the command to its end. @throws ChildFailed, or the reason of the signal. */
export async function measure(command: Command, options: MeasureOptions): Promise<Sample> {
  const { codesAccepted, signal } = options;
  const before = childrenSeconds();
  const memory = new MemoryWatch();
  try {
    const onStart = (pid: number): void => memory.start(pid);
    const ended = await runChild(command, { signal, onStart });
    demandCode(command, ended, codesAccepted);
    const after = childrenSeconds();
    return {
      wallSeconds: ended.wallSeconds,
      userSeconds: after.user - before.user,
      systemSeconds: after.system - before.system,
      rssAnonPeak: memory.peak,
      exitCode: ended.exitCode,
    };
  } finally {
    memory.stop();
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

class MemoryWatch {
  /** Bytes. */
  peak = 0;
  #timer: NodeJS.Timeout | undefined;

  start(pid: number): void {
    const look = (): void => {
      const sum = treeOf(pid).reduce((total, member) => total + rssAnonOf(member), 0);
      this.peak = Math.max(this.peak, sum);
    };
    look();
    this.#timer = setInterval(look, sampleIntervalMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
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
