/**
 * Faults in the system calls of a real process, by strace. What it takes to trust them:
 *
 * - `when=` counts each system call in each thread on its own; so the command runs with one thread
 *   of libuv and none of its own, and each point names one system call and one number.
 * - With `--seccomp-bpf` no signal is injected; kills go without it, and must end by SIGKILL.
 * - The killed call is not made.
 *
 * Points come from a trace of a run without a fault, so their number is known before. A point that
 * two threads share kills the one that comes there first; `KillPoint.call` says which call it was.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import type { FaultOperation } from './fault-operation.ts';
import { type FaultPlace, spawned } from './fault-place.ts';

/** Whatever may change what a disk holds. */
const DURABLE_CALLS = [
  'openat',
  'write',
  'writev',
  'pwrite64',
  'pwritev',
  'pwritev2',
  'fallocate',
  'ftruncate',
  'fsync',
  'fdatasync',
  'msync',
  'link',
  'linkat',
  'rename',
  'renameat',
  'renameat2',
  'unlink',
  'unlinkat',
  'mkdir',
  'mkdirat',
  'rmdir',
  'symlink',
  'symlinkat',
  'fchmod',
  'fchown',
  'utimensat',
] as const;

export interface SystemPoint {
  readonly operation: FaultOperation;
  readonly call: string;
  /** The number of the call in its thread, from 1. */
  readonly number: number;
  /** Where only calls on these paths are counted. */
  readonly paths: readonly string[];
  /** LMDB opens one of its files: it ends the process when any but the first cannot be opened. */
  readonly opensLmdb: boolean;
}

interface TracedCall {
  readonly isMain: boolean;
  readonly call: string;
  readonly number: number;
}

export interface Traced {
  readonly points: SystemPoint[];
  /** Every durable call of the run, as `nameOf`. */
  readonly calls: ReadonlySet<string>;
}

/** Why there can be no such tests here, if so. */
export async function lackOfStrace(): Promise<string | undefined> {
  const ended = await spawned('strace', ['-qq', '-e', 'trace=none', 'true'], {}).catch(() => null);
  if (ended?.code === 0) return undefined;
  return ended === null ? 'strace is not installed' : 'strace may not trace here';
}

/** Runs the operation without a fault in a place that is prepared for it, and finds its points. */
export async function tracePoints(place: FaultPlace, operation: FaultOperation): Promise<Traced> {
  const file = traceFileOf(place);
  const trace = `trace=execve,${DURABLE_CALLS.join(',')}`;
  place.reset();
  operation.begin?.(place);
  const prefix = ['strace', '--seccomp-bpf', '-f', '-qq', '-y', '-o', file, '-e', trace];
  const ended = await place.run(operation.command(place), {
    prefix,
    seededNowMs: Date.now(),
    ...(operation.env && { env: operation.env }),
  });
  if (ended.code !== (operation.code ?? 0)) {
    throw new Error(`${operation.name}: ${ended.stdout}${ended.stderr}`);
  }
  const lines = readFileSync(file, 'latin1').split('\n');
  rmSync(file);
  return pointsIn(lines, operation, place);
}

