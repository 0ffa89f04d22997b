/**
 * One snapshot or restore in a process of its own, watched from outside: what it says of itself, and
 * the most anonymous memory that it had at any sample. Mapped files are not counted: their pages
 * belong to the system, which takes them back when it needs them.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  initRepository,
  openRepository,
  type RestoreResult,
  type SnapshotResult,
} from '../../src/index.ts';
import { tempDir } from './temp-dir.ts';

/** A repository and what is saved to it and restored from it, on a real disk. */
export interface WatchedPlace {
  readonly location: string;
  readonly home: string;
  readonly source: string;
  readonly target: string;
  /** Default: that of the library. */
  readonly jobs?: number;
}

interface Job extends WatchedPlace {
  readonly operation: 'snapshot' | 'restore';
}

export interface Watched<T> {
  readonly result: T;
  /** Bytes. */
  readonly peak: number;
}

const sampleIntervalMs = 50;
const jobVariable = 'VARVE_TEST_JOB';

/** A new repository beside an empty source; the target does not exist yet. */
export async function newPlace(t: TestContext): Promise<WatchedPlace> {
  const top = tempDir(t);
  const place = {
    location: join(top, 'repository'),
    home: join(top, 'home'),
    source: join(top, 'source'),
    target: join(top, 'target'),
  };
  mkdirSync(place.source);
  await initRepository({ location: place.location, isInsecure: true });
  return place;
}

/** Why the test cannot run here, if its place has less than so many bytes free. */
export function lackOfDisk(place: WatchedPlace, size: number): string | undefined {
  const { bavail, bsize } = statfsSync(place.source);
  if (bavail * bsize >= size) return undefined;
  const [wanted, found] = [size, bavail * bsize].map((bytes) => Math.floor(bytes / 2 ** 30));
  return `needs ${wanted} GiB of free disk, found ${found}`;
}

export function watchSnapshot(place: WatchedPlace): Promise<Watched<SnapshotResult>> {
  return runWatched<SnapshotResult>({ ...place, operation: 'snapshot' });
}

/** Restores the source from the newest snapshot. */
export function watchRestore(place: WatchedPlace): Promise<Watched<RestoreResult>> {
  return runWatched<RestoreResult>({ ...place, operation: 'restore' });
}

async function runWatched<T>(job: Job): Promise<Watched<T>> {
  const child = fork(fileURLToPath(import.meta.url), [JSON.stringify(job)], {
    serialization: 'advanced',
    // As the command does; and the maps of sources are memory of tests.
    execArgv: ['--no-parallel-scavenge', '--heap-growing-percent=30'],
    // The runner would take the child for a part of this run.
    env: { ...process.env, NODE_TEST_CONTEXT: undefined, [jobVariable]: '1' },
  });
  let result: T | undefined;
  let peak = 0;
  child.on('message', (message) => {
    result = message as T;
  });
  const timer = setInterval(() => {
    peak = Math.max(peak, anonymousMemory(child));
  }, sampleIntervalMs);
  const [code] = await once(child, 'exit');
  clearInterval(timer);
  assert.equal(code, 0, job.operation);
  assert.ok(result !== undefined && peak > 0, `nothing seen of ${job.operation}`);
  return { result, peak };
}

function anonymousMemory({ pid }: ChildProcess): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
  } catch {
    return 0; // It has just ended.
  }
}

/** In the child. */
async function work({ operation, location, home, source, target, jobs }: Job): Promise<unknown> {
  const repository = await openRepository({
    location,
    jobs,
    cacheDirectory: join(home, 'cache'),
    stateDirectory: join(home, 'state'),
  });
  try {
    if (operation === 'snapshot') return await repository.snapshot({ paths: [source] });
    const snapshot = await repository.select('latest');
    return await repository.restore({ snapshot, path: source, target });
  } finally {
    await repository.close();
  }
}

if (process.env[jobVariable] === '1') {
  const result = await work(JSON.parse(process.argv[2] ?? '') as Job);
  process.send?.(result);
}
