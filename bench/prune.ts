/**
 * What does a collection take? `npm run bench -- prune [--max=<blobs>]`, by default up to 10^6 blobs. For
 * every power of ten from 10^5 on: a repository of that many blobs of 16 bytes, in ten snapshots that
 * share nothing; then, each in a process of its own with the index at hand,
 *
 * - mark: a dry run, which walks everything that is live;
 * - prune: one snapshot of the ten was forgotten, and its packs are swept.
 *
 * Rates and times are of processor time, user and system; `wall` is by the clock. Memory is the largest
 * RssAnon of the process, sampled every 10 ms.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { BLOB_TYPE } from '../src/blob/blob-type.ts';
import { pruneRepository } from '../src/maintain/prune/prune.ts';
import type { PruneResult } from '../src/maintain/prune/prune-result.ts';
import { initRepository } from '../src/repository/init-repository.ts';
import { openRepository } from '../src/repository/open-repository.ts';
import type { Repository } from '../src/repository/repository.ts';
import { createStorage } from '../src/storage/location.ts';
import { ChunkListBuilder } from '../src/tree/chunk-list-builder.ts';
import { contentLength } from '../src/tree/content.ts';
import { forge, writePage } from '../test/helpers/forged-snapshot.ts';
import { forgetSnapshots } from '../test/helpers/forget-snapshots.ts';
import { b } from '../test/helpers/raw-path.ts';
import { seededRandom } from '../test/helpers/seeded-random.ts';
import { anonymousMiB, round, type Spent, spentOn } from './process-figures.ts';

const snapshotCount = 10;
const blobSize = 16;
const sampleMs = 10;

interface Measured extends Spent {
  result: Pick<PruneResult, 'outcome' | 'blobs' | 'deleted'>;
  peakMiB: number;
}

export async function run(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      max: { type: 'string', default: '1e6' },
      /** For the child process: what to do with the repository in this directory. */
      root: { type: 'string' },
      step: { type: 'string' },
    },
  });
  if (values.root !== undefined) {
    console.log(JSON.stringify(await measureStep(values.root, values.step === 'mark')));
    return;
  }
  const rows: object[] = [];
  for (let blobs = 100_000; blobs <= Number(values.max); blobs *= 10) {
    rows.push(await measure(blobs));
    console.error(JSON.stringify(rows.at(-1)));
  }
  console.table(rows);
}

async function measure(blobs: number): Promise<object> {
  const root = mkdtempSync(join(tmpdir(), 'varve-bench-'));
  try {
    await withRepository(root, async (repository) => {
      const ids = await fill(repository, blobs);
      await pruneRepository(repository, { isDryRun: true });
      return ids;
    });
    const mark = measureInChild(root, 'mark');
    await withRepository(root, async (repository) => {
      await forgetSnapshots(repository, [await oldest(repository)]);
    });
    const prune = measureInChild(root, 'prune');
    return {
      blobs,
      'mark blobs/s': Math.round((1000 * mark.result.blobs) / mark.processorMs),
      'mark ms': round(mark.processorMs),
      'mark wall': round(mark.wallMs),
      'mark MiB': mark.peakMiB,
      'prune ms': round(prune.processorMs),
      'prune wall': round(prune.wallMs),
      'prune MiB': prune.peakMiB,
      outcome: prune.result.outcome,
      'deleted packs': prune.result.deleted.packs,
    };
  } finally {
    rmSync(root, { recursive: true });
  }
}

async function oldest(repository: Repository): Promise<string> {
  const { loadView } = await import('../src/repository/view.ts');
  const { snapshots } = await loadView(repository, 'read');
  return snapshots[0]?.id ?? '';
}

async function fill(repository: Repository, blobs: number): Promise<void> {
  const random = seededRandom(blobs);
  for (let i = 0; i < snapshotCount; i++) {
    await forge(repository, async (session) => {
      const builder = new ChunkListBuilder((list) => session.write(BLOB_TYPE.chunkList, list));
      for (let k = 0; k < blobs / snapshotCount; k++) {
        const id = await session.write(BLOB_TYPE.data, random.bytes(blobSize));
        await builder.add(id, blobSize);
        if (k % 10_000 === 0) await session.tick();
      }
      const content = await builder.finish();
      return await writePage(session, {
        name: b('file'),
        type: 'f',
        content,
        size: contentLength(content),
      });
    });
  }
}

function measureInChild(root: string, step: string): Measured {
  const [, main = ''] = process.argv;
  const args = [...process.execArgv, main, 'prune', `--root=${root}`, `--step=${step}`];
  return JSON.parse(
    execFileSync(process.execPath, args, { encoding: 'utf8' }).split('\n').at(-2) ?? '',
  );
}

async function measureStep(root: string, isDryRun: boolean): Promise<Measured> {
  let peakMiB = 0;
  const timer = setInterval(() => {
    peakMiB = Math.max(peakMiB, anonymousMiB());
  }, sampleMs);
  try {
    return await withRepository(root, async (repository) => {
      let result: PruneResult | undefined;
      const spent = await spentOn(async () => {
        result = await pruneRepository(repository, { isDryRun, graceMs: 0 });
      });
      const { outcome, blobs, deleted } = result as PruneResult;
      return { ...spent, result: { outcome, blobs, deleted }, peakMiB };
    });
  } finally {
    clearInterval(timer);
  }
}

async function withRepository<T>(
  root: string,
  use: (repository: Repository) => Promise<T>,
): Promise<T> {
  const storage = await createStorage(join(root, 'repository'));
  if ((await storage.stat('config')) === undefined) {
    await initRepository({ storage, credential: { kind: 'none' } });
  }
  const repository = await openRepository({
    storage,
    askPassphrase: async () => undefined,
    cacheDirectory: join(root, 'cache'),
    stateDirectory: join(root, 'state'),
  });
  try {
    return await use(repository);
  } finally {
    await repository.close();
  }
}
