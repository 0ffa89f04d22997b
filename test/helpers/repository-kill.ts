/** Runs a process that kills itself at a failpoint, and judges what it left on the real disk. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { SnapshotResult } from '../../src/backup/take-snapshot.ts';
import { initRepository } from '../../src/repository/init-repository.ts';
import { openRepository } from '../../src/repository/open-repository.ts';
import { createLocalStorage } from '../../src/storage/local.ts';
import { findLosses, Ledger, sourceTree } from './repository-crash.ts';

const CHILD = fileURLToPath(new URL('./crash-child.js', import.meta.url));

export interface Kill {
  readonly point: string;
  /** Dies when it passes the point for this time. */
  readonly count: number;
}

/** The id of the snapshot it acknowledged before it died, if it did. */
export async function runChild(
  directory: string,
  version: 'init' | number,
  kill: Kill,
): Promise<{ wasKilled: boolean; id: string | undefined }> {
  const child = spawn(
    process.execPath,
    [CHILD, directory, String(version), kill.point, String(kill.count)],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let output = '';
  let errors = '';
  child.stdout.on('data', (piece) => {
    output += piece;
  });
  child.stderr.on('data', (piece) => {
    errors += piece;
  });
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) => {
    child.on('close', (...ended) => resolve(ended));
  });
  assert.ok(signal === 'SIGKILL' || code === 0, `child ended with ${code ?? signal}: ${errors}`);
  return { wasKilled: signal === 'SIGKILL', id: /^snapshot (\w+)$/m.exec(output)?.[1] };
}

/**
 * With the cache and state that the dead process left: older snapshots and an acknowledged one are
 * there, nothing is damaged, and the next snapshot works.
 */
export async function continueAfter(
  directory: string,
  ledger: Ledger,
  version: number,
): Promise<SnapshotResult> {
  const storage = await createLocalStorage(join(directory, 'repository'));
  const repository = await openRepository({
    storage,
    askPassphrase: async () => undefined,
    cacheDirectory: join(directory, 'cache'),
    stateDirectory: join(directory, 'state'),
  });
  try {
    assert.deepEqual(await findLosses(repository, ledger), []);
    const result = await ledger.snapshot(repository, sourceTree(version));
    assert.deepEqual(await findLosses(repository, ledger), []);
    return result;
  } finally {
    await repository.close();
  }
}

/** A repository on the real disk with one snapshot. */
export async function preparedRepository(directory: string): Promise<Ledger> {
  const ledger = new Ledger();
  const storage = await createLocalStorage(join(directory, 'repository'));
  await initRepository({ storage, credential: { kind: 'none' } });
  ledger.isInitialised = true;
  await continueAfter(directory, ledger, 1);
  return ledger;
}
