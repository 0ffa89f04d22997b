/**
 * A collector that finds a stored mark carries out the plan of another one, or of its own earlier run. What
 * was forgotten since stands in none: it goes on with a plan of its own.
 */
import type { PackTotals, PruneOptions, PruneResult } from './prune-result.ts';

/** @param collect one collection, of one generation. */
export async function collectToTheEnd(
  options: PruneOptions,
  collect: (options: PruneOptions) => Promise<PruneResult>,
): Promise<PruneResult> {
  const first = await collect(options);
  if (first.outcome !== 'swept' || !first.isAdopted) return first;
  const { durationMaxMs } = options;
  const leftMs = durationMaxMs && durationMaxMs - Number(first.durationNs) / 1e6;
  if (leftMs !== undefined && leftMs <= 0) return first;
  // Once: where others mark again and again, they collect.
  const second = await collect({ ...options, durationMaxMs: leftMs });
  return joined(first, second);
}

/** What both have done; what is needed, and what is left to do, as the second one saw it. */
function joined(first: PruneResult, second: PruneResult): PruneResult {
  const isDone = second.outcome === 'nothing';
  return {
    ...second,
    outcome: isDone ? 'swept' : second.outcome,
    generation: second.generation ?? first.generation,
    before: first.before,
    earlier: sumOf(first.earlier, second.earlier),
    deleted: sumOf(first.deleted, second.deleted),
    fenced: [...first.fenced, ...second.fenced],
    durationNs: first.durationNs + second.durationNs,
  };
}

function sumOf(a: PackTotals, b: PackTotals): PackTotals {
  return { packs: a.packs + b.packs, size: a.size + b.size };
}
