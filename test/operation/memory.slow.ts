import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  statfsSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { initRepository, openRepository } from '../../src/index.ts';
import { compareTrees } from '../helpers/compare-trees.ts';
import { tempDir } from '../helpers/temp-dir.ts';

const GIB = 2 ** 30;
const LARGE_FILE_SIZE = 5 * GIB;
/** The file, the repository and what is restored. */
const DISK_SIZE = 15 * GIB;
const MEMORY_SIZE_MAX = 512 * 2 ** 20;
const SAMPLE_INTERVAL_MS = 50;

interface Job {
  readonly operation: 'snapshot' | 'restore';
  readonly location: string;
  readonly home: string;
  readonly source: string;
  readonly target: string;
}

/** In the child: one operation in a process of its own. */
async function work({ operation, location, home, source, target }: Job): Promise<void> {
  const repository = await openRepository({
    location,
    cacheDirectory: join(home, 'cache'),
    stateDirectory: join(home, 'state'),
  });
  if (operation === 'snapshot') {
    const { errorCount } = await repository.snapshot({ paths: [source] });
    assert.equal(errorCount, 0);
  } else {
    const snapshot = await repository.select('latest');
    const { errorCount } = await repository.restore({ snapshot, path: source, target });
    assert.equal(errorCount, 0);
  }
  await repository.close();
}

/** Runs the job and gives the most anonymous memory the child had at any sample, in bytes. */
async function runWatched(job: Job): Promise<number> {
  const child = fork(fileURLToPath(import.meta.url), [JSON.stringify(job)], {
    // The runner would take the child for a part of this run.
    env: { ...process.env, NODE_TEST_CONTEXT: undefined, VARVE_TEST_JOB: '1' },
  });
  let peak = 0;
  const timer = setInterval(() => {
    peak = Math.max(peak, anonymousMemory(child));
  }, SAMPLE_INTERVAL_MS);
  const [code] = await once(child, 'exit');
  clearInterval(timer);
  assert.equal(code, 0, job.operation);
  return peak;
}

function anonymousMemory({ pid }: ChildProcess): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
  } catch {
    return 0; // It has just ended.
  }
}

/** Seeded noise in blocks, each with its number mixed in, so that no two are equal. */
function writeLargeFile(path: string, size: number): void {
  const block = new Uint32Array(2 ** 20);
  let state = 1;
  for (let i = 0; i < block.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    block[i] = state ^ (state >>> 15);
  }
  const out = new Uint32Array(block.length);
  const fd = openSync(path, 'wx');
  for (let written = 0; written < size; written += out.byteLength) {
    const mask = Math.imul(written / out.byteLength + 1, 0x9e3779b9);
    for (let i = 0; i < out.length; i++) out[i] = (block[i] as number) ^ Math.imul(mask, i | 1);
    writeSync(fd, out);
  }
  closeSync(fd);
}

function assertEqualFiles(a: string, b: string): void {
  assert.equal(statSync(a).size, statSync(b).size);
  const [fdA, fdB] = [openSync(a, 'r'), openSync(b, 'r')];
  const [left, right] = [Buffer.alloc(2 ** 22), Buffer.alloc(2 ** 22)];
  for (let size = -1; size !== 0; ) {
    size = readSync(fdA, left);
    assert.equal(readSync(fdB, right), size);
    assert.ok(left.subarray(0, size).equals(right.subarray(0, size)));
  }
  closeSync(fdA);
  closeSync(fdB);
}

async function newRepository(t: TestContext): Promise<Omit<Job, 'operation'>> {
  const top = tempDir(t);
  const job = {
    location: join(top, 'repository'),
    home: join(top, 'home'),
    source: join(top, 'source'),
    target: join(top, 'target'),
  };
  mkdirSync(job.source);
  await initRepository({ location: job.location, isInsecure: true });
  return job;
}

/** Both ways; memory is told and bounded. */
async function saveAndRestore(t: TestContext, job: Omit<Job, 'operation'>): Promise<void> {
  for (const operation of ['snapshot', 'restore'] as const) {
    const peak = await runWatched({ ...job, operation });
    t.diagnostic(`${operation}: at most ${Math.round(peak / 2 ** 20)} MiB of anonymous memory`);
    assert.ok(peak > 0 && peak < MEMORY_SIZE_MAX, `${operation}: ${peak} bytes`);
  }
}

if (process.env['VARVE_TEST_JOB'] === '1') {
  await work(JSON.parse(process.argv[2] ?? '') as Job);
} else {
  test('a file of 5 GiB is saved and restored in bounded memory', async (t) => {
    const job = await newRepository(t);
    const { bavail, bsize } = statfsSync(job.source);
    if (bavail * bsize < DISK_SIZE) {
      t.skip(
        `needs ${DISK_SIZE / GIB} GiB of free disk, found ${Math.floor((bavail * bsize) / GIB)}`,
      );
      return;
    }
    writeLargeFile(join(job.source, 'large'), LARGE_FILE_SIZE);

    await saveAndRestore(t, job);

    assertEqualFiles(join(job.source, 'large'), join(job.target, 'large'));
  });

  test('a tree of 100,000 files is saved and restored in bounded memory', async (t) => {
    const job = await newRepository(t);
    for (let i = 0; i < 100_000; i++) {
      const directory = join(job.source, `${Math.floor(i / 1000)}`);
      if (i % 1000 === 0) mkdirSync(directory);
      writeFileSync(join(directory, `file${i}`), `content of file ${i}\n`.repeat(i % 50));
    }

    await saveAndRestore(t, job);

    assert.deepEqual(compareTrees(job.source, job.target), []);
  });
}
