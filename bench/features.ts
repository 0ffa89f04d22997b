/**
 * Speed of super-features and of the flat test: `npm run bench -- features [--block=4] [--size=64]
 * [--runs=5]` (MiB). Megabytes (10^6 bytes) of chunks per second and thread, median of the runs with the
 * slowest and the fastest one; for the flat test, which looks at 4 KiB of any chunk, microseconds.
 *
 * Times are processor time, user and system, so that a busy machine spoils them less. Chunks lie one
 * behind the other in a block that was just written to the scanner's memory; the copying is not counted.
 */
import { parseArgs } from 'node:util';
import { DEFAULT_PROFILE } from '../src/chunk/profile.ts';
import { createReferenceScanner } from '../src/chunk/scan-reference.ts';
import { createSimdScanner } from '../src/chunk/scan-simd.ts';
import type { Scanner } from '../src/chunk/scanner-contract.ts';
import { isFlat } from '../src/similarity/flat.ts';
import { createSuperFeatures } from '../src/similarity/super-features.ts';
import { xorshiftBytes } from '../test/helpers/chunk-input.ts';
import { markdownTable } from './report.ts';
import { scanData } from './scan-data.ts';

const chunkerKey = xorshiftBytes(1, 32);
/** Sampled at 1 window in 256. */
const sparseSize = DEFAULT_PROFILE.average;
/** The largest chunk that is sampled at 1 in 32. */
const denseSize = 16383;

/** Does something with a chunk, given by its ends in the scanner's memory. */
type ChunkWork = (start: number, end: number) => unknown;

export async function run(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      block: { type: 'string', default: '4' },
      size: { type: 'string', default: '64' },
      runs: { type: 'string', default: '5' },
    },
  });
  const blockSize = Number(values.block) * 2 ** 20;
  const size = Number(values.size) * 2 ** 20;
  const runCount = Number(values.runs);
  const simd = createSimdScanner(chunkerKey, DEFAULT_PROFILE, { capacity: blockSize });
  const plain = createReferenceScanner(chunkerKey, DEFAULT_PROFILE, { capacity: blockSize });
  const simdFeatures = createSuperFeatures(chunkerKey, simd);
  const plainFeatures = createSuperFeatures(chunkerKey, plain);
  const testFlat: ChunkWork = (start, end) => isFlat(simd.buffer.subarray(start, end));

  console.log(`features, blocks of ${values.block} MiB, ${values.size} MiB a run, MB/s\n`);
  const table = scanData.map(([name, generate]) => {
    const data = generate(size);
    const part = data.subarray(0, size / 8);
    const seconds = (scanner: Scanner, work: ChunkWork, chunkSize: number): number[] =>
      measure(runCount, () =>
        workSeconds(scanner, scanner === simd ? data : part, { work, chunkSize, blockSize }),
      );
    return [
      name,
      ...speedCells(seconds(simd, simdFeatures, sparseSize), size),
      ...speedCells(seconds(simd, simdFeatures, denseSize), size),
      speedCells(seconds(plain, plainFeatures, sparseSize), part.length)[0]!,
      speedCells(seconds(plain, plainFeatures, denseSize), part.length)[0]!,
      microseconds(seconds(simd, testFlat, sparseSize), size / sparseSize),
    ];
  });
  const head = ['data', '1/256', 'range', '1/32', 'range', 'plain 1/256', 'plain 1/32', 'flat, µs'];
  console.log(markdownTable(head, table));
}

/** Seconds of `runCount` runs in ascending order, after one that does not count. */
function measure(runCount: number, timeOnce: () => number): number[] {
  timeOnce();
  return Array.from({ length: runCount }, timeOnce).sort((a, b) => a - b);
}

function workSeconds(
  { buffer }: Scanner,
  data: Uint8Array,
  { work, chunkSize, blockSize }: { work: ChunkWork; chunkSize: number; blockSize: number },
): number {
  let elapsed = 0;
  for (let at = 0; at < data.length; at += blockSize) {
    const block = data.subarray(at, at + blockSize);
    buffer.set(block);
    const before = process.cpuUsage();
    for (let start = 0; start < block.length; start += chunkSize) {
      work(start, Math.min(start + chunkSize, block.length));
    }
    const { user, system } = process.cpuUsage(before);
    elapsed += (user + system) / 1e6;
  }
  return elapsed;
}

function speedCells(seconds: readonly number[], size: number): [median: string, range: string] {
  const speed = (at: number): string => (size / 1e6 / seconds.at(at)!).toFixed(0);
  return [speed(seconds.length >> 1), `${speed(-1)}–${speed(0)}`];
}

function microseconds(seconds: readonly number[], chunkCount: number): string {
  return ((1e6 * seconds[seconds.length >> 1]!) / chunkCount).toFixed(1);
}
