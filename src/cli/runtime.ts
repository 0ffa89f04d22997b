/** What a command works with: the output, the way to be cancelled, and an open repository. */

import { shortId } from '../id.ts';
import { openRepository, type Repository } from '../index.ts';
import { UsageError } from './exit-code.ts';
import type { CommonOptions } from './options.ts';
import type { Output } from './output.ts';
import { findPassphraseSource, readPassphrase } from './passphrase.ts';

export interface Runtime {
  readonly output: Output;
  readonly signal: AbortSignal;
  readonly environment: NodeJS.ProcessEnv;
  /** Of a command that ends without an error. */
  exitCode: number;
}

/** @throws UsageError when none is named. */
export function locationOf({ repo }: CommonOptions): string {
  if (repo !== undefined) return repo;
  throw new UsageError('no repository named: use --repo or VARVE_REPOSITORY');
}

/** Opens the repository, works with it, and closes it. */
export async function withRepository<T>(
  { output, signal, environment }: Runtime,
  options: CommonOptions,
  work: (repository: Repository) => Promise<T>,
): Promise<T> {
  const location = locationOf(options);
  const source = findPassphraseSource(options, environment);
  const repository = await openRepository({
    location,
    passphrase: () => readPassphrase(source),
    cacheDirectory: options.cacheDir,
    jobs: options.jobs,
    memory: options.memory,
    onNotice: (text) => output.notice(text),
  });
  try {
    signal.throwIfAborted();
    output.startClock();
    output.detail(`repository ${shortId(repository.id)} at ${repository.location}`);
    return await work(repository);
  } finally {
    await repository.close();
  }
}
