/** Forgets snapshots, and collects what they alone needed. */
import { pruneRepository } from '../../src/maintain/prune/prune.ts';
import type { PruneOptions, PruneResult } from '../../src/maintain/prune/prune-result.ts';
import { ChainWriter } from '../../src/repository/chain-writer.ts';
import type { Repository } from '../../src/repository/repository.ts';
import { loadView } from '../../src/repository/view.ts';

/** Puts one tomb for all of them. */
export async function forgetSnapshots(
  repository: Repository,
  ids: readonly string[],
): Promise<void> {
  const view = await loadView(repository, 'write');
  const writer = await ChainWriter.open(repository, view);
  const forgotten = view.snapshots
    .filter(({ id }) => ids.includes(id))
    .map(({ id, hash, manifest }) => {
      const { writerId, writerSeq } = manifest.chain;
      return { sessionId: id, writerId, writerSeq, hash };
    });
  await writer.putTomb({ forgotten, merges: [], closed: [] });
  await writer.close();
}

/** Snapshots that count, oldest first. */
export async function liveIds(repository: Repository): Promise<string[]> {
  return (await loadView(repository, 'read')).snapshots.map(({ id }) => id);
}

/** Without a grace, so that what was forgotten goes at once. */
export async function pruneNow(
  repository: Repository,
  options: PruneOptions = {},
): Promise<PruneResult> {
  return await pruneRepository(repository, { graceMs: 0, ...options });
}
