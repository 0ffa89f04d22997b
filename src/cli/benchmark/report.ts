/** The result of a benchmark, as lines for people and as fields for programs. */
import { formatBytes, formatCount, formatElapsed } from '../format.ts';
import type { JsonFields } from '../json.ts';
import { factorOf, formatFactor, savingsLines } from '../savings.ts';
import { formatTable } from '../table.ts';
import { ChildFailed } from './child.ts';
import { hasMiddle } from './history.ts';
import type { BenchmarkResult, BenchmarkRun } from './run-benchmark.ts';

const heads = ['', 'stored', 'factor', 'save', 'unchanged', 'restore', 'middle'];
/** Of what is no program of its own. */
const labels: Readonly<Record<string, string>> = { varve_similarity_off: '  similarity off' };

/**
 *     3 versions, 1.6 MiB in all
 *                       stored    factor   save  unchanged  restore  middle
 *     varve          165.1 KiB  9.71 : 1  2.9 s      0.4 s    0.5 s   0.5 s
 *     …
 *
 *     varve, step by step
 *       raw …
 */
export function benchmarkLines({ versionCount, runs, savings }: BenchmarkResult): string[] {
  const rows = [heads, ...runs.map((run) => rowOf(run, savings.rawSize))].map((row) =>
    hasMiddle(versionCount) ? row : row.slice(0, -1),
  );
  const alignments = heads.map((head) => (head === '' ? 'left' : 'right'));
  return [
    `${formatCount(versionCount, 'version')}, ${formatBytes(savings.rawSize)} in all`,
    ...formatTable(rows, alignments),
    '',
    'varve, step by step',
    ...savingsLines(savings).map((line) => `  ${line}`),
  ];
}

/** A line for each program that failed, with the last that it said. */
export function failuresOf({ runs }: BenchmarkResult): string[] {
  return runs.flatMap(({ name, outcome }) =>
    outcome instanceof ChildFailed ? [`${name} failed: ${outcome.message.trim()}`] : [],
  );
}

function rowOf({ name, outcome }: BenchmarkRun, rawSize: number | bigint): string[] {
  const label = labels[name] ?? name;
  if (outcome instanceof ChildFailed) return [label, 'failed', '', '', '', '', ''];
  const { storedSize, saveSeconds, unchangedSeconds, restoreSeconds, restoreMiddleSeconds } =
    outcome;
  return [
    label,
    formatBytes(storedSize),
    formatFactor(rawSize, storedSize),
    ...[saveSeconds, unchangedSeconds, restoreSeconds].map(formatElapsed),
    restoreMiddleSeconds === undefined ? '' : formatElapsed(restoreMiddleSeconds),
  ];
}

/** Of the event that tells of one program. */
export function runFields(
  { name, version, outcome }: BenchmarkRun,
  rawSize: number | bigint,
): JsonFields {
  if (outcome instanceof ChildFailed) return { name, version, failure: outcome.message };
  return {
    name,
    version,
    raw_size: rawSize,
    stored_size: outcome.storedSize,
    stored_factor: factorOf(rawSize, outcome.storedSize),
    save_seconds: outcome.saveSeconds,
    unchanged_seconds: outcome.unchangedSeconds,
    restore_seconds: outcome.restoreSeconds,
    restore_middle_seconds: outcome.restoreMiddleSeconds,
  };
}