/** Line of a trace: thread, call, arguments. The first is the `execve` of the main thread. */
const TRACED = /^(\d+) +(\w+)\((.*)/;

interface Counted extends TracedCall {
  /** Of the file that the call is about, where that is one of the place. */
  readonly path: string | undefined;
  readonly opensLmdb: boolean;
}

function pointsIn(lines: readonly string[], operation: FaultOperation, place: FaultPlace): Traced {
  const counted = [...countedCalls(lines, place)];
  const paths = counted.flatMap(({ call, path }) => (call === 'write' && path ? [path] : []));
  const points = DURABLE_CALLS.flatMap((call) => {
    const same = counted.filter((other) => other.call === call);
    return [...new Set(same.map(({ number }) => number))]
      .sort((a, b) => a - b)
      .map((number) => ({
        operation,
        call,
        number,
        paths: call === 'write' ? [...new Set(paths)] : [],
        opensLmdb: same.some((other) => other.number === number && other.opensLmdb),
      }));
  });
  return { points, calls: new Set(counted.map(nameOf)) };
}

/** The durable calls of a trace, with their numbers as strace counts when it injects. */
function* countedCalls(lines: readonly string[], place: FaultPlace): Generator<Counted> {
  const [, mainThread] = TRACED.exec(lines[0] ?? '') ?? [];
  const counts = new Map<string, number>();
  for (const line of lines) {
    const [, thread = '', call = '', rest = ''] = TRACED.exec(line) ?? [];
    const path = pathIn(rest, place);
    // Most writes wake other threads; those to files are told apart by their paths, here and there.
    const isCounted = call !== '' && call !== 'execve' && (call !== 'write' || path !== undefined);
    if (!isCounted) continue;
    const number = (counts.get(`${thread} ${call}`) ?? 0) + 1;
    counts.set(`${thread} ${call}`, number);
    const opensLmdb = call === 'openat' && rest.includes('.mdb"');
    const isMain = thread === mainThread;
    if (isDurable(call, rest, path)) yield { isMain, call, number, path, opensLmdb };
  }
}

/** The file whose descriptor is the first argument, if it is one of the place. */
function pathIn(rest: string, place: FaultPlace): string | undefined {
  const path = /^\d+<(\/[^>]*)>/.exec(rest)?.[1];
  return path?.startsWith(place.client) === true ? path : undefined;
}

function isDurable(call: string, rest: string, path: string | undefined): boolean {
  if (call === 'openat') return /O_CREAT|O_TRUNC/.test(rest);
  return path !== undefined || !/^(?:fsync|writev)$/.test(call);
}

export function nameOf({ isMain, call, number }: TracedCall): string {
  return `${isMain ? 'main' : 'pool'} ${call} ${number}`;
}

function traceFileOf(place: FaultPlace): string {
  return `${place.client}.trace`;
}

/** `inject` as strace has it: `signal=SIGKILL`, `error=EIO`; `isLasting` is from that call on. */
export interface Injection {
  readonly inject: string;
  readonly isLasting?: boolean;
}

/** Arguments that go before the command. */
export function straceArgs(
  place: FaultPlace,
  { call, number, paths }: SystemPoint,
  { inject, isLasting = false }: Injection,
): string[] {
  const when = `${number}${isLasting ? '+' : ''}`;
  const filters = paths.flatMap((path) => ['-P', path]);
  const isSignal = inject.startsWith('signal=');
  return [
    'strace',
    // Much faster, and enough for errors.
    ...(isSignal ? [] : ['--seccomp-bpf']),
    '-f',
    '-qq',
    '-o',
    traceFileOf(place),
    ...filters,
    '-e',
    `trace=execve,${call}`,
    '-e',
    `inject=${call}:${inject}:when=${when}`,
  ];
}

/** The call that a killed process was about to make, as `nameOf`; undefined when none was hit. */
export function killedCall(place: FaultPlace, point: SystemPoint): string | undefined {
  const file = traceFileOf(place);
  if (!existsSync(file)) return undefined;
  const lines = readFileSync(file, 'latin1').split('\n');
  rmSync(file);
  const [, mainThread] = TRACED.exec(lines[0] ?? '') ?? [];
  const hit = lines.findLast(
    (line) => line.includes(` ${point.call}(`) && /(?:= \?|>)$/.test(line),
  );
  if (hit === undefined) return undefined;
  const [, thread] = TRACED.exec(hit) ?? [];
  return nameOf({ isMain: thread === mainThread, call: point.call, number: point.number });
}

/** Whether any call was made to fail. */
export function wasInjected(place: FaultPlace): boolean {
  const file = traceFileOf(place);
  const hasInjected = existsSync(file) && readFileSync(file, 'latin1').includes('(INJECTED)');
  rmSync(file, { force: true });
  return hasInjected;
}
