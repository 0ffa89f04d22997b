/**
 * Speed of the scanners on data that is easy, hard or hopeless to cut, and of whole streams at several
 * block sizes: `npm run bench -- scan`. Megabytes (10^6 bytes) of input per second and thread, median
 * of the runs with the slowest and the fastest one.
 *
 * Every scan finds its block just written to the scanner's memory, as a read would leave it; the
 * copying is not counted.
 */
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { chunkStream } from '../src/chunk/chunk-stream.ts';
import { DEFAULT_PROFILE } from '../src/chunk/profile.ts';
import { createReferenceScanner } from '../src/chunk/scan-reference.ts';
import { createSimdScanner } from '../src/chunk/scan-simd.ts';
import type { Scanner } from '../src/chunk/scanner-contract.ts';
import { xorshiftBytes } from '../test/helpers/chunk-input.ts';
import { scanData } from './scan-data.ts';

const chunkerKey = xorshiftBytes(1, 32);

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

  console.log(`scan, blocks of ${values.block} MiB, ${values.size} MiB a run, MB/s`);
  printRow(['data', 'simd', '(min-max)', 'plain', '(min-max)', 'average chunk']);
  const options = { capacity: blockSize + DEFAULT_PROFILE.maximum };
  const simd = createSimdScanner(chunkerKey, DEFAULT_PROFILE, options);
  const plain = createReferenceScanner(chunkerKey, DEFAULT_PROFILE, options);
  for (const [name, generate] of scanData) {
    const data = generate(size);
    const fast = measure(runCount, () => scanTime(simd, data, blockSize));
    const slow = measure(runCount, () => scanTime(plain, data.subarray(0, size / 8), blockSize));
    const average = data.length / chunkCount(simd, data);
    printRow([name, ...speedCells(fast, size), ...speedCells(slow, size / 8), kib(average)]);
  }

  console.log('\nread from the page cache and cut (chunkStream, simd, random data), MB/s');
  printRow(['block', 'simd', '(min-max)']);
  const directory = mkdtempSync(join(tmpdir(), 'varve-bench-'));
  try {
    const path = join(directory, 'random');
    writeFileSync(path, xorshiftBytes(6, size));
    for (const block of [2 ** 18, 2 ** 19, 2 ** 20, 2 ** 21, 2 ** 22, 2 ** 23]) {
      const capacity = block + DEFAULT_PROFILE.maximum;
      const scanner = createSimdScanner(chunkerKey, DEFAULT_PROFILE, { capacity });
      const times = measure(runCount, () => streamTime(scanner, path));
      printRow([kib(block), ...speedCells(times, size)]);
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Milliseconds of `runCount` runs in ascending order, after one that does not count. */
function measure(runCount: number, timeOnce: () => number): number[] {
  timeOnce();
  return Array.from({ length: runCount }, timeOnce).sort((a, b) => a - b);
}

function scanTime(scanner: Scanner, data: Uint8Array, blockSize: number): number {
  let elapsedMs = 0;
  for (let at = 0; at < data.length; at += blockSize) {
    const block = data.subarray(at, at + blockSize);
    scanner.buffer.set(block);
    const startMs = performance.now();
    scanner.scan(0, block.length, true);
    elapsedMs += performance.now() - startMs;
  }
  return elapsedMs;
}

function streamTime(scanner: Scanner, path: string): number {
  const startMs = performance.now();
  const file = openSync(path, 'r');
  for (const _ of chunkStream(scanner, (target) => readSync(file, target)));
  closeSync(file);
  return performance.now() - startMs;
}

function chunkCount(scanner: Scanner, data: Uint8Array): number {
  let at = 0;
  const readInto = (target: Uint8Array): number => {
    const part = data.subarray(at, at + target.length);
    target.set(part);
    at += part.length;
    return part.length;
  };
  let count = 0;
  for (const _ of chunkStream(scanner, readInto)) count++;
  return count;
}

function speedCells(timesMs: readonly number[], size: number): string[] {
  const [median, slowest, fastest] = [
    timesMs[timesMs.length >> 1]!,
    timesMs.at(-1)!,
    timesMs[0]!,
  ].map((ms) => (size / 1e3 / ms).toFixed(0));
  return [median!, `(${slowest}-${fastest})`];
}

function kib(size: number): string {
  return `${(size / 1024).toFixed(0)} KiB`;
}

function printRow(cells: readonly string[]): void {
  console.log(cells.map((cell, i) => (i === 0 ? cell.padEnd(16) : cell.padStart(14))).join(''));
}
