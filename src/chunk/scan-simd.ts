/**
 * Host of the WebAssembly scanner (scanner/scan.ts): lays out its memory and hands blocks to it, one
 * call per block. The memory has its full size from the start, because growing it would detach the
 * views of it that callers hold.
 */
import { readFileSync } from 'node:fs';
import { assert } from '../util/assert.ts';
import { type ChunkerKeys, deriveChunkerKeys } from './keys.ts';
import { type ChunkerProfile, candidateOdds } from './profile.ts';
import {
  assertOffsets,
  assertRange,
  bufferCapacity,
  type Candidate,
  cutCountMax,
  mapCount,
  type Scanner,
  type ScannerOptions,
} from './scanner-contract.ts';

/** What is used of the global; @types/node does not describe it, and `--jitless` takes it away. */
interface WebAssemblyGlobal {
  readonly Memory: new (pages: { initial: number; maximum: number }) => { buffer: ArrayBuffer };
  readonly Module: new (code: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { exports: object };
  validate(code: Uint8Array): boolean;
}

interface ScanExports {
  configure(minimum: number, maximum: number, mixZeroBits: number, strictBelow: number): void;
  scan(start: number, end: number, isLast: number, results: number): number;
  listCandidates(from: number, to: number, results: number, countMax: number): number;
  sample(start: number, end: number, mask: number): number;
}

const PAGE_SIZE = 65536;
/** The layout that scanner/window.ts draws. */
const FACTORS_OFFSET = 80;
const ADDENDS_OFFSET = 128;
const MAXIMA_OFFSET = 176;
const BUFFER_OFFSET = 4480;
const READABLE_AFTER = 32;
/** Candidates handed over at a time; the list is written where cuts are. */
const LISTED_MAX = 4096;

const { WebAssembly } = globalThis as { WebAssembly?: WebAssemblyGlobal };
const code = readFileSync(new URL('./scan.wasm', import.meta.url));

/** Whether this process can run WebAssembly and its SIMD instructions. */
export function hasSimd(): boolean {
  return WebAssembly?.validate(code) ?? false;
}

export function createSimdScanner(
  chunkerKey: Uint8Array,
  profile: ChunkerProfile,
  options: ScannerOptions = {},
): Scanner {
  assert(WebAssembly !== undefined, 'hasSimd() was asked');
  const capacity = bufferCapacity(profile, options);
  const cutCount = cutCountMax(profile, capacity);
  const resultsOffset = roundUp(BUFFER_OFFSET + capacity + READABLE_AFTER, 4);
  const size = resultsOffset + Math.max(4 * cutCount, 8 * LISTED_MAX);
  const pageCount = Math.ceil(size / PAGE_SIZE);
  const memory = new WebAssembly.Memory({ initial: pageCount, maximum: pageCount });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(code), { env: { memory } });
  const wasm = exports as ScanExports;

  writeKeys(new DataView(memory.buffer), deriveChunkerKeys(chunkerKey));
  const { mixZeroBits, strictBelow } = candidateOdds(profile);
  wasm.configure(profile.minimum, profile.maximum, mixZeroBits, strictBelow);

  const buffer = new Uint8Array(memory.buffer, BUFFER_OFFSET, capacity);
  const pairs = new Uint32Array(memory.buffer, resultsOffset, 2 * LISTED_MAX);
  const factors = new Uint32Array(memory.buffer, FACTORS_OFFSET, mapCount);
  const addends = new Uint32Array(memory.buffer, ADDENDS_OFFSET, mapCount);
  const sampledMaxima = new Uint32Array(memory.buffer, MAXIMA_OFFSET, mapCount);
  return {
    profile,
    buffer,
    cuts: new Uint32Array(memory.buffer, resultsOffset, cutCount),
    scan: (start, end, isLast) => {
      assertRange(buffer, start, end);
      return wasm.scan(start, end, isLast ? 1 : 0, resultsOffset);
    },
    listCandidates: (from, to) => {
      assertOffsets(buffer, from, to);
      const listed: Candidate[] = [];
      let next = from;
      let count: number;
      do {
        count = wasm.listCandidates(next, to, resultsOffset, LISTED_MAX);
        for (let i = 0; i < count; i++) {
          listed.push({ offset: pairs[2 * i] as number, rank: pairs[2 * i + 1] as number });
        }
        next = (listed.at(-1)?.offset ?? to) + 1;
      } while (count === LISTED_MAX);
      return listed;
    },
    sample: (start, end, sampling, maxima) => {
      assertRange(buffer, start, end);
      factors.set(sampling.factors);
      addends.set(sampling.addends);
      const count = wasm.sample(start, end, sampling.mask);
      maxima.set(sampledMaxima);
      return count;
    },
  };
}

function writeKeys(memory: DataView, keys: ChunkerKeys): void {
  for (let i = 0; i < 16; i++) {
    memory.setUint8(i, keys.tableLow[i] as number);
    memory.setUint8(16 + i, keys.tableHigh[i] as number);
  }
  memory.setBigUint64(32, keys.multiplier1, true);
  memory.setBigUint64(40, keys.multiplier2, true);
  memory.setBigUint64(48, keys.sip0, true);
  memory.setBigUint64(56, keys.sip1, true);
  memory.setUint8(64, keys.target);
}

function roundUp(size: number, unit: number): number {
  return Math.ceil(size / unit) * unit;
}
