/** What a figure depends on besides the program: the machine and the versions of everything. */
import { execFileSync } from 'node:child_process';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';

export interface Machine {
  processor: string;
  cores: number;
  /** Bytes. */
  memorySize: number;
  kernel: string;
  fileSystem: string;
  node: string;
  /** Of varve's sources; "-dirty" behind it where they were changed. */
  commit: string;
  /** Of the last minute, before the bench began. */
  load: number;
}

/** @param directory whose file system the bench works on. */
export function describeMachine(directory: string): Machine {
  const project = fileURLToPath(new URL('../../', import.meta.url));
  const processors = cpus();
  return {
    processor: processors[0]?.model ?? 'unknown',
    cores: processors.length,
    memorySize: totalmem(),
    kernel: release(),
    fileSystem: answerOf('stat', ['-f', '-c', '%T', directory]),
    node: process.version,
    commit: answerOf('git', ['-C', project, 'describe', '--always', '--dirty', '--abbrev=12']),
    load: loadavg()[0] ?? 0,
  };
}

function answerOf(program: string, args: readonly string[]): string {
  try {
    return execFileSync(program, args, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return 'unknown';
  }
}
